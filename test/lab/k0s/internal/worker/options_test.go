package worker

import (
	"os"
	"strings"
	"testing"
)

func TestNodeName(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                          strings.ToLower(hostname),
		"--v=2":                     strings.ToLower(hostname),
		"--hostname-override=CP1":   "cp1",
		"--hostname-override  cp2 ": "cp2",
		`--hostname-override="cp3"`: "cp3",
	} {
		if got, err := NodeName(args); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", args, got, err, want)
		}
	}
}

func TestExtraArg(t *testing.T) {
	const args = "--node-ip=10.0.0.1,fd00::1 --v=2 --node-ip-x=no --flag"
	for name, want := range map[string]string{"node-ip": "10.0.0.1,fd00::1", "v": "2", "flag": "", "missing": ""} {
		if got := extraArg(args, name); got != want {
			t.Errorf("--%s = %q, want %q", name, got, want)
		}
	}
}

func TestAddressTowards(t *testing.T) {
	for server, want := range map[string]string{"https://127.0.0.1:6443": "127.0.0.1", "https://127.0.0.2": "127.0.0.1"} {
		if got, err := addressTowards(server); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", server, got, err, want)
		}
	}
}
