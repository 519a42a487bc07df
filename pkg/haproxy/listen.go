package haproxy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// BoundPort is a TCP port, or a range of them, that the user's part of a configuration listens on.
type BoundPort struct {
	// First and Last are equal for a single port.
	First, Last int
	// Address as written; empty or "*" means all of IPv4.
	Address string
	// Line of the bind, counted from 1, and the section it is in ("listen stats").
	Line    int
	Section string
}

// Contains says whether the port is in the range.
func (b BoundPort) Contains(port int) bool { return b.First <= port && port <= b.Last }

// BoundPorts lists what the user's part of a configuration listens on, our own block left out, in the order of the
// file. Unix sockets, UDP, and addresses that come from environment variables are not among them.
func BoundPorts(cfg []byte) ([]BoundPort, error) {
	sections, err := userSections(cfg)
	if err != nil {
		return nil, err
	}
	var bound []BoundPort
	for _, s := range sections {
		bound = append(bound, s.bound()...)
	}
	return bound, nil
}

// bound lists the ports of the section's bind lines.
func (s *section) bound() []BoundPort {
	var bound []BoundPort
	if !s.isFrontend() && s.keyword != "peers" && s.keyword != "log-forward" {
		return nil
	}
	for _, l := range s.all("bind") {
		for _, text := range strings.Split(l.word(1), ",") {
			if b, ok := parseBind(text); ok {
				b.Line, b.Section = l.number, s.String()
				bound = append(bound, b)
			}
		}
	}
	return bound
}

// parseBind reads one address of a bind line: [ipv4@|ipv6@][address]:port[-port].
func parseBind(text string) (BoundPort, bool) {
	text = trimFamily(text)
	i := strings.LastIndexByte(text, ':')
	if i < 0 || strings.ContainsAny(text, "@/") {
		return BoundPort{}, false
	}
	first, last, ranged := strings.Cut(text[i+1:], "-")
	if !ranged {
		last = first
	}
	b := BoundPort{Address: strings.Trim(text[:i], "[]")}
	var err1, err2 error
	b.First, err1 = strconv.Atoi(first)
	b.Last, err2 = strconv.Atoi(last)
	return b, err1 == nil && err2 == nil && 0 < b.First && b.First <= b.Last && b.Last <= 65535
}

func trimFamily(text string) string {
	for _, family := range []string{"ipv4@", "ipv6@", "ipv4:", "ipv6:", "tcp@", "tcp4@", "tcp6@"} {
		if rest, ok := strings.CutPrefix(text, family); ok {
			return rest
		}
	}
	return text
}

// Conflict is something of the user's that our block cannot live beside.
type Conflict struct {
	Line int
	Text string
}

func (c Conflict) String() string { return fmt.Sprintf("line %d: %s", c.Line, c.Text) }

// Conflicts lists the user's sections that take a port or a name which the block of that spec needs, and what of the
// user's defaults the block cannot take back. Sections that Adopt would replace are among them; Adoption.Conflicts
// leaves them out. The statistics page gives way to the user's file instead (see Spec.FitTo).
func Conflicts(cfg []byte, spec Spec) ([]Conflict, error) {
	block, found, err := FindBlock(cfg)
	if err != nil {
		return nil, err
	}
	offset := len(cfg)
	if found {
		offset = block.Start
	}
	sections, err := userSections(cfg)
	return conflicts(sections, offset, spec), err
}

