//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestKilledAtAnyStepAndRunAgainCompletes kills ha-init (SIGKILL) once at every step it starts and at everything it
// says of a host within a step, and runs it again each time, until a run completes.
func TestKilledAtAnyStepAndRunAgainCompletes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide", "worker-1")
	file := clusterFile{members: append(controllerWorker(guide...), worker("worker-1")...)}
	file.members[1].more = []string{`hooks: {apply: {after: ["touch /root/after"]}}`}
	s.write(file)
	killed := map[string]bool{}
	for {
		moment := s.runUntilNew(killed)
		if moment == "" {
			break
		}
		t.Logf("killed at %q", moment)
		killed[moment] = true
		if len(killed) > 60 {
			t.Fatal("ha-init does not complete")
		}
	}
	t.Logf("completed after being killed %d times", len(killed))
	for _, step := range []string{"Install HAProxy", "Put k0s", "Put HAProxy", "Start the first", "Let HAProxy ask",
		"Join the other", "Join the workers", "Write the kubeconfig", "Verify"} {
		if !killedIn(killed, step) {
			t.Errorf("no run was killed in the step %q: %v", step, killed)
		}
	}
	s.sh(guide[1], "test -e /root/after")
	s.checkControlPlane(3)
	s.checkNodes(append([]string{"worker-1"}, guide...)...)
	s.checkServers(loadBalancer, guide...)
	if r := s.mustInit(); !strings.Contains(r.stdout, "Nothing was changed") {
		t.Errorf("after completion nothing must be left to do: %s", r.stdout)
	}
	if leftovers := s.sh(guide[1], "ls /usr/local/bin/*.part-* /etc/k0s/*.part-* 2>/dev/null; cat /etc/k0s/kubectl-ha.token"); strings.Contains(leftovers, "part-") ||
		!strings.HasPrefix(leftovers, "#") {
		t.Errorf("left on a host: %s", leftovers)
	}
}

func killedIn(killed map[string]bool, step string) bool {
	for moment := range killed {
		if strings.HasPrefix(moment, step) {
			return true
		}
	}
	return false
}

// runUntilNew runs ha-init and kills it at the first moment that is not yet in killed, which it returns; it returns
// nothing when the run completes.
func (s *site) runUntilNew(killed map[string]bool) string {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), absolute(s.t, haInit), "-f", s.path("cluster.yaml"), "--progress=json")
	command.Dir = s.dir
	command.Env = append(os.Environ(), "SSH_KNOWN_HOSTS="+s.KnownHosts(), "SSH_AUTH_SOCK=")
	stderr, err := command.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	title, moment, said := "", "", ""
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var event struct{ Event, Title, Text string }
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			said += lines.Text() + "\n"
			continue
		}
		switch event.Event {
		case "step-started":
			title = event.Title
			moment = title
		case "host":
			moment = title + ": " + wordsOf(event.Text, 2)
		case "progress":
			moment = title + ": copying"
		default:
			continue
		}
		if !killed[moment] {
			if err := command.Process.Kill(); err != nil {
				s.t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, stderr)
			_ = command.Wait() // it was killed
			return moment
		}
	}
	if err := command.Wait(); err != nil {
		s.t.Fatalf("ha-init failed after %d kills: %v\n%s", len(killed), err, said)
	}
	return ""
}

// wordsOf is the first n words of a text that name no host.
func wordsOf(text string, n int) string {
	if _, after, found := strings.Cut(text, "): "); found { // "name (address): what is done"
		text = after
	}
	words := strings.Fields(text)
	return strings.Join(words[:min(n, len(words))], " ")
}
