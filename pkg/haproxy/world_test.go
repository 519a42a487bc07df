package haproxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
)

// world is an HAProxy that exists in the test alone: a file and a process that actions change.
type world struct {
	spec        Spec
	file        []byte
	running     bool
	runtime     *Runtime
	unconfirmed bool
	// checked holds the server lines whose check has passed since they left maintenance.
	checked map[Line]bool
	// parsed remembers what was read from which file.
	parsed map[string]Current
}

const worldPath = "/etc/haproxy/haproxy.cfg"

func (w *world) clone() *world {
	c := *w
	c.checked = maps.Clone(w.checked)
	if w.runtime != nil {
		runtime := *w.runtime
		runtime.Servers = slices.Clone(w.runtime.Servers)
		c.runtime = &runtime
	}
	return &c
}

func (w *world) current(t *testing.T) *Current {
	t.Helper()
	key := fmt.Sprint(w.spec) + string(w.file)
	cur, ok := w.parsed[key]
	if !ok {
		cur = Current{Path: worldPath, Config: w.file, Hash: sha256.Sum256(w.file)}
		if err := cur.parse(w.spec); err != nil {
			t.Fatal(err)
		}
		w.parsed[key] = cur
	}
	cur.Running, cur.Runtime, cur.Unconfirmed = w.running, w.clone().runtime, w.unconfirmed
	return &cur
}

// start lets the process read the file, as a reload or a start does.
func (w *world) start(t *testing.T) {
	t.Helper()
	cur := w.current(t)
	pid := 1
	if w.runtime != nil {
		pid = w.runtime.PID + 1
	}
	w.running, w.runtime, w.checked = true, &Runtime{PID: pid}, map[Line]bool{}
	for _, backend := range cur.Spec.Backends() {
		for _, s := range started(backend, cur.Slots) {
			s.Status = "MAINT"
			if s.Admin == Ready {
				s.Status = "UP"
			}
			w.runtime.Servers = append(w.runtime.Servers, s)
		}
	}
}

// do takes one action, which must be for one server line at most.
func (w *world) do(t *testing.T, plan *Plan, a Action) {
	t.Helper()
	switch a.Kind {
	case ActBackup:
		return
	case ActWrite:
		content, err := plan.render(w.file, a.Slots)
		if err != nil {
			t.Fatal(err)
		}
		w.file = content
		w.unconfirmed = w.unconfirmed || a.BeforeReload
		return
	case ActReload, ActStart:
		if w.running != (a.Kind == ActReload) {
			t.Fatalf("%s while running is %v", a, w.running)
		}
		w.start(t)
		w.unconfirmed = false
		return
	}
	line := a.Lines[0]
	i := slices.IndexFunc(w.runtime.Servers, func(s ServerState) bool {
		return s.Backend == line.Backend && s.Slot == line.Slot
	})
	if i < 0 {
		t.Fatalf("%s: no such server", a)
	}
	s := &w.runtime.Servers[i]
	line = Line{Backend: line.Backend, Slot: line.Slot}
	needs := func(states ...AdminState) {
		t.Helper()
		if !slices.Contains(states, s.Admin) {
			t.Fatalf("%s: server is %s", a, s.Admin)
		}
	}
	switch a.Kind {
	case ActAddress:
		needs(Maint)
		s.Address, s.Port = a.Server.Address, a.Lines[0].Port
	case ActFree:
		needs(Maint)
		s.Address, s.Port = spareAddress(), SparePort
	case ActCheck:
		needs(Maint, Drain)
		s.Admin, s.Status = Drain, "DRAIN 1/2"
	case ActWait:
		needs(Drain)
		s.Status, w.checked[line] = "DRAIN", true
	case ActReady:
		if !w.checked[line] && slices.ContainsFunc(plan.cur.Runtime.Servers, ServerState.Up) {
			t.Fatalf("%s: gets connections before its check has passed", a)
		}
		s.Admin, s.Status = Ready, "UP"
	case ActDrain:
		needs(Ready)
		s.Admin, s.Status = Drain, "DRAIN"
	case ActMaint:
		needs(Drain)
		s.Admin, s.Status = Maint, "MAINT"
		delete(w.checked, line)
	default:
		t.Fatalf("unknown action %s", a.Kind)
	}
}

// single cuts actions into such for one server line: Apply gives the commands of an action at once, but may be cut
// off between any two.
func single(actions []Action) []Action {
	var all []Action
	for _, a := range actions {
		if len(a.Lines) == 0 {
			all = append(all, a)
		}
		for _, line := range a.Lines {
			one := a
			one.Lines = []Line{line}
			all = append(all, one)
		}
	}
	return all
}

// readyIn lists the addresses that get connections in a backend.
func (w *world) readyIn(backend Backend) []netip.Addr {
	var ready []netip.Addr
	for _, s := range w.runtime.Backend(backend.Name) {
		if s.Admin == Ready && s.Port == backend.Port {
			ready = append(ready, s.Address)
		}
	}
	return sorted(ready)
}

// enabledInFile lists the addresses that get connections after a start.
func (w *world) enabledInFile(t *testing.T) []netip.Addr {
	t.Helper()
	var enabled []netip.Addr
	for _, s := range w.current(t).Slots {
		if s.Used() && s.Enabled {
			enabled = append(enabled, s.Address)
		}
	}
	return sorted(enabled)
}

func sorted(addresses []netip.Addr) []netip.Addr {
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

// differs says where file or process are not as desired; it knows nothing of plans.
func (w *world) differs(t *testing.T, want Desired) string {
	t.Helper()
	var active, all []netip.Addr
	for _, s := range want.Servers {
		all = append(all, s.Address)
		if s.Active {
			active = append(active, s.Address)
		}
	}
	active, all = sorted(active), sorted(all)
	if got := w.enabledInFile(t); !slices.Equal(got, active) {
		return fmt.Sprintf("file enables %v, not %v", got, active)
	}
	cur := w.current(t)
	if expected := Render(cur.Spec, cur.Slots); !bytes.Contains(w.file, expected) {
		return "the block is not as rendered"
	}
	if !w.running || w.runtime == nil || w.unconfirmed {
		return "the process has not loaded the file"
	}
	for _, backend := range cur.Spec.Backends() {
		if got := w.readyIn(backend); !slices.Equal(got, active) {
			return fmt.Sprintf("%s has ready %v, not %v", backend.Name, got, active)
		}
		var known []netip.Addr
		for _, s := range w.runtime.Backend(backend.Name) {
			if s.Port == backend.Port {
				known = append(known, s.Address)
			} else if s.Admin != Maint || s.Port != SparePort {
				return fmt.Sprintf("%s/%s is left at %s port %d, %s", s.Backend, s.Slot, s.Address, s.Port, s.Admin)
			}
		}
		if got := sorted(known); !slices.Equal(got, all) {
			return fmt.Sprintf("%s knows %v, not %v", backend.Name, got, all)
		}
	}
	return ""
}