// conflicts is Conflicts for a block that starts at offset.
func conflicts(sections []*section, offset int, spec Spec) []Conflict {
	ports := []int{spec.Ports.KubeAPI, spec.Ports.Konnectivity, spec.Ports.ControllerJoin}
	// HAProxy 3.3 and later want one name for one section, be it frontend or backend.
	names := []string{KubeAPIFrontend, KonnectivityFrontend, ControllerJoinFrontend}
	if spec.StatsListen != "" {
		names = append(names, StatsSection)
	}
	for _, b := range spec.Backends() {
		names = append(names, b.Name)
	}
	conflicts := inherited(sections, offset)
	for _, s := range sections {
		if (s.isFrontend() || s.isBackend()) && slices.Contains(names, s.name) {
			conflicts = append(conflicts, Conflict{s.lines[0].number, fmt.Sprintf(
				"%s has a name that the managed block needs: rename it", s)})
		}
		for _, b := range s.bound() {
			for _, port := range ports {
				if b.Contains(port) {
					conflicts = append(conflicts, Conflict{b.Line, fmt.Sprintf("%s listens on port %d, which the "+
						"managed block needs: give one of the two another port", s, port)})
				}
			}
		}
	}
	return conflicts
}

// inherited lists what would take our servers out of service or break what goes to them, if the block inherited it: no
// word takes it back. What is left of the options of the PROXY protocol makes HAProxy send its header all the same.
func inherited(sections []*section, offset int) []Conflict {
	var defaults *section
	for _, s := range sections {
		if s.keyword == "defaults" && s.start() < offset {
			defaults = s
		}
	}
	harmful := []string{"disabled", "proxy-v2-options", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn"}
	var conflicts []Conflict
	for ; defaults != nil; defaults = defaults.defaults {
		for _, l := range defaults.lines[1:] {
			if l.words[0] == "disabled" || l.words[0] == "default-server" && slices.ContainsFunc(l.words, func(word string) bool {
				return slices.Contains(harmful, word)
			}) {
				conflicts = append(conflicts, Conflict{l.number, fmt.Sprintf("%s has %s, which the managed block would "+
					"inherit: move it to the sections that need it", defaults, describe(l))})
			}
		}
	}
	return conflicts
}

// FitTo adapts a spec to the user's part of the configuration that the block shall stand in: the block has no
// statistics page when the user's file already listens on that port, and no log format when the file logs nowhere
// (HAProxy warns about one). Where the spec does not say what to listen on, a block that is there already keeps its
// address. For a file that is being adopted, use Adoption.Fit.
func (s Spec) FitTo(cfg []byte) (Spec, error) {
	block, found, err := FindBlock(cfg)
	if err != nil {
		return s, err
	}
	offset := len(cfg)
	if found {
		offset = block.Start
		if !s.Bind.IsValid() {
			s.Bind = parseSpec(cfg[block.Start:block.End]).Bind
		}
	}
	sections, err := userSections(cfg)
	return s.fit(sections, offset), err
}

// fit is FitTo for a block that starts at offset.
func (s Spec) fit(sections []*section, offset int) Spec {
	s.NoLog = !logsSomewhere(sections, offset)
	_, text, err := net.SplitHostPort(s.StatsListen)
	if err != nil {
		return s
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return s
	}
	for _, section := range sections {
		if slices.ContainsFunc(section.bound(), func(b BoundPort) bool { return b.Contains(port) }) {
			s.StatsListen = ""
		}
	}
	return s
}

// logsSomewhere says whether a section at offset inherits a log target.
func logsSomewhere(sections []*section, offset int) bool {
	global, inherited := false, false
	for _, s := range sections {
		switch {
		case s.keyword == "global":
			global = global || len(s.all("log")) > 0
		case s.keyword == "defaults" && s.start() < offset:
			inherited = false
			for _, l := range s.lines[1:] {
				switch {
				case l.words[0] == "log" && l.word(1) == "global":
					inherited = inherited || global
				case l.words[0] == "log":
					inherited = true
				case l.words[0] == "no" && l.word(1) == "log":
					inherited = false
				}
			}
		}
	}
	return inherited
}

// bindAddress is the address of a bind line as a netip.Addr: the zero Addr for all of IPv4, :: for all of IPv6.
func bindAddress(text string) (netip.Addr, bool) {
	switch text {
	case "", "*", "0.0.0.0":
		return netip.Addr{}, true
	case "::", ":":
		return netip.IPv6Unspecified(), true
	}
	a, err := netip.ParseAddr(text)
	return a, err == nil
}
