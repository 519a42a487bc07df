package controlplane

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// everyStep is every step that there is, in an order in which they can be taken.
func everyStep(c *Cluster) []step.Step {
	return []step.Step{
		c.Hooks("hooks before", "before"), c.Prepare("prepare"), c.InstallHAProxy("install HAProxy"), c.OpenFirewall("firewall"),
		c.Stage("stage"), c.BalanceRunning("balance running"), c.StartFirst("start first"), c.Convert("convert"),
		c.RepairKubernetesDefault("repair"), c.Certify("certify"), c.Join("join"), c.BalanceAll("balance all"),
		c.JoinWorkers("join workers"), c.ClearTokens("clear tokens"), c.RepointWorkers("re-point workers"),
		c.WriteKubeconfig("write kubeconfig"), c.Verify("verify"), c.Hooks("hooks after", "after"),
	}
}

// A dry run prints the plan, wherever the cluster stands.
func TestDryRun(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"plan-bare": func(w *world) {
			w.file.Cluster.Hosts[0].Hooks = config.Hooks{"apply": {"before": {"apt-get -y upgrade"}, "after": {"touch /root/done"}}}
			w.file.Cluster.Hosts[0].Hostname = "cp-1"
			w.file.Cluster.Hosts[0].Files = []config.UploadFile{{Data: "x", Dst: "/etc/motd"}}
			w.file.Cluster.Hosts[1].UploadBinary = true
			w.file.Cluster.K0s.Config["spec"] = map[string]any{"extensions": map[string]any{"helm": map[string]any{
				"repositories": []any{map[string]any{"name": "ours", "username": "me", "password": "hunter2"}},
			}}}
			w.hosts["10.10.4.10"].facts.SELinux = "enforcing"
			w.hosts["10.10.4.10"].fail["run getsebool haproxy_connect_any | grep -q 'on$'"] = errBroken
		},
		"plan-down": func(w *world) {
			w.controlPlane("10.10.0.2", "10.10.1.2", "10.10.2.2")
			w.joinWorker("10.10.20.2", testCA)
			for _, h := range w.hosts {
				h.answer = nil
			}
			w.hosts["10.10.4.10"].facts.Services["haproxy"] = "active"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.o.WriteKubeconfig = "kubeconfig"
			prepare(w)
			c := w.survey()
			if err := c.Preflight(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := map[string]string{}
			for address, h := range w.hosts {
				before[address] = h.changes()
			}
			var out bytes.Buffer
			if err := printPlan(t.Context(), &out, utf8, "kubectl ha-init", everyStep(c)); err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, name, out.String())
			if strings.Contains(out.String(), "hunter2") {
				t.Error("a password is printed")
			}
			for address, h := range w.hosts {
				if got := h.changes(); got != before[address] || got != "" {
					t.Errorf("%s was changed:\n%s", address, got)
				}
			}
		})
	}
}

func TestTimesAreToldOnce(t *testing.T) {
	result := step.Result{Changed: 1, Took: []step.Took{{Title: "Join"}}}
	for mode, want := range map[report.Mode]int{report.ModeAuto: 1, report.ModeTTY: 1, report.ModePlain: 1, report.ModeJSON: 0} {
		if got := untold(result, mode); len(got.Took) != want || got.Changed != 1 {
			t.Errorf("%s: got %+v", mode, got)
		}
	}
}

func utf8(string) string { return "C.UTF-8" }

// changes is what was done on the host, without looking.
func (h *fakeHost) changes() string {
	var lines []string
	for line := range strings.Lines(h.did()) {
		looks := strings.HasPrefix(line, "run getsebool ") || strings.HasSuffix(strings.TrimSpace(line), " status -o json")
		if !looks {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestADiffHidesWhatMayBeSecret(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"a: 1\n", "a: 1\n", ""},
		{"a: 1\n", "a: 2\n", "--- k0s.yaml\n+++ k0s.yaml (new)\n@@ -1 +1 @@\n-a: 1\n+a: 2"},
		{"token: x\n", "token: y\n", "k0s.yaml changes in what may be secret and is not shown"},
		{"token: [x\n", "token: y\n", "k0s.yaml changes in what may be secret and is not shown"},
	} {
		if got := strings.Join(diffLines("k0s.yaml", []byte(c.before), []byte(c.after)), "\n"); got != c.want {
			t.Errorf("%q to %q: got %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

func TestALockThatIsHeldIsARefusal(t *testing.T) {
	w := newWorld(t, guideFile)
	c := w.survey()
	if _, unlock, err := c.lock(t.Context(), "kubectl ha-init"); err != nil {
		t.Errorf("got %v", err)
	} else {
		unlock()
	}
	w.hosts["10.10.0.2"].lock = errBroken
	if _, _, err := c.lock(t.Context(), "kubectl ha-init"); !errors.Is(err, errBroken) || cli.ExitCode(err) != cli.ExitError {
		t.Errorf("got %v", err)
	}
	w.hosts["10.10.0.2"].lock = heldLock()
	if _, _, err := c.lock(t.Context(), "kubectl ha-init"); cli.ExitCode(err) != cli.ExitRefused || !strings.Contains(err.Error(), "another command is changing the control plane: ") {
		t.Errorf("got %v", err)
	}
	w.hosts["10.10.0.2"].lock, w.hosts["10.10.4.10"].lock = nil, heldLock()
	if _, _, err := c.lock(t.Context(), "kubectl ha-init"); cli.ExitCode(err) != cli.ExitRefused {
		t.Errorf("a load balancer's: got %v", err)
	}
}
