package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// adopter gathers an Adoption and what speaks against it.
type adopter struct {
	user  []*section
	ports []int

	found []*foundFrontend
	// taken are the sections to be replaced, with the ports each of them serves.
	taken  map[*section][]int
	others []*section

	bind     *netip.Addr // what the first frontend listens on; nil before it
	servers  []*foundServer
	lost     []Lost
	refusals []Refusal
}

// foundFrontend is a section that listens on some of our ports.
type foundFrontend struct {
	section *section
	ports   []int
}

// foundServer is a controller, with the backends that name it.
type foundServer struct {
	Server
	backends []*section
}

func (a *adopter) refuse(l line, remedy, reason string, args ...any) {
	a.refusals = append(a.refusals, Refusal{Line: l.number, Reason: fmt.Sprintf(reason, args...), Remedy: remedy})
}

func (a *adopter) lose(l line, format string, args ...any) {
	a.lost = append(a.lost, Lost{Line: l.number, Text: fmt.Sprintf(format, args...)})
}

// findFrontends finds the sections that listen on our ports, and refuses those that listen elsewhere too.
func (a *adopter) findFrontends() {
	by := map[int]*section{}
	for _, s := range a.user {
		f := &foundFrontend{section: s}
		for _, b := range s.bound() {
			for _, port := range a.ports {
				if b.Contains(port) && !slices.Contains(f.ports, port) {
					f.ports = append(f.ports, port)
				}
			}
		}
		if len(f.ports) == 0 {
			continue
		}
		a.found = append(a.found, f)
		for _, port := range f.ports {
			if other := by[port]; other != nil {
				a.refuse(s.lines[0], "leave one of them", "%s listens on port %d as %s (line %d) does", s, port,
					other, other.lines[0].number)
			}
			by[port] = s
		}
		if !s.isFrontend() {
			a.refuse(s.lines[0], "give it another port", "%s listens on port %d", s, f.ports[0])
			continue
		}
		a.checkBinds(f)
	}
}

// checkBinds looks at what the section listens on and how.
func (a *adopter) checkBinds(f *foundFrontend) {
	var addresses []netip.Addr
	for _, l := range f.section.all("bind") {
		for _, text := range strings.Split(l.word(1), ",") {
			b, ok := parseBind(text)
			if !ok || b.First != b.Last || !slices.Contains(f.ports, b.First) {
				a.refuse(l, "move that address into a section of its own", "%s listens on %s too", f.section, text)
				continue
			}
			address, ok := bindAddress(b.Address)
			if !ok {
				a.refuse(l, "use an IP address", "%s listens on %s, a name", f.section, text)
			}
			addresses = append(addresses, address)
		}
		a.checkBindOptions(f.section, l)
	}
	bind, ok := oneBind(addresses)
	switch {
	case !ok:
		a.refuse(f.section.lines[0], "let it listen on one address, or on all", "%s listens on several addresses",
			f.section)
	case a.bind == nil:
		a.bind = &bind
	case *a.bind != bind:
		a.refuse(f.section.lines[0], "let all of them listen on the same",
			"%s listens on another address than the first of the control plane's sections", f.section)
	}
}

// oneBind returns the Spec.Bind that stands for the addresses.
func oneBind(addresses []netip.Addr) (netip.Addr, bool) {
	var bind netip.Addr
	for i, address := range addresses {
		switch {
		case i == 0 || address == bind:
			bind = address
		case isWildcard(address) && isWildcard(bind):
			bind = netip.IPv6Unspecified() // both families
		default:
			return bind, false
		}
	}
	return bind, true
}

func isWildcard(address netip.Addr) bool {
	return !address.IsValid() || address == netip.IPv6Unspecified()
}

func (a *adopter) checkBindOptions(s *section, l line) {
	for i := 2; i < len(l.words); i++ {
		switch word := l.words[i]; word {
		case "v4v6", "v6only":
		case "name", "id", "maxconn", "backlog", "nice", "tcp-ut", "mss", "process", "thread", "shards", "guid-prefix":
			i++
			a.lose(l, "bind option %s %s", word, l.word(i))
		case "defer-accept", "tfo":
			a.lose(l, "bind option %s", word)
		case "ssl":
			a.refuse(l, "let k0s do the TLS: remove ssl and crt", "%s terminates TLS, which the control plane needs "+
				"end to end", s)
			return
		default:
			a.refuse(l, "remove it, or leave these ports to the block", "%s has the bind option %s, which the block "+
				"does not have", s, word)
			return
		}
	}
}

