package k0s

import (
	"errors"
	"testing"
)

func TestVersionOfTheExecutable(t *testing.T) {
	const command = "/opt/k0s version"
	m := newMachine(t, map[string]answer{command: {output: "v1.36.3+k0s.2\n"}})
	version, err := (&Node{Machine: m, Binary: "/opt/k0s", DataDir: "/data"}).Version(t.Context())
	if err != nil || version != "v1.36.3+k0s.2" {
		t.Errorf("got %q, %v", version, err)
	}
	m.expect(command)
}

func TestPKI(t *testing.T) {
	for want, node := range map[string]Node{
		"/var/lib/k0s/pki/etcd/ca.crt": {},
		"/data/k0s/pki/etcd/ca.crt":    {DataDir: "/data/k0s/"},
	} {
		if got := node.PKI("etcd", "ca.crt"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestKubeconfigs(t *testing.T) {
	const admin = "/usr/local/bin/k0s kubeconfig admin --data-dir /data"
	m := newMachine(t, map[string]answer{admin: {output: "admin"}})
	m.files["/data/pki/admin.conf"] = file{data: "local"}
	node := &Node{Machine: m, DataDir: "/data"}

	if got, err := node.AdminKubeconfig(t.Context()); err != nil || string(got) != "local" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := node.ExternalKubeconfig(t.Context()); err != nil || string(got) != "admin\n" {
		t.Errorf("got %q, %v", got, err)
	}
	m.expect(admin)

	m.answers[admin] = answer{err: errBroken}
	delete(m.files, "/data/pki/admin.conf")
	if _, err := node.AdminKubeconfig(t.Context()); err == nil {
		t.Error("an absent admin.conf is an error")
	}
	if _, err := node.ExternalKubeconfig(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestHasEtcdData(t *testing.T) {
	const command = "if [ -e /data/etcd/member/snap/db ]; then echo yes; else echo no; fi"
	for output, want := range map[string]bool{"yes": true, "no": false} {
		m := newMachine(t, map[string]answer{command: {output: output}})
		if got, err := (&Node{Machine: m, DataDir: "/data"}).HasEtcdData(t.Context()); err != nil || got != want {
			t.Errorf("%s: got %v, %v", output, got, err)
		}
	}
	m := newMachine(t, map[string]answer{command: {err: errBroken}})
	if _, err := (&Node{Machine: m, DataDir: "/data"}).HasEtcdData(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}
