//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0sbin"
)

// checkK0sKubectl runs each plugin by the kubectl that is in k0s, which has to find it, and to hand on its flags, what it
// prints and its exit code.
func (s *site) checkK0sKubectl() {
	if k0sKind == k0sbin.StandIn {
		s.t.Skip("the stand-in for k0s has no kubectl")
	}
	run := func(name string, args ...string) (output string, code int) {
		command := exec.CommandContext(s.t.Context(), name, append(args, "-f", s.path("cluster.yaml"))...)
		command.Env = append(os.Environ(), "SSH_KNOWN_HOSTS="+s.KnownHosts(), "PATH="+filepath.Dir(absolute(s.t, haInit))+":"+os.Getenv("PATH"))
		out, _ := command.CombinedOutput() // its exit code says what came of it
		return string(out), command.ProcessState.ExitCode()
	}
	for _, args := range [][]string{
		{"ha-init", "--version"}, {"ha-join", "--version"}, {"etcd-members", "-o", "name"},
		{"ha-eject", "nobody"}, // is no controller
	} {
		plugin := filepath.Join(filepath.Dir(haInit), "kubectl-"+strings.ReplaceAll(args[0], "-", "_"))
		want, wantCode := run(absolute(s.t, plugin), args[1:]...)
		got, code := run(k0sExecutable, append([]string{"kubectl"}, args...)...)
		if got != want || code != wantCode {
			s.t.Errorf("k0s kubectl %s: exit code %d and\n%s\nnot %d and\n%s", strings.Join(args, " "), code, got, wantCode, want)
		}
	}
}
