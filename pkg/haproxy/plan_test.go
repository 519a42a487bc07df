package haproxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func planSpec() Spec {
	return Spec{Name: "control-plane", Check: CheckReadyz, StatsListen: DefaultStatsListen, Spares: 2,
		CAFile: DefaultCAFile}.WithDefaults()
}

// host is the controller with that number.
func host(n int, active bool) Server {
	return Server{Name: fmt.Sprintf("cp%d", n), Address: netip.AddrFrom4([4]byte{10, 10, byte(n), 2}), Active: active}
}

func hosts(numbers ...int) []Server {
	var servers []Server
	for _, n := range numbers {
		servers = append(servers, host(n, true))
	}
	return servers
}

// newWorld runs HAProxy with these servers.
func newWorld(t *testing.T, spec Spec, servers ...Server) *world {
	t.Helper()
	const user = "global\n    log /dev/log local0\ndefaults\n    log global\n"
	file, err := ReplaceBlock([]byte(user), Render(spec, NewSlots(servers, spec.Spares)))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{spec: spec, file: file, parsed: map[string]Current{}}
	w.start(t)
	return w
}

// set puts the server lines with that address into a state; an address that is not there gets the first spare.
func (w *world) set(server Server, state AdminState) {
	for _, backend := range w.spec.Backends() {
		has := func(address netip.Addr) int {
			return slices.IndexFunc(w.runtime.Servers, func(s ServerState) bool {
				return s.Backend == backend.Name && s.Address == address
			})
		}
		i := has(server.Address)
		if i < 0 {
			i = has(spareAddress())
		}
		s := &w.runtime.Servers[i]
		s.Address, s.Port, s.Admin, s.Status = server.Address, backend.Port, state,
			map[AdminState]string{Ready: "UP", Drain: "DRAIN", Maint: "MAINT"}[state]
	}
}

func kinds(p *Plan) string {
	var all []string
	for _, a := range p.Actions {
		all = append(all, fmt.Sprintf("%s %s", a.Kind, a.Server.Name))
	}
	return strings.ReplaceAll(strings.Join(all, ", ")+",", " ,", ",")
}

// The rows are those of MakePlan's comment, for cp2 beside a cp1 that stays, and what the file says of cp2.
func TestPlanFollowsItsTruthTable(t *testing.T) {
	const absent = AdminState("absent")
	for _, c := range []struct {
		desired  string // active, inactive or absent
		running  AdminState
		inFile   string // enabled, disabled or absent
		expected string
	}{
		{"active", Ready, "enabled", ""},
		{"active", Drain, "enabled", "check cp2, wait cp2, ready cp2"},
		{"active", Maint, "enabled", "check cp2, wait cp2, ready cp2"},
		{"active", absent, "enabled", "address cp2, check cp2, wait cp2, ready cp2"},
		{"active", Ready, "disabled", "write"},
		{"active", Drain, "disabled", "check cp2, wait cp2, ready cp2, write"},
		{"active", Maint, "disabled", "check cp2, wait cp2, ready cp2, write"},
		{"active", absent, "disabled", "address cp2, check cp2, wait cp2, ready cp2, write"},
		{"active", Ready, "absent", "write"},
		{"active", Drain, "absent", "check cp2, wait cp2, ready cp2, write"},
		{"active", Maint, "absent", "check cp2, wait cp2, ready cp2, write"},
		{"active", absent, "absent", "address cp2, check cp2, wait cp2, ready cp2, write"},
		{"inactive", Ready, "enabled", "drain cp2, write, maint cp2"},
		{"inactive", Drain, "enabled", "write, maint cp2"},
		{"inactive", Maint, "enabled", "write"},
		{"inactive", absent, "enabled", "address cp2, write"},
		{"inactive", Ready, "disabled", "drain cp2, maint cp2"},
		{"inactive", Drain, "disabled", "maint cp2"},
		{"inactive", Maint, "disabled", ""},
		{"inactive", absent, "disabled", "address cp2"},
		{"inactive", Ready, "absent", "drain cp2, write, maint cp2"},
		{"inactive", Drain, "absent", "write, maint cp2"},
		{"inactive", Maint, "absent", "write"},
		{"inactive", absent, "absent", "address cp2, write"},
		{"absent", Ready, "enabled", "drain slot, write, maint slot, free slot"},
		{"absent", Drain, "enabled", "write, maint slot, free slot"},
		{"absent", Maint, "enabled", "write, free slot"},
		{"absent", absent, "enabled", "write"},
		{"absent", Ready, "disabled", "drain slot, write, maint slot, free slot"},
		{"absent", Drain, "disabled", "write, maint slot, free slot"},
		{"absent", Maint, "disabled", "write, free slot"},
		{"absent", absent, "disabled", "write"},
		{"absent", Ready, "absent", "drain slot, maint slot, free slot"},
		{"absent", Drain, "absent", "maint slot, free slot"},
		{"absent", Maint, "absent", "free slot"},
		{"absent", absent, "absent", ""},
	} {
		t.Run(fmt.Sprintf("%s, running %s, %s in file", c.desired, c.running, c.inFile), func(t *testing.T) {
			w := newWorld(t, planSpec(), host(1, true))
			if c.running != absent {
				w.set(host(2, true), c.running)
			}
			cp1, cp2 := host(1, true), host(2, c.inFile == "enabled")
			if c.inFile != "absent" {
				slots := place(w.current(t).Slots, []Server{cp1, cp2}, 0)
				var err error
				if w.file, err = ReplaceBlock(w.file, Render(w.spec, slots)); err != nil {
					t.Fatal(err)
				}
			}
			want := Desired{Servers: []Server{cp1}}
			if c.desired != "absent" {
				want.Servers = append(want.Servers, host(2, c.desired == "active"))
			}
			plan, err := MakePlan(w.current(t), want)
			if err != nil {
				t.Fatal(err)
			}
			expected := strings.ReplaceAll(c.expected, " slot", " slot2")
			if got := strings.TrimSuffix(kinds(plan), ","); got != expected {
				t.Errorf("planned %q, not %q", got, expected)
			}
			for _, a := range plan.Actions {
				if len(a.Lines) != 0 && len(a.Lines) != len(w.spec.Backends()) {
					t.Errorf("%s: not in each backend", a)
				}
			}
		})
	}
}

