package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Desired is what one HAProxy shall be.
type Desired struct {
	// Servers are all controllers that shall have server lines: active ones get connections, the others are only
	// prepared. Controllers that are not listed are taken out.
	Servers []Server
	// Adoption, when not nil, replaces the user's own sections for the control plane by our block.
	Adoption *Adoption
}

// Plan is what Apply will do. It is empty when HAProxy is as desired, file and process.
type Plan struct {
	Actions []Action

	want  Desired
	cur   *Current
	spec  Spec
	after []byte // the file at the end
}

// Empty says that nothing is to be done.
func (p *Plan) Empty() bool { return len(p.Actions) == 0 }

// Lines are the actions for people, one line each.
func (p *Plan) Lines() []string {
	lines := make([]string, len(p.Actions))
	for i, a := range p.Actions {
		lines[i] = a.String()
	}
	return lines
}

// Diff is what becomes of the file, as a unified diff without what may be secret; empty when it stays.
func (p *Plan) Diff() string { return Diff(p.cur.Path, redact(p.cur.Config), redact(p.after)) }

// Reloads says whether HAProxy is reloaded or started. A change of membership alone never does.
func (p *Plan) Reloads() bool {
	return slices.ContainsFunc(p.Actions, func(a Action) bool { return a.Kind == ActReload || a.Kind == ActStart })
}

// ErrNoActiveServer refuses a plan that would leave HAProxy without a server.
var ErrNoActiveServer = errors.New("no active server is left for the load balancer: at least one controller has to stay")

// LastServerError refuses to take away the last server of a backend that is up.
type LastServerError struct {
	Backend string
	Server  string
}

func (e *LastServerError) Error() string {
	return fmt.Sprintf("taking %s out of %s: it is the last server there that is up: "+
		"bring another controller up first", e.Server, e.Backend)
}

// ConflictError says that the user's part of the file needs what our block needs.
type ConflictError struct {
	Path      string
	Conflicts []Conflict
}

func (e *ConflictError) Error() string {
	lines := make([]string, len(e.Conflicts))
	for i, c := range e.Conflicts {
		lines[i] = fmt.Sprintf("%s: %s", e.Path, c)
	}
	return strings.Join(lines, "\n")
}

