package controlplane

import (
	"strings"
	"testing"
)

func TestInstallHAProxy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *fakeHost)
		detail string
		did    string
	}{
		"a bare host": {
			func(*fakeHost) {}, "root@10.10.4.10:22: install the package haproxy (apt)", "install haproxy",
		},
		"HAProxy is there": {func(h *fakeHost) { h.facts.Services["haproxy"] = "active" }, "", ""},
		"a user who becomes root by sudo needs socat to reach HAProxy's socket": {
			func(h *fakeHost) { h.facts.Sudo = true }, "root@10.10.4.10:22: install the packages haproxy, socat (apt)", "install haproxy socat",
		},
		"HAProxy is there, and socat is not": {
			func(h *fakeHost) { h.facts.Services["haproxy"], h.facts.Sudo = "inactive", true },
			"root@10.10.4.10:22: install the package socat (apt)", "install socat",
		},
		"both are there": {
			func(h *fakeHost) {
				h.facts.Services["haproxy"], h.facts.Sudo, h.facts.Socat = "active", true, true
			}, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			h := w.hosts["10.10.4.10"]
			c.change(h)
			cluster := w.survey()
			lines, err := cluster.detailInstallHAProxy(t.Context())
			if got := strings.Join(lines, "\n"); err != nil || got != c.detail {
				t.Errorf("detail: %s, %v", got, err)
			}
			if reason, err := cluster.skipInstallHAProxy(t.Context()); err != nil || (reason == "") != (c.did != "") {
				t.Errorf("skipped: %q, %v", reason, err)
			}
			if err := cluster.installHAProxy(t.Context()); err != nil || h.did() != c.did {
				t.Errorf("got %v after %s", err, h.did())
			}
			if reason, err := cluster.skipInstallHAProxy(t.Context()); err != nil || reason == "" {
				t.Errorf("done, but not skipped: %v", err)
			}
		})
	}

	t.Run("what cannot be installed is found before", func(t *testing.T) {
		w := newWorld(t, guideFile)
		h := w.hosts["10.10.4.10"]
		h.facts.Sudo, h.packages = true, false
		expectProblems(t, w.survey().checkHAProxy(t.Context()), `there is no package "haproxy"`, `there is no package "socat"`)
	})
}
