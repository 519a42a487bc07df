package controlplane

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// newReplacementWorld is the guide's control plane of three with a bare host, cp4, and the removal of one that it replaces.
func newReplacementWorld(t *testing.T, controller string, change ...func(w *removalWorld)) (*removalWorld, Removal) {
	t.Helper()
	const third = "    - {role: controller, ssh: {address: 10.10.2.2, user: ops}}\n"
	w := newRemovalWorldOf(t, strings.Replace(guideFile, third, third+"    - {role: controller, ssh: {address: 10.10.5.2, user: root}}\n", 1), change...)
	by := []*config.Host{w.file.Cluster.Find("10.10.5.2")}
	return w, Removal{Controller: controller, ReplacedBy: &Replacement{Growth: Growth{Wanted: by}}}
}

// in makes cp4 a member.
func in(w *removalWorld) {
	w.controlPlane("10.10.5.2")
	w.members = append(w.members, member(0xd4, "cp4", "10.10.5.2"))
}

// one leaves cp1 alone.
func one(w *removalWorld) { w.members = w.members[:1] }

func TestWhoLeavesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		controller string
		change     []func(w *removalWorld)
		first      bool
		expected   int
		says       []string
		hushes     []string
	}{
		"alive":                     {"cp3", nil, false, 1, nil, []string{"cp3"}},
		"the leader":                {"cp1", nil, false, 1, nil, []string{"(a1)"}},
		"one of two":                {"cp2", []func(*removalWorld){twoMembers}, false, 1, nil, []string{"--allow-single", "quorum"}},
		"the only one":              {"cp1", []func(*removalWorld){one}, false, 1, []string{"use --allow-single"}, []string{"last voting member"}},
		"in its place already":      {"cp3", []func(*removalWorld){in}, false, 0, nil, []string{"cp3"}},
		"dead":                      {"cp3", []func(*removalWorld){dead("10.10.2.2")}, true, 0, nil, []string{"cp3", "10.10.2.2"}},
		"stopped":                   {"cp3", []func(*removalWorld){func(w *removalWorld) { w.silent[0xc3] = true }}, true, 0, nil, []string{"(c3)"}},
		"dead, of two":              {"cp2", []func(*removalWorld){twoMembers, dead("10.10.1.2")}, true, 0, []string{"lost its quorum"}, nil},
		"gone from etcd":            {"cp3", []func(*removalWorld){twoMembers}, true, 0, nil, []string{"(c3)"}},
		"gone, and the other is in": {"cp9", []func(*removalWorld){in}, true, 0, nil, []string{"cp9"}},
		"another one is dead":       {"cp3", []func(*removalWorld){dead("10.10.1.2")}, false, 1, []string{"connecting to root@10.10.1.2:22"}, nil},
		"a learner":                 {"d4", []func(*removalWorld){func(w *removalWorld) { w.members = append(w.members, learner(0xd4, "x", "10.10.9.2")) }}, true, 0, nil, []string{"learner"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newReplacementWorld(t, c.controller, c.change...)
			err := w.c.PreflightReplacement(t.Context(), r) // hosts in memory have no API servers, and no HAProxy
			if cli.ExitCode(err) != cli.ExitRefused {
				t.Fatal(err)
			}
			said := ""
			for line := range strings.Lines(err.Error()) {
				if !strings.Contains(line, "HAProxy") && !strings.Contains(line, "admin kubeconfig") {
					said += line
				}
			}
			if l := w.c.leaving; l.first != c.first || w.c.expected() != c.expected || slices.Contains(w.c.controllers, l.machine) {
				t.Errorf("first: %v, expected: %d, controllers: %s", l.first, w.c.expected(), names(w.c.controllers))
			}
			for _, says := range c.says {
				if !strings.Contains(said, says) {
					t.Errorf("it does not say %q:\n%s", says, said)
				}
			}
			for _, hushes := range c.hushes {
				if strings.Contains(said, hushes) {
					t.Errorf("it says %q:\n%s", hushes, said)
				}
			}
		})
	}
}