// MakePlan says what leads from current to desired. It decides and does nothing.
//
// First the file and the service. Reasons to write the file and reload are: there is no block, its settings differ
// from the spec, sections are adopted, the slots do not suffice (then the block grows), the process has not loaded
// it, or an earlier change was never seen to succeed. Over a reload the controllers that get connections stay the
// same; new ones come in afterwards and old ones leave afterwards, checked, by the runtime API. When HAProxy does not
// run, it is started with the desired controllers.
//
// Then, per controller and backend (the fail-open backend as every other):
//
//	desired    running   what is done
//	active     ready     -
//	active     drain     check (drain), wait, ready
//	active     maint     check (drain), wait, ready
//	active     absent    address into a free slot, check (drain), wait, ready
//	inactive   ready     drain, maint
//	inactive   drain     maint
//	inactive   maint     -
//	inactive   absent    address into a free slot
//	absent     ready     drain, maint, free the slot
//	absent     drain     maint, free the slot
//	absent     maint     free the slot
//	absent     absent    -
//
// Where no server of any backend is up, those that come are made ready at once: there is nobody whom they could take
// connections from, and a control plane that is still to be started has its place.
//
// A controller is recognised by address and port, never by the name of its slot. All that come get ready first, then
// the others are drained, then the file is written if it says anything else than desired, since its validation takes
// longer than all the rest, and then those that are drained leave: wherever this is cut off, each backend has a ready
// server, before and after a restart of HAProxy, and the next plan completes it.
func MakePlan(cur *Current, want Desired) (*Plan, error) {
	spec := cur.Spec
	switch {
	case want.Adoption == nil:
	case cur.HasBlock || !want.Adoption.Found():
		want.Adoption = nil // nothing to take over, or it is done
	case !bytes.Equal(want.Adoption.cfg, cur.Config):
		return nil, &ChangedError{Path: cur.Path}
	default:
		var err error
		if spec, err = want.Adoption.Fit(cur.wanted); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(spec.Validate(), want.validate()); err != nil {
		return nil, err
	}
	p := &planner{
		Plan:  &Plan{want: want, cur: cur, after: cur.Config, spec: spec},
		slots: cur.Slots,
	}
	p.load(cur.Runtime)
	if err := p.refuseLast(); err != nil {
		return nil, err
	}
	if err := p.fileAndService(); err != nil {
		return nil, err
	}
	p.come()
	leaving := p.leaving()
	for _, l := range leaving {
		p.add(ActDrain, l.server, l.ready)
	}
	if final := place(p.slots, want.Servers, len(p.slots)); !sameMembers(p.slots, final) {
		if err := p.write(final, false); err != nil {
			return nil, err
		}
	}
	for _, l := range leaving {
		p.add(ActMaint, l.server, l.serving)
		p.add(ActFree, l.server, l.foreign)
	}
	return p.Plan, nil
}

func (d Desired) validate() error {
	var errs []error
	addresses, names := map[netip.Addr]string{}, map[string]bool{}
	active := false
	for _, s := range d.Servers {
		active = active || s.Active
		switch other, taken := addresses[s.Address]; {
		case !s.Address.IsValid() || s.Address.IsUnspecified() || s.Address.Is4In6():
			errs = append(errs, fmt.Errorf("server %q: %q is no address to connect to", s.Name, s.Address))
		case taken:
			errs = append(errs, fmt.Errorf("servers %q and %q: both have the address %s", other, s.Name, s.Address))
		}
		if !ValidName(s.Name) || names[s.Name] {
			errs = append(errs, fmt.Errorf("server %q: its name must be of its own, and of letters, digits and the characters -_.: alone",
				s.Name))
		}
		addresses[s.Address], names[s.Name] = s.Name, true
	}
	if !active {
		errs = append(errs, ErrNoActiveServer)
	}
	return errors.Join(errs...)
}

func (d Desired) find(address netip.Addr) (Server, bool) {
	i := slices.IndexFunc(d.Servers, func(s Server) bool { return s.Address == address })
	if i < 0 {
		return Server{}, false
	}
	return d.Servers[i], true
}

// planner follows what file and process will be while it adds actions.
type planner struct {
	*Plan
	slots []Slot
	// running has a list for each of our backends, in the order of the file.
	running map[string][]ServerState
	// up says that some server was up.
	up bool
}

func (p *planner) load(runtime *Runtime) {
	p.running = map[string][]ServerState{}
	for _, backend := range p.spec.Backends() {
		p.running[backend.Name] = runtime.Backend(backend.Name)
		p.up = p.up || slices.ContainsFunc(p.running[backend.Name], ServerState.Up)
	}
}

// refuseLast refuses to end with a backend without a server that is up where there is one now. Servers that come do
// not count as up, but they are waited for before anyone leaves, and Apply looks again before it takes one out.
func (p *planner) refuseLast() error {
	for _, backend := range p.spec.Backends() {
		var leaving Server
		stays := false
		for _, s := range p.running[backend.Name] {
			server, known := p.want.find(s.Address)
			switch {
			case !s.Up():
			case known && server.Active && s.Port == backend.Port:
				stays = true
			default:
				leaving = Server{Name: s.Slot, Address: s.Address}
			}
		}
		if !leaving.Address.IsValid() || stays {
			continue
		}
		comes := slices.ContainsFunc(p.want.Servers, func(server Server) bool {
			return server.Active && !slices.ContainsFunc(p.running[backend.Name], func(s ServerState) bool {
				return s.Address == server.Address && s.Port == backend.Port && s.Admin == Ready
			})
		})
		if !comes {
			return &LastServerError{Backend: backend.Name, Server: serverLabel(leaving)}
		}
	}
	return nil
}

// fileAndService writes the file and reloads or starts HAProxy where that is due.
func (p *planner) fileAndService() error {
	reason, err := p.reloadReason()
	if err != nil || reason == "" {
		return err
	}
	var conflicts []Conflict
	if p.want.Adoption != nil {
		p.Actions = append(p.Actions, Action{Kind: ActBackup, Text: p.cur.Path})
		conflicts = p.want.Adoption.Conflicts(p.spec)
	} else if conflicts, err = Conflicts(p.cur.Config, p.spec); err != nil {
		return err
	}
	if len(conflicts) > 0 {
		return &ConflictError{Path: p.cur.Path, Conflicts: conflicts}
	}
	servers := p.overReload()
	slots := NewSlots(servers, p.spec.Spares)
	if p.cur.HasBlock {
		slots = place(p.slots, servers, max(len(p.slots), len(servers)+p.spec.Spares))
	}
	if err := p.write(slots, true); err != nil {
		return err
	}
	service := Action{Kind: ActStart}
	if p.cur.Running {
		service = Action{Kind: ActReload, Text: reason}
	}
	p.Actions = append(p.Actions, service)
	for _, backend := range p.spec.Backends() {
		p.running[backend.Name] = started(backend, slots)
	}
	return nil
}

// started is what a backend is like after HAProxy has read the slots.
func started(backend Backend, slots []Slot) []ServerState {
	states := make([]ServerState, len(slots))
	for i, slot := range slots {
		s := ServerState{Backend: backend.Name, Slot: slot.Name, ID: i + 1, Address: slot.Address, Port: backend.Port,
			Admin: Maint}
		if !slot.Used() {
			s.Address, s.Port = spareAddress(), SparePort
		} else if slot.Enabled {
			s.Admin = Ready
		}
		states[i] = s
	}
	return states
}

// reloadReason says why HAProxy has to read the file anew; empty when it need not.
func (p *planner) reloadReason() (string, error) {
	cur := p.cur
	if p.want.Adoption != nil {
		return "sections of the file are taken over", nil
	}
	if !cur.HasBlock {
		return "the file has no managed block yet", nil
	}
	same, err := ReplaceBlock(cur.Config, Render(p.spec, p.slots))
	if err != nil {
		return "", err
	}
	switch {
	case !bytes.Equal(same, cur.Config):
		return "the settings of the managed block change", nil
	case !cur.Running:
		return "it does not run", nil
	case cur.Unconfirmed:
		return "an earlier change of the file was not seen to take effect", nil
	case !cur.Loaded():
		return "the running process has not loaded the managed block", nil
	case p.full():
		return fmt.Sprintf("the %d slots of the managed block do not suffice", len(p.slots)), nil
	}
	return "", nil
}

// full says whether a server that comes finds no free slot, in the file or in a backend.
func (p *planner) full() bool {
	if len(p.want.Servers) > len(p.slots) {
		return true
	}
	for _, backend := range p.spec.Backends() {
		free, needed := 0, len(p.want.Servers)
		for _, s := range p.running[backend.Name] {
			if p.claims(backend, s) {
				needed--
			} else if s.Admin == Maint {
				free++
			}
		}
		if needed > free {
			return true
		}
	}
	return false
}

// overReload lists the servers of the file that HAProxy reads anew: those desired, and those that get connections
// now. Enabled are the ones that get connections now, so that nobody unchecked does; all that shall be active, when
// no one does.
func (p *planner) overReload() []Server {
	ready := p.readyNow()
	servers := slices.Clone(p.want.Servers)
	if len(ready) == 0 {
		return servers
	}
	for i, s := range servers {
		servers[i].Active = slices.ContainsFunc(ready, func(r Server) bool { return r.Address == s.Address })
	}
	for _, r := range ready {
		if _, ok := p.want.find(r.Address); !ok {
			r.Name = freeName(r.Name, servers)
			servers = append(servers, r)
		}
	}
	return servers
}

// readyNow lists the controllers that are ready in each backend that has any ready one; without such, those that are
// ready in some backend.
func (p *planner) readyNow() []Server {
	var all, some []Server
	counts := map[netip.Addr]int{}
	backends := 0
	for _, backend := range p.spec.Backends() {
		seen := map[netip.Addr]bool{}
		for _, s := range p.running[backend.Name] {
			if s.Admin != Ready || s.Port != backend.Port || seen[s.Address] {
				continue
			}
			seen[s.Address] = true
			if counts[s.Address]++; counts[s.Address] == 1 {
				some = append(some, Server{Name: s.Slot, Address: s.Address, Active: true})
			}
		}
		if len(seen) > 0 {
			backends++
		}
	}
	for _, s := range some {
		if counts[s.Address] == backends {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return some
	}
	return all
}

func freeName(name string, servers []Server) string {
	for slices.ContainsFunc(servers, func(s Server) bool { return s.Name == name }) {
		name += "-old"
	}
	return name
}

// come makes every active server ready and gives every inactive one a slot.
func (p *planner) come() {
	address, ready := map[string][]Line{}, map[string][]Line{}
	for _, server := range p.want.Servers {
		for _, backend := range p.spec.Backends() {
			running := p.running[backend.Name]
			i := slices.IndexFunc(running, func(s ServerState) bool {
				return s.Address == server.Address && p.claims(backend, s)
			})
			if i < 0 {
				if i = p.freeSlot(backend, server); i < 0 {
					// Only a file that says otherwise than the process can lead here, and full() caught that.
					continue
				}
				running[i].Address, running[i].Port = server.Address, backend.Port
				address[server.Name] = append(address[server.Name], lineOf(running[i], backend))
			}
			line := lineOf(running[i], backend)
			if !server.Active || running[i].Admin == Ready {
				continue
			}
			ready[server.Name] = append(ready[server.Name], line)
			running[i].Admin = Ready
		}
	}
	// Checks of all that come run at the same time.
	for _, server := range p.want.Servers {
		p.add(ActAddress, server, address[server.Name])
	}
	if p.up {
		for _, server := range p.want.Servers {
			p.add(ActCheck, server, ready[server.Name])
		}
	}
	for _, server := range p.want.Servers {
		if p.up {
			p.add(ActWait, server, ready[server.Name])
		}
		p.add(ActReady, server, ready[server.Name])
	}
}

// leaver is a server that no active one claims: the lines of it that are ready, those that are not in maintenance, and
// those that have an address that is nobody's.
type leaver struct {
	server                  Server
	ready, serving, foreign []Line
}

// leaving lists whatever no active server claims.
func (p *planner) leaving() []*leaver {
	var leavers []*leaver
	of := func(server Server) *leaver {
		i := slices.IndexFunc(leavers, func(l *leaver) bool { return l.server.Address == server.Address })
		if i < 0 {
			i, leavers = len(leavers), append(leavers, &leaver{server: server})
		}
		return leavers[i]
	}
	for _, backend := range p.spec.Backends() {
		for _, s := range p.running[backend.Name] {
			server, claimed := p.want.find(s.Address)
			claimed = claimed && p.claims(backend, s)
			spare := s.Unused()
			if claimed && server.Active || spare && s.Admin == Maint || claimed && s.Admin == Maint {
				continue
			}
			if !claimed {
				server = Server{Name: s.Slot, Address: s.Address}
			}
			l, line := of(server), lineOf(s, backend)
			if s.Admin == Ready {
				l.ready = append(l.ready, line)
			}
			if s.Admin != Maint {
				l.serving = append(l.serving, line)
			}
			if !claimed && !spare {
				l.foreign = append(l.foreign, line)
			}
		}
	}
	return leavers
}

// claims says whether s is the slot of a desired server: the one with its address, and the one nearest to being ready
// where several have it.
func (p *planner) claims(backend Backend, s ServerState) bool {
	if _, ok := p.want.find(s.Address); !ok || s.Port != backend.Port {
		return false
	}
	order := []AdminState{Ready, Drain, Maint}
	for _, other := range p.running[backend.Name] {
		if other.Address != s.Address || other.Port != s.Port || other.ID == s.ID {
			continue
		}
		a, b := slices.Index(order, other.Admin), slices.Index(order, s.Admin)
		if a < b || a == b && other.ID < s.ID {
			return false
		}
	}
	return true
}

// freeSlot finds a slot in maintenance that no desired server claims: the one that bears the server's name, else the
// one that the server has in the file, else an unused one, else any. It returns -1 when there is none.
func (p *planner) freeSlot(backend Backend, server Server) int {
	running := p.running[backend.Name]
	inFile := slices.IndexFunc(p.slots, func(s Slot) bool { return s.Address == server.Address })
	best, bestRank := -1, 0
	for i, s := range running {
		if s.Admin != Maint || p.claims(backend, s) {
			continue
		}
		rank := 1
		switch {
		case s.Slot == server.Name:
			rank = 4
		case i == inFile:
			rank = 3
		case s.Unused():
			rank = 2
		}
		if rank > bestRank {
			best, bestRank = i, rank
		}
	}
	return best
}

// write adds the writing of the file, unless it has that content.
func (p *planner) write(slots []Slot, beforeReload bool) error {
	content, err := p.render(p.after, slots)
	if err != nil {
		return err
	}
	if !bytes.Equal(content, p.after) {
		p.Actions = append(p.Actions, Action{Kind: ActWrite, Slots: slots, BeforeReload: beforeReload,
			Text: p.cur.Path + ": " + describeSlots(slots)})
	}
	p.slots, p.after = slots, content
	return nil
}

// render puts the slots into the file.
func (p *Plan) render(file []byte, slots []Slot) ([]byte, error) {
	block := Render(p.spec, slots)
	_, found, err := FindBlock(file)
	if err == nil && !found && p.want.Adoption != nil {
		return p.want.Adoption.Replace(block)
	}
	return ReplaceBlock(file, block)
}

// describeSlots is the members of a block in words.
func describeSlots(slots []Slot) string {
	var active, prepared []string
	unused := 0
	for _, s := range slots {
		switch {
		case !s.Used():
			unused++
		case s.Enabled:
			active = append(active, s.Name)
		default:
			prepared = append(prepared, s.Name)
		}
	}
	var parts []string
	if len(active) > 0 {
		parts = append(parts, strings.Join(active, ", "))
	}
	if len(prepared) > 0 {
		parts = append(parts, strings.Join(prepared, ", ")+" disabled")
	}
	return strings.Join(append(parts, fmt.Sprintf("%d unused slots", unused)), ", ")
}

// add adds a step at run time, unless it has nothing to do.
func (p *planner) add(kind ActionKind, server Server, lines []Line) {
	if len(lines) > 0 {
		p.Actions = append(p.Actions, Action{Kind: kind, Server: server, Lines: lines,
			Text: describeLines(lines, p.spec.Backends())})
	}
}

func lineOf(s ServerState, backend Backend) Line {
	return Line{Backend: backend.Name, Slot: s.Slot, Port: backend.Port}
}

func spareAddress() netip.Addr { return netip.MustParseAddr(SpareHost) }
