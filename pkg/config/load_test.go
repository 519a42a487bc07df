package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadResolvesPathsFromTheFilesDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", "/home/someone")
	t.Setenv("KUBECTL_HA_TEST_ROLE", "controller")
	path := filepath.Join(dir, "cluster.yaml")
	text := `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - {role: $KUBECTL_HA_TEST_ROLE, ssh: {address: 10.10.0.2, keyPath: ~/.ssh/id}, k0sBinaryPath: ../k0s}
    - {role: worker, openSSH: {address: w, keyPath: id, configPath: /etc/ssh/x}, files: [{src: "a*", dst: /a}, {src: https://x/%v, dst: /b}]}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path, "10.10.4.10")
	if err != nil {
		t.Fatal(err)
	}
	one, two := f.Cluster.Hosts[0], f.Cluster.Hosts[1]
	for got, want := range map[string]string{
		one.Conn.SSH.KeyPath:        "/home/someone/.ssh/id",
		one.K0sBinaryPath:           filepath.Join(filepath.Dir(dir), "k0s"),
		two.Conn.OpenSSH.KeyPath:    filepath.Join(dir, "id"),
		two.Conn.OpenSSH.ConfigPath: "/etc/ssh/x",
		two.Files[0].Source:         filepath.Join(dir, "a*"),
		two.Files[1].Source:         "https://x/%v",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if one.Role != RoleController || f.Name != path {
		t.Errorf("role %q, name %q", one.Role, f.Name)
	}
}

func TestLoadWithoutAFileSaysSo(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestHostsAreReadWithoutALoadBalancer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, []byte(oneController), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := LoadHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Cluster.Hosts) != 1 || f.LoadBalancer != nil {
		t.Errorf("got %d hosts and the load balancer %v", len(f.Cluster.Hosts), f.LoadBalancer)
	}
	if _, err := LoadHosts(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestLoadCompletesAndReportsAllAtOnce(t *testing.T) {
	const bad = "apiVersion: k0sctl.k0sproject.io/v1beta1\nkind: Cluster\nspec:\n  hosts:\n    - {role: master, ssh: {address: 10.10.0.2}}\n"
	const role = `:5: spec.hosts[0].role: "master" is no role: write controller, controller+worker or worker`
	const balancer = "---\napiVersion: kubectl-ha.io/v1alpha1\nkind: LoadBalancer\n"
	const noBalancer = ":1: no load balancer: add a document of kind LoadBalancer (apiVersion kubectl-ha.io/v1alpha1), or name its host with --lb [USER@]HOST"
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	for name, c := range map[string]struct {
		text  string
		flags []string
		want  []string // after the file's name
	}{
		"nothing wrong":               {oneController, []string{"10.10.4.10"}, nil},
		"no load balancer":            {oneController, nil, []string{noBalancer}},
		"a role and no load balancer": {bad, nil, []string{noBalancer, role}},
		"a role":                      {bad, []string{"10.10.4.10"}, []string{role}},
		"a role and a host twice": {
			bad, []string{"lb", "lb"},
			[]string{": --lb: root@lb:22 is load balancer host 1 too: remove one of the two", ": spec.address: the load balancer's address is not known: write it here or as spec.k0s.config.spec.api.externalAddress", role},
		},
		"a role and no host": {
			bad + balancer + "spec: {address: 10.10.4.10}\n", nil, []string{role, ":9: spec.hosts: no load balancer host: list at least one, or name it with --lb [USER@]HOST"},
		},
		"a role and an empty list of hosts": {
			bad + balancer + "spec: {address: 10.10.4.10, hosts: []}\n", nil, []string{role, ":9: spec.hosts: no load balancer host: list at least one, or name it with --lb [USER@]HOST"},
		},
		"hosts that are no list": {
			oneController + balancer + "spec: {address: 10.10.4.10, hosts: {}}\n", nil,
			[]string{":9: spec.hosts: must be a list, but is fields: begin each item with a dash"},
		},
		"a document that may be the load balancer": {
			oneController + "---\napiVersion: kubectl-ha.io/v1\nkind: LoadBalancer\n", nil,
			[]string{`:7: apiVersion: "kubectl-ha.io/v1" is not known for kind LoadBalancer: write kubectl-ha.io/v1alpha1`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Load(path, c.flags...)
			var want []string
			for _, line := range c.want {
				want = append(want, path+line)
			}
			if len(want) == 0 && err == nil && f.LoadBalancer.Address == "10.10.4.10" {
				return
			}
			if err == nil || err.Error() != strings.Join(want, "\n") {
				t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
			}
		})
	}
}

func TestAFileThatCannotBeReadIsNamedWithARemedy(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:           "reading cluster file: " + dir + " is a directory: name the file itself",
		dir + "/none": "reading cluster file: open " + dir + "/none: no such file or directory: correct its name",
	} {
		if _, err := Load(path); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestHomeIsNeededOnlyForTilde(t *testing.T) {
	s := Source{Name: "f", Dir: "/d"}
	if _, err := s.Parse([]byte(oneController)); err != nil {
		t.Error(err)
	}
	_, err := s.Parse([]byte("apiVersion: k0sctl.k0sproject.io/v1beta1\nkind: Cluster\nspec:\n  hosts:\n    - {role: controller, ssh: {address: a, keyPath: ~/id, user: $USER}}\n"))
	want := "f:5: spec.hosts[0].ssh.keyPath: ~ stands for the home directory, and none is known: set HOME or write the whole path\n" +
		"f:5: spec.hosts[0].ssh.user: the environment variable USER is not set: set it, or write $$USER for the characters themselves"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
