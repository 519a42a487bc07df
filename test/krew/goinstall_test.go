//go:build krew

package krew

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const modulePath = "github.com/kubectl-ha/kubectl-ha"

// TestGoInstall installs the plugins by `go install ...@latest`, from a module proxy that has the last commit as its one
// version.
func TestGoInstall(t *testing.T) {
	proxy, bin := t.TempDir(), t.TempDir()
	publish(t, proxy, "v0.0.1")
	environment := strings.Fields(output(t, "go", "env", "GOMODCACHE", "GOPROXY"))
	proxies := []string{"file://" + proxy, "file://" + filepath.Join(environment[0], "cache", "download"), environment[1]}
	for _, plugin := range plugins() {
		command := exec.Command("go", "install", modulePath+"/cmd/"+executable(plugin)+"@latest")
		command.Dir = t.TempDir() // outside of the module
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+bin, "GOFLAGS=-trimpath -modcacherw", "GOMODCACHE="+filepath.Join(proxy, "cache"),
			"GOPROXY="+strings.Join(proxies, ","), "GONOSUMDB="+modulePath)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command.Args, err, out)
		}
		if out := output(t, filepath.Join(bin, executable(plugin)), "--version"); !strings.Contains(out, "v0.0.1") {
			t.Errorf("%s --version prints %q", plugin, out)
		}
	}
}

// publish writes the last commit as a version of the module, as a module proxy serves it: without what is a module of its own.
func publish(t *testing.T, proxy, version string) {
	t.Helper()
	folder := filepath.Join(proxy, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"list": version + "\n", version + ".info": `{"Version":"` + version + `"}`, version + ".mod": string(mod)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-C", root, "archive", "--format=zip", "--prefix=" + modulePath + "@" + version + "/", "-o", filepath.Join(folder, version+".zip"), "HEAD", "."}
	for nested := range strings.Lines(output(t, "git", "-C", root, "ls-files", "*/go.mod")) {
		args = append(args, ":(exclude)"+filepath.Dir(strings.TrimSpace(nested)))
	}
	output(t, "git", args...)
}

// output runs a program, which has to succeed, and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}