// takeSections takes the sections found and their backends.
func (a *adopter) takeSections() {
	a.taken = map[*section][]int{}
	for _, f := range a.found {
		if s := f.section; s.isFrontend() {
			a.taken[s] = append(a.taken[s], f.ports...)
			if backend := a.backendOf(s); backend != nil {
				a.taken[backend] = append(a.taken[backend], f.ports...)
			}
		}
	}
	for _, s := range a.user {
		if a.taken[s] != nil {
			a.checkSection(s)
		} else {
			a.others = append(a.others, s)
		}
	}
}

// backendOf returns the backend that the section sends all its connections to; nil when it has servers of its own.
func (a *adopter) backendOf(s *section) *section {
	l, ok := s.last("default_backend")
	if !ok {
		if len(s.all("server")) == 0 {
			a.refuse(s.lines[0], "give it a default_backend", "%s has no default_backend of its own", s)
		}
		return nil
	}
	for _, backend := range a.user {
		if backend.isBackend() && backend.name == l.word(1) {
			return backend
		}
	}
	a.refuse(l, "add the backend, or remove the frontend", "%s uses the backend %s, which does not exist", s, l.word(1))
	return nil
}

// checkSection looks at everything in a section that is to be replaced.
func (a *adopter) checkSection(s *section) {
	if s.conditional {
		a.refuse(s.lines[0], "take it out of the condition", "%s lies in an .if, or has one in it", s)
	}
	if s.mode() != "tcp" {
		a.refuse(s.lines[0], "set mode tcp", "%s is in mode %s", s, s.mode())
	}
	for defaults := s.defaults; defaults != nil; defaults = defaults.defaults {
		for _, l := range defaults.all("default-server") {
			a.checkDefaultServer(s, l)
		}
	}
	for _, l := range s.lines[1:] {
		if l.dynamic {
			a.refuse(l, "write the value out", "%s uses an environment variable in %s", s, describe(l))
		}
		a.checkDirective(s, l)
	}
}

// checkMentions refuses when a section that stays speaks of one that goes.
func (a *adopter) checkMentions() {
	for _, s := range a.user {
		if a.taken[s] == nil {
			continue
		}
		for _, other := range a.others {
			for _, l := range other.lines {
				if mentions(l, s.name) {
					a.refuse(l, "let it have one of its own", "%s uses %s as well: %s", other, s, describe(l))
				}
			}
		}
	}
}

// mentions says whether a directive refers to the frontend or backend of that name.
func mentions(l line, name string) bool {
	for i, word := range l.words {
		if word == name && i > 0 && slices.Contains([]string{"default_backend", "use_backend", "table"}, l.words[i-1]) {
			return true
		}
		if strings.HasPrefix(word, name+"/") {
			return true
		}
		for _, end := range []string{")", ",", "/"} {
			if strings.Contains(word, "("+name+end) {
				return true
			}
		}
	}
	return false
}

// adoption is the result when nothing speaks against it.
func (a *adopter) adoption() *Adoption {
	adoption := &Adoption{others: a.others}
	if a.bind != nil {
		adoption.Bind = *a.bind
	}
	for _, port := range a.ports {
		if slices.ContainsFunc(a.found, func(f *foundFrontend) bool { return slices.Contains(f.ports, port) }) {
			adoption.Ports = append(adoption.Ports, port)
		}
	}
	for _, s := range a.user {
		if a.taken[s] == nil {
			continue
		}
		adoption.sections = append(adoption.sections, s)
		adoption.Sections = append(adoption.Sections, AdoptedSection{
			Keyword: s.keyword, Name: s.name,
			FirstLine: s.lines[0].number, LastLine: s.lines[len(s.lines)-1].number,
		})
		for _, server := range a.servers {
			if s.isBackend() && !slices.Contains(server.backends, s) && len(s.all("server")) > 0 {
				a.lose(s.lines[0], "%s has no server %s (%s): the block has every server in all backends", s,
					server.Name, server.Address)
			}
		}
	}
	for _, server := range a.servers {
		adoption.Servers = append(adoption.Servers, server.Server)
	}
	slices.SortStableFunc(a.lost, func(x, y Lost) int { return x.Line - y.Line })
	adoption.Lost = slices.Compact(a.lost)
	return adoption
}
