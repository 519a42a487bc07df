package syncer

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// pageOf is the page of a replica of three controllers and two load balancers.
func pageOf(controllers ...Controller) *page {
	o := Options{Namespace: "kubectl-ha", Identity: "ha-syncer-1", LoadBalancers: []LoadBalancer{{"root", "10.10.4.10:22"}, {"root", "10.10.4.11:22"}}}
	p := newPage(o, func() ([]Controller, bool) { return controllers, len(controllers) > 0 })
	p.now = func() time.Time { return time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC) }
	return p
}

var guideControllers = []Controller{
	{Name: "k0s-at-vie-1", Address: netip.MustParseAddr("10.10.1.2"), Node: true, Role: voter},
	{Name: "k0s-ch-sion-1", Address: netip.MustParseAddr("10.10.0.2"), Node: true, Role: voter},
	{Name: "k0s-de-fra-1", Address: netip.MustParseAddr("10.10.2.2"), Role: formerMember, Leaving: true},
	{Name: "cp4", Address: netip.MustParseAddr("10.10.3.2")},
}

// guideReport is what an HAProxy says: two controllers are up, one of them not in every backend, one is leaving, and one
// server is nobody's.
func guideReport() *wire.Report {
	server := func(backend, slot, address, admin, check string, up bool, sessions int) wire.ServerState {
		return wire.ServerState{Backend: backend, Slot: slot, Address: netip.MustParseAddr(address), Admin: admin, Check: check, Up: up, Sessions: sessions}
	}
	return &wire.Report{
		Managed: true, Running: true, Certificate: &wire.Certificate{Serial: "1f", NotAfter: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)},
		Process: &wire.Process{PID: 7, Version: "2.6.12", UptimeSeconds: 3661},
		Servers: []wire.ServerState{
			server("kubeAPI_backend", "k0s-ch-sion-1", "10.10.0.2", "ready", "L7OK/200", true, 12),
			server("kubeAPI_backend", "k0s-at-vie-1", "10.10.1.2", "ready", "L4CON", false, 0),
			server("kubeAPI_backend", "k0s-de-fra-1", "10.10.2.2", "drain", "L7OK/200", false, 3),
			server("kubeAPI_backend", "ha-spare-1", "10.10.9.9", "maint", "", false, 0),
			{Backend: "kubeAPI_backend", Slot: "ha-spare-2", Address: netip.MustParseAddr("127.0.0.1"), Admin: "maint", Unused: true},
			server("konnectivity_backend", "k0s-ch-sion-1", "10.10.0.2", "ready", "L4OK", true, 2),
			server("konnectivity_backend", "k0s-at-vie-1", "10.10.1.2", "ready", "L4OK", true, 1),
			server("konnectivity_backend", "k0s-de-fra-1", "10.10.2.2", "drain", "L4OK", false, 0),
		},
	}
}

// leadingPage is a page with everything on it.
func leadingPage() *page {
	p := pageOf(guideControllers...)
	p.leads("ha-syncer-1")
	p.saw(p.balancers[0], outcome{result: success, report: guideReport(), waiting: guideControllers[3:], actions: []string{
		"k0s-de-fra-1 (10.10.2.2): no new connections to slot k0s-de-fra-1 in every backend", "write /etc/haproxy/haproxy.cfg",
	}})
	p.saw(p.balancers[1], outcome{result: failed, err: errors.New(`connecting to 10.10.4.11:22: <b>no route to host</b>`)})
	return p
}

func TestPage(t *testing.T) {
	follower := pageOf(guideControllers...)
	follower.leads("ha-syncer-2")
	for name, p := range map[string]*page{"leading": leadingPage(), "following": follower, "nothing-known": pageOf()} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			if policy := w.Header().Get("Content-Security-Policy"); w.Code != http.StatusOK || !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("%d, %s", w.Code, policy)
			}
			_, body, _ := strings.Cut(w.Body.String(), "<body>")
			golden.Compare(t, "page-"+name, body)
		})
	}
}

func TestThePageForgetsWhatALeaderKnew(t *testing.T) {
	p := leadingPage()
	for range 2 * keptChanges {
		p.saw(p.balancers[0], outcome{result: success, actions: []string{"write"}})
	}
	if len(p.view().Changes) != keptChanges {
		t.Errorf("it lists %d changes", len(p.view().Changes))
	}
	p.forget()
	if v := p.view(); v.Leading {
		t.Error("it still leads")
	}
	p.leads(p.identity)
	if v := p.view(); len(v.Changes) != 0 || v.Balancers[0].Result != "" {
		t.Errorf("it still shows %+v", v)
	}
}
