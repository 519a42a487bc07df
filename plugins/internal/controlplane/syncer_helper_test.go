package controlplane

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper"
)

// syncerFile is the guide's file with the syncer.
const syncerFile = guideFile + "  syncer: {enabled: true, image: registry.example/ha-syncer:v1}\n"

// withHelper surveys a world whose file asks for the syncer, with a helper on this machine.
func (w *world) withHelper() *Cluster {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "ha-lb-helper")
	if err := os.WriteFile(file, []byte("the helper"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	u, err := measure(file)
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.survey()
	c.helpers = map[string]upload{"amd64": u}
	w.hosts["10.10.4.10"].log = nil
	return c
}

func policyOn(t *testing.T, h *fakeHost) *lbhelper.Policy {
	t.Helper()
	policy, err := lbhelper.ParsePolicy([]byte(h.files[lbhelper.DefaultPolicyPath]))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestPutHelper(t *testing.T) {
	w := newWorld(t, syncerFile)
	c := w.withHelper()
	h := w.hosts["10.10.4.10"]
	if err := c.putHelper(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "run mkdir -p -m 0755 /usr/local/lib/kubectl-ha /etc/kubectl-ha\nupload /usr/local/lib/kubectl-ha/ha-lb-helper\n" +
		"write /etc/kubectl-ha/lb-helper.json\nrun /usr/local/lib/kubectl-ha/ha-lb-helper -check\nrun " + endHelpers
	if got := h.did(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if h.modes[lbhelper.DefaultPolicyPath] != 0o644 || h.modes[helperPath] != 0o755 {
		t.Errorf("modes %v", h.modes)
	}
	policy := policyOn(t, h)
	if got := list(policy.Networks); got != "10.10.0.2/32, 10.10.1.2/32, 10.10.2.2/32" || policy.MaxServers != lbhelper.DefaultMaxServers {
		t.Errorf("%s, %+v", got, policy)
	}

	t.Run("again", func(t *testing.T) {
		if reason, err := c.skipHelper(t.Context()); err != nil || reason != "it is on every load balancer" {
			t.Errorf("%q, %v", reason, err)
		}
	})
	t.Run("limits that were raised stay, the rest follows the file", func(t *testing.T) {
		raised := *policy
		raised.MaxServers, raised.Networks = 40, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		text, err := textOf(raised)
		if err != nil {
			t.Fatal(err)
		}
		h.files[lbhelper.DefaultPolicyPath], h.log = string(text), nil
		c.file.LoadBalancer.SpareServers = 7
		if err := c.putHelper(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := policyOn(t, h); p.MaxServers != 40 || p.Spares != 7 || len(p.Networks) != 3 || strings.Contains(h.did(), "upload") {
			t.Errorf("%+v after\n%s", p, h.did())
		}
	})
	t.Run("another helper", func(t *testing.T) {
		h.files[helperPath], h.log = "an old one", nil
		if err := c.putHelper(t.Context()); err != nil || !strings.Contains(h.did(), "upload") || strings.Contains(h.did(), "write") {
			t.Errorf("%v after\n%s", err, h.did())
		}
	})
	t.Run("a policy that nobody can read", func(t *testing.T) {
		h.files[lbhelper.DefaultPolicyPath] = "{"
		if _, err := c.skipHelper(t.Context()); err == nil || !strings.Contains(err.Error(), "run kubectl ha-init") {
			t.Errorf("%v", err)
		}
	})
	t.Run("not asked for", func(t *testing.T) {
		c := newWorld(t, guideFile).survey()
		for _, skip := range []string{first(c.skipHelper(t.Context())), first(c.skipSyncer(t.Context()))} {
			if skip != noSyncer {
				t.Errorf("%q", skip)
			}
		}
	})
}

func first(reason string, _ error) string { return reason }

// TestPolicyIsThatOfTheBlock holds what the helper would write to be what the plugins write.
func TestPolicyIsThatOfTheBlock(t *testing.T) {
	for name, change := range map[string]func(*config.LoadBalancer){
		"as it is":  func(*config.LoadBalancer) {},
		"TLS":       func(lb *config.LoadBalancer) { lb.Check = config.CheckTLS },
		"no stats":  func(lb *config.LoadBalancer) { lb.Stats.Disabled = true },
		"IPv6":      func(lb *config.LoadBalancer) { lb.Address = "fd00::10" },
		"no spares": func(lb *config.LoadBalancer) { lb.SpareServers = 0 },
		"elsewhere": func(lb *config.LoadBalancer) { lb.ConfigPath, lb.Balance = "/etc/h.cfg", "random" },
		"ports":     func(lb *config.LoadBalancer) { lb.Ports.KubeAPI = 7443 },
	} {
		t.Run(name, func(t *testing.T) {
			lb := newWorld(t, guideFile).file.LoadBalancer
			change(lb)
			servers := []haproxy.Server{{Name: "cp1", Address: netip.MustParseAddr("10.10.0.2"), Active: true}}
			text, err := textOf(policyOf(lb, lbhelper.Policy{MaxServers: 16}, servers))
			if err != nil {
				t.Fatal(err)
			}
			p, err := lbhelper.ParsePolicy(text)
			if err != nil {
				t.Fatal(err)
			}
			spec := haproxy.Spec{
				Name: p.Name, Bind: p.Bind, Ports: haproxy.Ports(p.Ports), Balance: p.Balance, Check: p.Check, StatsListen: p.StatsListen,
				Spares: p.Spares, ConfigPath: p.ConfigPath, SocketPath: p.SocketPath, CAFile: p.CAFile, ClientFile: p.ClientFile,
			}.WithDefaults()
			got, want := string(haproxy.Render(spec, haproxy.NewSlots(servers, spec.Spares))), string(haproxy.Render(specOf(lb), haproxy.NewSlots(servers, lb.SpareServers)))
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestJoiningControllersAreAllowed(t *testing.T) {
	w, c, _ := joinWorld(t)
	h := w.hosts["10.10.4.10"]
	skip := func() string {
		t.Helper()
		reason, err := c.skipAllow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return reason
	}
	if skip() == "" {
		t.Error("there is no syncer")
	}
	c.file.LoadBalancer.Syncer.MaxRemovalPercent = 50
	policy := policyOf(c.file.LoadBalancer, lbhelper.Policy{MaxServers: 5}, c.servers(c.running))
	policy.Networks = []netip.Prefix{netip.MustParsePrefix("10.10.0.0/23")}
	text, err := textOf(policy)
	if err != nil {
		t.Fatal(err)
	}
	h.files[lbhelper.DefaultPolicyPath] = string(text)
	w.hosts["10.10.0.2"].files["/var/lib/k0s/images/ha-syncer.tar"] = "the image"
	c.joiners = c.controllers[1:]
	if lines, err := c.detailAllow(t.Context()); err != nil || len(lines) != 2 || !strings.Contains(lines[0], "10.10.2.2/32, too") || !strings.HasPrefix(lines[1], "cp2: ") {
		t.Errorf("%q, %v", lines, err)
	}
	if err := c.allow(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := policyOn(t, h)
	if got := list(after.Networks); got != "10.10.0.0/23, 10.10.2.2/32" || after.MaxServers != 5 || after.MaxRemovalPercent != 50 {
		t.Errorf("%s, %+v", got, after)
	}
	if !strings.HasSuffix(h.did(), endHelpers) {
		t.Errorf("sessions with the old policy go on: %s", h.did())
	}
	if got := w.hosts["10.10.1.2"].files["/var/lib/k0s/images/ha-syncer.tar"]; got != "the image" {
		t.Errorf("cp2, which runs pods, has %q", got)
	}
	if w.hosts["10.10.2.2"].has("/var/lib/k0s/images/ha-syncer.tar") {
		t.Error("cp3 runs no pods")
	}
	if skip() == "" {
		t.Error("it is done")
	}
}

func TestOutside(t *testing.T) {
	servers := []haproxy.Server{{Address: netip.MustParseAddr("10.0.0.1")}, {Address: netip.MustParseAddr("fd00::1")}, {Address: netip.MustParseAddr("10.1.0.1")}}
	got := outside([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, servers)
	if !slices.Equal(got, servers[1:]) {
		t.Errorf("%v", got)
	}
	if networks := list(networksOf(append(servers, servers...))); networks != "10.0.0.1/32, 10.1.0.1/32, fd00::1/128" {
		t.Errorf("%s", networks)
	}
}