func TestWhoCannotReplaceWhom(t *testing.T) {
	for name, c := range map[string]struct {
		controller string
		change     func(w *removalWorld)
		code       int
		says       string
	}{
		"itself":           {"10.10.5.2", in, cli.ExitUsage, "root@10.10.5.2:22 is the host that is to leave: eject it first, without --replace-with"},
		"a namesake":       {"10.10.2.2", func(w *removalWorld) { w.hosts["10.10.5.2"].facts.Hostname = "cp3" }, cli.ExitUsage, `root@10.10.5.2:22 has the name "cp3"`},
		"one that is gone": {"cp9", func(*removalWorld) {}, cli.ExitError, "ejected already, or never was one: let root@10.10.5.2:22 join with kubectl ha-join"},
	} {
		w, r := newReplacementWorld(t, c.controller, c.change)
		if err := w.c.PreflightReplacement(t.Context(), r); cli.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}

// Whoever leaves last gets connections until then, while HAProxy lets the new one in.
func TestTheOneThatLeavesKeepsItsPlaceInHAProxy(t *testing.T) {
	for name, c := range map[string]struct {
		change              []func(w *removalWorld)
		removed             bool
		running, all, after string
	}{
		"alive": {nil, false, "cp1, cp2, cp3", "cp1, cp2, cp4, cp3", "cp1, cp2"},
		"gone":  {nil, true, "cp1, cp2", "cp1, cp2, cp4", "cp1, cp2"},
		"dead":  {[]func(*removalWorld){dead("10.10.2.2")}, false, "cp1, cp2", "cp1, cp2, cp4", "cp1, cp2"},
	} {
		w, r := newReplacementWorld(t, "cp3", c.change...)
		_ = w.c.PreflightReplacement(t.Context(), r) // hosts in memory have no API servers, and no HAProxy
		w.c.leaving.removed = c.removed
		list := func(active func(*machine) bool) string {
			var names []string
			for _, s := range w.c.servers(active) {
				names = append(names, s.Name)
			}
			return strings.Join(names, ", ")
		}
		if running, all, after := list(w.c.running), list(w.c.all), list(w.c.staying); running != c.running || all != c.all || after != c.after {
			t.Errorf("%s: running %s; all %s; staying %s", name, running, all, after)
		}
	}
}

// Two can be stopped first once a third one has joined; a dry run knows.
func TestADryRunKnowsWhoWillHaveJoined(t *testing.T) {
	w, r := newReplacementWorld(t, "cp1", one)
	_ = w.c.PreflightReplacement(t.Context(), r) // hosts in memory have no API servers, and no HAProxy
	w.c.balancers = nil
	leave, err := w.c.detailLeave(t.Context())
	if err != nil || strings.Join(leave, "; ") != "remove cp1 (a1) from etcd, by a member that stays; root@10.10.0.2:22: stop and disable k0s" {
		t.Errorf("got %q, %v", leave, err)
	}
	if lines, err := w.c.detailYield(t.Context()); err != nil || strings.Join(lines, "") != "from cp1 (a1) to the one that has joined" {
		t.Errorf("got %q, %v", lines, err)
	}
	if reason, err := w.c.skipFree(t.Context()); err != nil || reason != "" {
		t.Errorf("got %q, %v", reason, err)
	}
	w, r = newReplacementWorld(t, "cp2", twoMembers)
	_ = w.c.PreflightReplacement(t.Context(), r)
	if leave, err := w.c.detailLeave(t.Context()); err != nil || !strings.HasPrefix(strings.Join(leave, "; "), "root@10.10.1.2:22: stop and disable k0s; remove cp2") {
		t.Errorf("got %q, %v", leave, err)
	}
}

func TestExchange(t *testing.T) {
	var all bytes.Buffer
	for _, k := range []struct {
		title, controller string
		change            []func(w *removalWorld)
	}{
		{"alive", "cp3", nil},
		{"dead", "cp3", []func(*removalWorld){dead("10.10.2.2")}},
		{"the new one is in", "cp3", []func(*removalWorld){in}},
		{"the old one has gone, too", "cp9", []func(*removalWorld){in}},
	} {
		w, r := newReplacementWorld(t, k.controller, k.change...)
		_ = w.c.PreflightReplacement(t.Context(), r) // hosts in memory have no API servers, and no HAProxy
		fmt.Fprintf(&all, "# %s\n%s\n", k.title, strings.Join(w.c.exchange(t.Context()), "\n"))
		for _, m := range w.c.joiners {
			m.voter = true
		}
		fmt.Fprintf(&all, "%s\n", strings.Join(w.c.ReplacementAftermath(), "\n"))
	}
	golden.Compare(t, "replacement", all.String())
}