func TestPlanReloadsOnlyWhenMoreThanMembersDiffers(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, w *world)
		want   []Server
		reason string // of the reload; empty when there is none
	}{
		{"nothing differs", nil, hosts(1, 2), ""},
		{"a controller joins", nil, hosts(1, 2, 3), ""},
		{"a controller leaves", nil, hosts(2), ""},
		{"a controller is replaced", nil, hosts(1, 3), ""},
		{"a name differs", nil, []Server{{Name: "other", Address: host(1, true).Address, Active: true}, host(2, true)}, ""},
		{"other spares are wanted", func(_ *testing.T, w *world) { w.spec.Spares = 5 }, hosts(1, 2), ""},
		{"other check", func(_ *testing.T, w *world) { w.spec.Check = CheckTLS }, hosts(1, 2), "settings"},
		{"other port", func(_ *testing.T, w *world) { w.spec.Ports.KubeAPI = 7443 }, hosts(1, 2), "settings"},
		{"no statistics", func(_ *testing.T, w *world) { w.spec.StatsListen = "" }, hosts(1, 2), "settings"},
		{"an edited block", func(_ *testing.T, w *world) {
			w.file = []byte(strings.Replace(string(w.file), "retries 3", "retries 9", 1))
		}, hosts(1, 2), "settings"},
		{"no block", func(_ *testing.T, w *world) { w.file, w.runtime = []byte("global\n"), nil }, hosts(1, 2), "no managed block"},
		{"not loaded", func(_ *testing.T, w *world) { w.runtime = nil }, hosts(1, 2), "not loaded"},
		{"another number of slots loaded", func(_ *testing.T, w *world) {
			w.runtime.Servers = slices.DeleteFunc(w.runtime.Servers, func(s ServerState) bool { return s.ID == 4 })
		}, hosts(1, 2), "not loaded"},
		{"unconfirmed", func(_ *testing.T, w *world) { w.unconfirmed = true }, hosts(1, 2), "not seen to take effect"},
		{"no slot is left", nil, hosts(1, 2, 3, 4, 5), "do not suffice"},
		{"no slot is left for a replacement", func(_ *testing.T, w *world) { w.set(host(8, true), Ready); w.set(host(9, true), Ready) },
			hosts(1, 2, 3), "do not suffice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, planSpec(), hosts(1, 2)...)
			if c.change != nil {
				c.change(t, w)
			}
			plan, err := MakePlan(w.current(t), Desired{Servers: c.want})
			if err != nil {
				t.Fatal(err)
			}
			if plan.Reloads() != (c.reason != "") || !strings.Contains(strings.Join(plan.Lines(), "\n"), c.reason) {
				t.Errorf("planned:\n%s", strings.Join(plan.Lines(), "\n"))
			}
			w.finish(t, plan)
			if d := w.differs(t, Desired{Servers: c.want}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPlanStartsHAProxyThatDoesNotRunWithTheDesiredServers(t *testing.T) {
	w := newWorld(t, planSpec(), hosts(1, 2)...)
	w.running, w.runtime = false, nil
	plan, err := MakePlan(w.current(t), Desired{Servers: hosts(2, 3)})
	if err != nil {
		t.Fatal(err)
	}
	if got := kinds(plan); got != "write, start," {
		t.Errorf("planned %q", got)
	}
}

func TestPlanForASlotsShortageKeepsWhoGetsConnectionsOverTheReload(t *testing.T) {
	w := newWorld(t, planSpec(), hosts(1, 2)...)
	plan, err := MakePlan(w.current(t), Desired{Servers: hosts(1, 3, 4, 5, 6)})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range single(plan.Actions) {
		w.do(t, plan, a)
		if a.Kind == ActReload {
			break
		}
	}
	kubeAPI := w.spec.Backends()[0]
	if got, want := fmt.Sprint(w.readyIn(kubeAPI)), "[10.10.1.2 10.10.2.2]"; got != want {
		t.Errorf("ready after the reload: %s, not %s", got, want)
	}
	if n := len(w.runtime.Backend(KubeAPIBackend)); n != 8 {
		t.Errorf("%d slots, not those of 6 controllers and 2 spares", n)
	}
}

// cp2 came and was cut off between two backends: it has not passed all its checks.
func TestPlanEnablesOverAReloadOnlyWhoGetsConnectionsInEachBackend(t *testing.T) {
	w := newWorld(t, planSpec(), hosts(1, 2)...)
	w.spec.Balance = "roundrobin"
	for i := range w.runtime.Servers {
		if s := &w.runtime.Servers[i]; s.Address == host(2, true).Address && s.Backend != KubeAPIBackend {
			s.Admin, s.Status = Drain, "DRAIN 1/2"
		}
	}
	plan, err := MakePlan(w.current(t), Desired{Servers: hosts(1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	if got := kinds(plan); got != "write, reload, check cp2, wait cp2, ready cp2, write," {
		t.Errorf("planned %q", got)
	}
}

func TestPlanIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world)
		want   []Server
		is     func(error) bool
	}{
		{"without active server", nil, []Server{host(1, false)}, func(err error) bool { return errors.Is(err, ErrNoActiveServer) }},
		{"without servers", nil, nil, func(err error) bool { return errors.Is(err, ErrNoActiveServer) }},
		{"when the last one that is up leaves", func(w *world) {
			for i := range w.runtime.Servers {
				if s := &w.runtime.Servers[i]; s.Address == host(2, true).Address && s.Backend == KonnectivityBackend {
					s.Status = "DOWN"
				}
			}
		}, hosts(2), func(err error) bool {
			last, ok := errors.AsType[*LastServerError](err)
			return ok && last.Backend == KonnectivityBackend && strings.Contains(last.Server, "10.10.1.2")
		}},
		{"with an address twice", nil, []Server{host(1, true), {Name: "b", Address: host(1, true).Address}}, func(err error) bool {
			return strings.Contains(err.Error(), "both have the address 10.10.1.2")
		}},
		{"with a name twice", nil, []Server{host(1, true), {Name: "cp1", Address: host(2, true).Address}}, func(err error) bool {
			return strings.Contains(err.Error(), "name")
		}},
		{"without address", nil, []Server{host(1, true), {Name: "b"}}, func(err error) bool {
			return strings.Contains(err.Error(), "no address")
		}},
		{"when the user's file needs a port of ours", func(w *world) {
			w.file = []byte("frontend web\n  bind :6443\n")
		}, hosts(1), func(err error) bool {
			conflict, ok := errors.AsType[*ConflictError](err)
			return ok && strings.Contains(conflict.Error(), worldPath+": line 2: frontend web")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, planSpec(), hosts(1, 2)...)
			if c.change != nil {
				c.change(w)
			}
			if plan, err := MakePlan(w.current(t), Desired{Servers: c.want}); err == nil || !c.is(err) {
				t.Errorf("plan %v, error %v", plan, err)
			}
		})
	}
}

func TestPlanLetsAServerThatIsDownLeave(t *testing.T) {
	w := newWorld(t, planSpec(), hosts(1, 2)...)
	for i := range w.runtime.Servers {
		if s := &w.runtime.Servers[i]; s.Address == host(2, true).Address {
			s.Status = "DOWN"
		}
	}
	plan, err := MakePlan(w.current(t), Desired{Servers: hosts(1)})
	if err != nil {
		t.Fatal(err)
	}
	if got := kinds(plan); got != "drain cp2, write, maint cp2, free cp2," {
		t.Errorf("planned %q", got)
	}
}

// finish takes all actions of a plan.
func (w *world) finish(t *testing.T, plan *Plan) {
	t.Helper()
	for _, a := range single(plan.Actions) {
		w.do(t, plan, a)
	}
}

// From any state to any other: the plan leads there; no prefix of it takes the last ready server of a backend or of
// the file away; and cut off anywhere, with or without a restart of HAProxy, the next plan leads there too.
func TestPlanReachesWhatIsDesiredFromAnywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	const rounds = 100
	for round := range rounds {
		w, want := randomWorld(t, random), Desired{Servers: randomServers(random)}
		plan, err := MakePlan(w.current(t), want)
		if _, last := errors.AsType[*LastServerError](err); last {
			refused++
			continue
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		before := w.clone()
		for i, a := range single(plan.Actions) {
			had := w.clone()
			w.do(t, plan, a)
			keepsReady(t, had, w, a)
			if i%3 != round%3 { // a third of the prefixes will do
				continue
			}
			for _, restart := range []bool{false, true} {
				next := w.clone()
				if restart && next.running {
					next.start(t)
				}
				again, err := MakePlan(next.current(t), want)
				if err != nil {
					t.Fatalf("round %d, after %d actions: %v", round, i+1, err)
				}
				for _, a := range single(again.Actions) {
					had := next.clone()
					next.do(t, again, a)
					keepsReady(t, had, next, a)
				}
				if d := next.differs(t, want); d != "" {
					t.Fatalf("round %d, cut off after %d actions, restarted %v: %s", round, i+1, restart, d)
				}
			}
		}
		if d := w.differs(t, want); d != "" {
			t.Fatalf("round %d: %s, after\n%s\nfrom\n%s\n%+v", round, d, strings.Join(plan.Lines(), "\n"), before.file, before.runtime)
		}
		if rest, err := MakePlan(w.current(t), want); err != nil || !rest.Empty() {
			t.Fatalf("round %d: not empty afterwards: %v %v", round, rest.Lines(), err)
		}
	}
	if refused > rounds/2 {
		t.Errorf("%d of %d rounds were refused", refused, rounds)
	}
}

// keepsReady fails when an action took the last ready server away.
func keepsReady(t *testing.T, before, after *world, a Action) {
	t.Helper()
	if before.running && before.runtime != nil {
		for _, backend := range before.spec.Backends() {
			if len(before.readyIn(backend)) > 0 && len(after.readyIn(backend)) == 0 {
				t.Fatalf("%s: takes the last ready server of %s away", a, backend.Name)
			}
		}
	}
	if a.Kind == ActWrite && len(before.enabledInFile(t)) > 0 && len(after.enabledInFile(t)) == 0 {
		t.Fatalf("%s: takes the last enabled server out of the file", a)
	}
}

func randomServers(random *rand.Rand) []Server {
	var servers []Server
	for n := range 6 {
		if random.IntN(2) == 0 {
			servers = append(servers, host(n+1, random.IntN(4) > 0))
		}
	}
	if !slices.ContainsFunc(servers, func(s Server) bool { return s.Active }) {
		servers = append(servers, host(7, true))
	}
	return servers
}

// randomWorld is an HAProxy in whatever state, such as crashes and people leave behind.
func randomWorld(t *testing.T, random *rand.Rand) *world {
	spec := planSpec()
	spec.Spares = random.IntN(4)
	if random.IntN(3) == 0 {
		spec.Check = CheckTLS
	}
	w := newWorld(t, spec, randomServers(random)...)
	for i := range w.runtime.Servers {
		s := &w.runtime.Servers[i]
		if s.Port != SparePort && random.IntN(3) > 0 {
			continue
		}
		switch random.IntN(6) {
		case 0:
			s.Admin, s.Status = Ready, "UP"
		case 1:
			s.Admin, s.Status = Drain, "DRAIN"
		case 2:
			s.Admin, s.Status = Maint, "MAINT"
		case 3:
			s.Status = "DOWN"
		default:
			port := spec.Backends()[slices.IndexFunc(spec.Backends(), func(b Backend) bool { return b.Name == s.Backend })].Port
			s.Address, s.Port = host(1+random.IntN(8), true).Address, port
		}
	}
	switch random.IntN(8) {
	case 0:
		w.file = []byte("global\n    daemon\n")
		w.runtime = nil
	case 1:
		w.running, w.runtime = false, nil
	case 2:
		w.unconfirmed = true
	case 3:
		w.spec.Balance = "roundrobin"
	case 4:
		w.spec.Check = CheckReadyz
	case 5: // the file has gone its own way
		file, err := ReplaceBlock(w.file, Render(spec, place(w.current(t).Slots, randomServers(random), random.IntN(9))))
		if err != nil {
			t.Fatal(err)
		}
		w.file = file
	}
	return w
}
