package syncer

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

func member(n int) Controller {
	return Controller{Name: fmt.Sprint("cp", n), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), Node: true}
}

func leaver(n int) Controller {
	c := member(n)
	c.Leaving = true
	return c
}

func members(numbers ...int) []Controller {
	controllers := make([]Controller, len(numbers))
	for i, n := range numbers {
		controllers[i] = member(n)
	}
	return controllers
}

// haproxy is a report of servers, each in one of the states up, down, drain and maint, and in the file as is fit.
func haproxyWith(states map[int]string) *wire.Report {
	report := &wire.Report{Managed: true, Running: true, Process: &wire.Process{PID: 1, Version: "2.6.12"}}
	for n := range 10 {
		state, ok := states[n]
		if !ok {
			continue
		}
		c := member(n)
		admin := map[string]string{"up": "ready", "down": "ready"}[state]
		if admin == "" {
			admin = state
		}
		report.Slots = append(report.Slots, wire.Slot{Name: c.Name, Address: c.Address, Enabled: admin == "ready"})
		for _, backend := range []string{"kubeAPI_backend", "konnectivity_backend"} {
			report.Servers = append(report.Servers, wire.ServerState{
				Backend: backend, Slot: c.Name, Address: c.Address, Admin: admin, Status: strings.ToUpper(state), Up: state == "up",
			})
		}
	}
	report.Slots = append(report.Slots, wire.Slot{Name: "slot9"})
	report.Servers = append(report.Servers, wire.ServerState{Backend: "kubeAPI_backend", Slot: "slot9", Address: ip("127.0.0.1"), Port: 1, Admin: "maint", Unused: true})
	return report
}

