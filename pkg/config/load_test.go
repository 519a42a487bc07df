package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
	f, err := Load(path)
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
