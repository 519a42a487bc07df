package k0s

import (
	"errors"
	"strings"
	"testing"
)

const statusJSON = `{
  "Version": "v1.36.3+k0s.2", "Pid": 4711, "Role": "controller", "Workloads": true, "SingleNode": false,
  "Args": ["/usr/local/bin/k0s", "controller", "--config=/etc/k0s/k0s.yaml", "--disable-components=coredns,endpoint-reconciler"],
  "ClusterConfig": {"spec": {"api": {"address": "10.10.0.2", "externalAddress": "10.10.4.10"}}},
  "K0sVars": {"DataDir": "/var/lib/k0s", "StartupConfigPath": "/etc/k0s/k0s.yaml"}
}`

func TestStatus(t *testing.T) {
	const command = "/usr/local/bin/k0s status -o json"
	m := newMachine(t, map[string]answer{command: {output: statusJSON}})
	status, err := (&Node{Machine: m, DataDir: "/data"}).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status.Version != "v1.36.3+k0s.2" || status.Role != "controller" || !status.Workloads || status.SingleNode {
		t.Errorf("got %+v", status)
	}
	if got := status.ExternalAddress(); got != "10.10.4.10" {
		t.Errorf("external address %s", got)
	}
	if status.Vars.DataDir != "/var/lib/k0s" || status.Vars.StartupConfigPath != ConfigPath {
		t.Errorf("places: %+v", status.Vars)
	}
	m.expect(command)

	t.Run("of a worker", func(t *testing.T) {
		m := newMachine(t, map[string]answer{command: {output: `{"Role":"worker","ClusterConfig":null,"K0sVars":null}`}})
		status, err := (&Node{Machine: m}).Status(t.Context())
		if err != nil || status.Role != "worker" || status.ExternalAddress() != "" {
			t.Errorf("got %+v, %v", status, err)
		}
	})
	t.Run("not running", func(t *testing.T) {
		m := newMachine(t, map[string]answer{command: {err: errBroken}})
		if _, err := (&Node{Machine: m}).Status(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		m := newMachine(t, map[string]answer{command: {output: "hello"}})
		if _, err := (&Node{Machine: m}).Status(t.Context()); err == nil ||
			!strings.HasPrefix(err.Error(), "reading the answer of k0s status: ") {
			t.Errorf("got %v", err)
		}
	})
}

func TestStatusKnowsDisabledComponents(t *testing.T) {
	for line, want := range map[string]bool{
		"k0s controller": false,
		"k0s controller --disable-components=coredns,endpoint-reconciler":                      true,
		"k0s controller --disable-components endpoint-reconciler":                              true,
		"k0s controller --disable-components coredns --disable-components=endpoint-reconciler": true,
		"k0s controller --disable-components=coredns":                                          false,
		"k0s controller --labels=endpoint-reconciler":                                          false,
		"k0s controller --disable-components":                                                  false,
	} {
		status := Status{Args: strings.Fields(line)}
		if got := status.Disables("endpoint-reconciler"); got != want {
			t.Errorf("%s: got %v", line, got)
		}
	}
}