func TestDecide(t *testing.T) {
	active := func(n int) wire.Server {
		return wire.Server{Name: member(n).Name, Address: member(n).Address, Active: true}
	}
	aside := func(n int) wire.Server { return wire.Server{Name: member(n).Name, Address: member(n).Address} }
	for name, c := range map[string]struct {
		controllers []Controller
		haproxy     map[int]string
		ready       []int
		want        []wire.Server
		waiting     []Controller
	}{
		"as it shall be":                             {members(1, 2), map[int]string{1: "up", 2: "up"}, nil, []wire.Server{active(1), active(2)}, nil},
		"who is in is not asked again":               {members(1, 2), map[int]string{1: "up", 2: "down"}, nil, []wire.Server{active(1), active(2)}, nil},
		"a new one that is ready":                    {members(1, 2), map[int]string{1: "up"}, []int{2}, []wire.Server{active(1), active(2)}, nil},
		"a new one that is not ready":                {members(1, 2), map[int]string{1: "up"}, nil, []wire.Server{active(1)}, members(2)},
		"a prepared one that is not ready":           {members(1, 2), map[int]string{1: "up", 2: "maint"}, nil, []wire.Server{active(1), aside(2)}, members(2)},
		"a prepared one that is ready":               {members(1, 2), map[int]string{1: "up", 2: "maint"}, []int{2}, []wire.Server{active(1), active(2)}, nil},
		"drained by somebody, and it does not leave": {members(1, 2), map[int]string{1: "up", 2: "drain"}, []int{2}, []wire.Server{active(1), active(2)}, nil},
		"one that leaves keeps its place":            {[]Controller{member(1), leaver(2)}, map[int]string{1: "up", 2: "up"}, []int{2}, []wire.Server{active(1), aside(2)}, nil},
		"one that leaves and has no place":           {[]Controller{member(1), leaver(2)}, map[int]string{1: "up"}, []int{2}, []wire.Server{active(1)}, nil},
		"one that nothing tells of":                  {members(1), map[int]string{1: "up", 2: "up"}, []int{2}, []wire.Server{active(1)}, nil},
		"an HAProxy without anybody":                 {members(1, 2), nil, []int{1}, []wire.Server{active(1)}, members(2)},
		"wrong servers alone":                        {members(1, 2), map[int]string{8: "down", 9: "down"}, []int{1, 2}, []wire.Server{active(1), active(2)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			asked := entering(c.controllers, haproxyWith(c.haproxy))
			got := decide(c.controllers, haproxyWith(c.haproxy), func(address netip.Addr) bool {
				if !containsAddress(asked, address) {
					t.Errorf("%s is not asked", address)
				}
				for _, n := range c.ready {
					if member(n).Address == address {
						return true
					}
				}
				return false
			})
			if !reflect.DeepEqual(got.servers, c.want) || !reflect.DeepEqual(got.waiting, c.waiting) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func containsAddress(addresses []netip.Addr, address netip.Addr) bool {
	for _, a := range addresses {
		if a == address {
			return true
		}
	}
	return false
}

func TestAServerOfTheFileAloneIsIn(t *testing.T) {
	report := haproxyWith(map[int]string{1: "up"})
	report.Slots = append(report.Slots, wire.Slot{Name: "cp2", Address: member(2).Address, Enabled: true})
	if active, present := place(report, member(2).Address); !active || !present {
		t.Error("a reload that lost a server would keep it out")
	}
}

func TestGuard(t *testing.T) {
	five := map[int]string{1: "up", 2: "up", 3: "up", 4: "up", 5: "up"}
	for name, c := range map[string]struct {
		controllers []Controller
		haproxy     map[int]string
		percent     int
		refused     string
	}{
		"nothing changes":                     {members(1, 2, 3), map[int]string{1: "up", 2: "up", 3: "up"}, 34, ""},
		"the API knows nobody":                {nil, map[int]string{1: "up"}, 34, "knows no controller"},
		"all leave":                           {[]Controller{leaver(1), leaver(2)}, map[int]string{1: "up", 2: "up"}, 34, "no controller would get connections"},
		"one of three goes":                   {members(1, 2), map[int]string{1: "up", 2: "up", 3: "up"}, 34, ""},
		"two of three go":                     {members(1), map[int]string{1: "up", 2: "up", 3: "up"}, 34, "10.0.0.2, 10.0.0.3 would be taken away at once"},
		"one of two goes":                     {members(1), map[int]string{1: "up", 2: "up"}, 34, ""},
		"one goes, whatever the percentage":   {members(1, 2), map[int]string{1: "up", 2: "up", 3: "up"}, 0, ""},
		"one of five goes, one leaves":        {[]Controller{member(1), member(2), member(3), leaver(4)}, five, 34, "taken away at once"},
		"two of five go by a high percentage": {members(1, 2, 3), five, 40, ""},
		"those that go are down":              {members(1), map[int]string{1: "up", 2: "down", 3: "down"}, 34, ""},
		"those that go are aside":             {members(1), map[int]string{1: "up", 2: "maint", 3: "drain"}, 34, ""},
		"everybody is wrong and down":         {members(1, 2), map[int]string{7: "down", 8: "down", 9: "down"}, 34, ""},
		"everybody is wrong and up":           {members(1, 2), map[int]string{7: "up", 8: "up", 9: "up"}, 34, "taken away at once"},
	} {
		t.Run(name, func(t *testing.T) {
			report := haproxyWith(c.haproxy)
			d := decide(c.controllers, report, func(netip.Addr) bool { return true })
			err := guard(c.controllers, d, report, c.percent, nil)
			if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%v; want an error with %q", err, c.refused)
			}
		})
	}
	deaf := &wire.Report{Running: true}
	for n := range 3 {
		deaf.Slots = append(deaf.Slots, wire.Slot{Address: member(n + 1).Address, Enabled: true})
	}
	if err := guard(members(1), decide(members(1), deaf, func(netip.Addr) bool { return true }), deaf, 34, nil); err == nil {
		t.Error("an HAProxy that cannot be asked would lose two of three")
	}
	report := haproxyWith(map[int]string{})
	if err := guard(members(1), decide(members(1), report, func(netip.Addr) bool { return false }), report, 100, nil); err == nil {
		t.Error("an HAProxy without servers would get none")
	}
}

// TestObjectsThatAreLostOneAfterAnother lets five controllers vanish from the API within seconds.
func TestObjectsThatAreLostOneAfterAnother(t *testing.T) {
	b, now := &balancer{}, time.Now()
	look := func(up map[int]string, controllers []Controller) error {
		report := haproxyWith(up)
		d := decide(controllers, report, func(netip.Addr) bool { return true })
		if err := guard(controllers, d, report, 40, b.lately(controllers, now)); err != nil {
			return err
		}
		b.note(d.vanished, now)
		return nil
	}
	five := map[int]string{1: "up", 2: "up", 3: "up", 4: "up", 5: "up"}
	if err := look(five, members(1, 2, 3, 4)); err != nil {
		t.Errorf("the first: %v", err)
	}
	now = now.Add(time.Second)
	if err := look(five, members(1, 2, 3, 4)); err != nil {
		t.Errorf("the first again, whom HAProxy could not let go: %v", err)
	}
	delete(five, 5)
	if err := look(five, members(1, 2, 3)); err != nil {
		t.Errorf("the second is two of five: %v", err)
	}
	delete(five, 4)
	want := "no object tells of 10.0.0.3 any more, which was so of 10.0.0.4, 10.0.0.5 within the last 1m0s, and at most 2 may be taken away in that time"
	if err := look(five, members(1, 2)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the third: %v", err)
	}
	if err := look(five, []Controller{member(1), member(2), leaver(3)}); err != nil {
		t.Errorf("one that an object says is leaving: %v", err)
	}
	now = now.Add(removalWindow)
	if err := look(five, members(1, 2)); err != nil {
		t.Errorf("the third a minute later: %v", err)
	}
	if lately := b.lately(members(1, 2, 3), now); len(lately) != 0 {
		t.Errorf("one that came back counts: %v", lately)
	}
}
