package haproxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// guideServers are the controllers of k0s's HAProxy guide.
func guideServers() []Server {
	return []Server{
		{Name: "k0s-ch-sion-1", Address: addr("10.10.0.2"), Active: true},
		{Name: "k0s-at-vie-1", Address: addr("10.10.1.2"), Active: true},
		{Name: "k0s-de-fra-1", Address: addr("10.10.2.2"), Active: true},
	}
}

func testSpec() Spec {
	return Spec{Name: "control-plane", StatsListen: DefaultStatsListen, CAFile: DefaultCAFile}.WithDefaults()
}

// renderCase is one of the goldens under testdata/render.
type renderCase struct {
	name  string
	spec  Spec
	slots []Slot
}

func renderCases() []renderCase {
	with := func(change func(*Spec)) Spec {
		spec := testSpec()
		change(&spec)
		return spec
	}
	three := guideServers()
	five := append(guideServers(), Server{Name: "cp4", Address: addr("10.10.3.2"), Active: true},
		Server{Name: "cp5", Address: addr("10.10.4.2")})
	ipv6 := []Server{
		{Name: "cp1", Address: addr("fd00:10::2"), Active: true},
		{Name: "cp2", Address: addr("::ffff:10.10.1.2"), Active: true},
	}
	return []renderCase{
		{"one-server", testSpec(), NewSlots(three[:1], 4)},
		{"three-servers", testSpec(), NewSlots(three, 2)},
		{"five-servers", testSpec(), NewSlots(five, 0)},
		{"no-servers", testSpec(), NewSlots(nil, 3)},
		{"ipv6", with(func(s *Spec) { s.Bind = netip.IPv6Unspecified() }), NewSlots(ipv6, 1)},
		{"bind-one-address", with(func(s *Spec) { s.Bind = addr("10.10.4.10") }), NewSlots(three, 1)},
		{"check-tls", with(func(s *Spec) { s.Check = CheckTLS }), NewSlots(three, 2)},
		{"unknown-ca", with(func(s *Spec) { s.CAFile = "" }), NewSlots(three, 2)},
		{"other-ports", with(func(s *Spec) {
			s.Ports = Ports{KubeAPI: 16443, Konnectivity: 18132, ControllerJoin: 19443}
			s.Balance = "roundrobin"
		}), NewSlots(three, 2)},
		{"no-stats", with(func(s *Spec) { s.StatsListen = "" }), NewSlots(three, 2)},
		{"no-log", with(func(s *Spec) { s.NoLog = true; s.StatsListen = "[::1]:9001" }), NewSlots(three, 2)},
	}
}

func TestRenderMatchesGoldenFiles(t *testing.T) {
	for _, c := range renderCases() {
		t.Run(c.name, func(t *testing.T) {
			if err := c.spec.Validate(); err != nil {
				t.Fatal(err)
			}
			golden.File(t, "testdata/render/"+c.name+".cfg", string(Render(c.spec, c.slots)))
		})
	}
}

func TestRenderedBlockIsReadBack(t *testing.T) {
	for _, c := range renderCases() {
		t.Run(c.name, func(t *testing.T) {
			for _, ending := range []string{"\n", "\r\n"} {
				block := strings.ReplaceAll(string(Render(c.spec, c.slots)), "\n", ending)
				parsed, err := ParseBlock([]byte(block))
				if err != nil {
					t.Fatal(err)
				}
				if len(parsed.Edits) > 0 {
					t.Errorf("edits in an untouched block: %v", parsed.Edits)
				}
				want := c.spec
				want.ConfigPath = ""
				want.Spares = parsed.Spec.Spares
				if want.Check == CheckTLS {
					want.CAFile, want.ClientFile = "", ""
				}
				if parsed.Spec != want {
					t.Errorf("got  %+v\nwant %+v", parsed.Spec, want)
				}
				if len(parsed.Slots) != len(c.slots) {
					t.Fatalf("got %d slots, want %d", len(parsed.Slots), len(c.slots))
				}
				for i, slot := range parsed.Slots {
					want := c.slots[i]
					want.Address = want.Address.Unmap()
					if slot != want {
						t.Errorf("slot %d: got %+v, want %+v", i, slot, want)
					}
				}
			}
		})
	}
}
