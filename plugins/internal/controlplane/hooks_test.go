package controlplane

import (
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// A run that sets a host up may be cut off before its last hooks: the note on the host tells the next one.
func TestHooksForAfterwardsAreTakenUpByTheNextRun(t *testing.T) {
	hooks := config.Hooks{"apply": {"before": {"echo before"}, "after": {"echo after"}}}
	for name, c := range map[string]struct {
		prepare func(w *world)
		before  bool
		after   bool
	}{
		"new":             {func(*world) {}, true, true},
		"set up, noted":   {func(w *world) { w.controlPlane("10.10.0.2"); w.hosts["10.10.0.2"].files[pendingHooks] = "" }, false, true},
		"set up, no note": {func(w *world) { w.controlPlane("10.10.0.2") }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.file.Cluster.Hosts[0].Hooks = hooks
			c.prepare(w)
			cluster := w.survey()
			for stage, want := range map[string]bool{"before": c.before, "after": c.after} {
				reason, err := cluster.Hooks("", stage).Skip(t.Context())
				if err != nil || (reason == "") != want {
					t.Errorf("%s: skipped for %q, %v", stage, reason, err)
				}
			}
			if err := cluster.Hooks("", "after").Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			did := w.hosts["10.10.0.2"].did()
			if ran := strings.Contains(did, "run echo after\nrun rm -f "+pendingHooks); ran != c.after {
				t.Errorf("it did\n%s", did)
			}
		})
	}
}

func TestTheNoteIsLeftBeforeK0sIsInstalled(t *testing.T) {
	w := newWorld(t, guideFile)
	w.file.Cluster.Hosts[0].Hooks = config.Hooks{"apply": {"after": {"echo after"}}}
	c := w.survey()
	for _, m := range c.controllers[:2] {
		if err := c.install(t.Context(), m, ""); err != nil {
			t.Fatal(err)
		}
	}
	if did := w.hosts["10.10.0.2"].did(); strings.Index(did, "write "+pendingHooks) > strings.Index(did, " install controller") ||
		!strings.Contains(did, "write "+pendingHooks) {
		t.Errorf("it did\n%s", did)
	}
	if did := w.hosts["10.10.1.2"].did(); strings.Contains(did, pendingHooks) {
		t.Errorf("a host without such hooks: it did\n%s", did)
	}
}
