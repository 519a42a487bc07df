package k0s

import (
	"errors"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

const (
	listData = "ls -A /data 2>/dev/null | head -n 1"
	remove   = "{ " + leftovers + `} | while read -r f; do rm -rf -- "$f"; done
rmdir /etc/k0s 2>/dev/null || true`
)

func TestWipe(t *testing.T) {
	m := newMachine(t, map[string]answer{listData: {output: "bin\n"}, leftovers: {output: "/etc/cni\n/etc/k0s/k0s.yaml"}, remove: {}})
	m.files[TokenPath] = file{"secret", 0o600}
	node := &Node{Machine: m, DataDir: "/data"}
	if data, err := node.HasData(t.Context()); err != nil || !data {
		t.Errorf("got %v, %v", data, err)
	}
	if got, err := node.Leftovers(t.Context()); err != nil || !reflect.DeepEqual(got, []string{"/etc/cni", "/etc/k0s/k0s.yaml"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := node.Wipe(t.Context()); err != nil || m.files[TokenPath].data != UsedTokenNote {
		t.Errorf("%v; the token was not overwritten before it was removed: %v", err, m.files)
	}
	m.answers = map[string]answer{listData: {}, leftovers: {}, remove: {err: errBroken}}
	if data, err := node.HasData(t.Context()); err != nil || data {
		t.Errorf("got %v, %v", data, err)
	}
	if got, err := node.Leftovers(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
	if err := node.Wipe(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// What runs on hosts is what a POSIX shell can read.
func TestScriptsAreSound(t *testing.T) {
	m := newMachine(t, nil)
	node := &Node{Machine: m, DataDir: "/it's data"}
	_, _ = node.Leftovers(t.Context())
	_, _ = node.HasData(t.Context())
	_ = node.Wipe(t.Context())
	_ = node.EndAPIConnections(t.Context())
	if len(m.commands) != 4 {
		t.Errorf("%d commands", len(m.commands))
	}
	for _, command := range m.commands {
		check := exec.Command("sh", "-n")
		check.Stdin = strings.NewReader(command)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, command)
		}
	}
}
