//go:build krew

package krew

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMakeInstall installs the plugins, with what completes them, from a checkout.
func TestMakeInstall(t *testing.T) {
	folder := t.TempDir()
	if out, err := exec.Command("make", "-C", root, "install", "DESTDIR="+folder, "PREFIX=/opt").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	bin := filepath.Join(folder, "opt", "bin")
	for _, plugin := range plugins() {
		if out := output(t, filepath.Join(bin, executable(plugin)), "--version"); !strings.Contains(out, "Client Version: ") {
			t.Errorf("%s --version prints %q", plugin, out)
		}
		command := exec.Command(filepath.Join(bin, completion(plugin)), "--vers")
		command.Env = append(command.Environ(), "PATH="+bin+":/usr/bin:/bin")
		if out, err := command.Output(); err != nil || !strings.Contains(string(out), "--version\tprint the version") {
			t.Errorf("%s completes --vers to %q, %v", completion(plugin), out, err)
		}
	}
}
