package haproxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Parsed is what a block says.
type Parsed struct {
	// Spec holds what can be read back: all but ConfigPath; Spares is the number of unused slots.
	Spec Spec
	// Slots are those of the first backend that has any.
	Slots []Slot
	// Edits lists where the block is not what Render makes of Spec and Slots: somebody edited it, or another version
	// wrote it. Rendering the block anew repairs it.
	Edits []Edit
}

// Edit is a difference between a block as it is and as it ought to be.
type Edit struct {
	// Line counts from 1 within the block, the BEGIN marker being line 1.
	Line int
	// Got is the line as it is, Want as it ought to be; one of them is empty when a line is missing or too many.
	Got, Want string
}

func (e Edit) String() string {
	switch {
	case e.Got == "":
		return fmt.Sprintf("line %d: missing %q", e.Line, e.Want)
	case e.Want == "":
		return fmt.Sprintf("line %d: unexpected %q", e.Line, e.Got)
	}
	return fmt.Sprintf("line %d: %q instead of %q", e.Line, e.Got, e.Want)
}

// ParseBlock reads a block back, markers included. It reads whatever it can and reports the rest in Parsed.Edits;
// it fails only for text that is no block at all.
func ParseBlock(block []byte) (Parsed, error) {
	found, ok, err := FindBlock(block)
	if err != nil {
		return Parsed{}, err
	}
	if !ok {
		return Parsed{}, errors.New("no managed block: the markers are missing")
	}
	block = toLF(block[found.Start:found.End])
	parsed := Parsed{Spec: parseSpec(block)}
	parsed.Spec.Name = found.Name
	sections := sectionsByName(block)
	for _, backend := range parsed.Spec.Backends() {
		parsed.Slots = parseSlots(sections["backend "+backend.Name])
		if len(parsed.Slots) > 0 {
			break
		}
	}
	for _, slot := range parsed.Slots {
		if !slot.Used() {
			parsed.Spec.Spares++
		}
	}
	parsed.Edits = compareLines(string(block), string(Render(parsed.Spec, parsed.Slots)))
	return parsed, nil
}

// sectionsByName returns the sections by "keyword name", the first of each.
func sectionsByName(cfg []byte) map[string]*section {
	sections := map[string]*section{}
	for _, s := range parseSections(cfg) {
		if key := s.String(); sections[key] == nil {
			sections[key] = s
		}
	}
	return sections
}

// parseSpec reads what a block's sections say of its spec.
func parseSpec(block []byte) Spec {
	sections := sectionsByName(block)
	var spec Spec
	for name, port := range map[string]*int{
		KubeAPIFrontend: &spec.Ports.KubeAPI, KonnectivityFrontend: &spec.Ports.Konnectivity,
		ControllerJoinFrontend: &spec.Ports.ControllerJoin,
	} {
		if s := sections["frontend "+name]; s != nil {
			for _, b := range s.bound() {
				*port = b.First
			}
		}
	}
	if s := sections["frontend "+KubeAPIFrontend]; s != nil {
		for _, b := range s.bound() {
			spec.Bind, _ = bindAddress(b.Address)
		}
		spec.NoLog = !s.hasOption("tcplog")
	}
	spec.Check = CheckTLS
	if s := sections["backend "+KubeAPIBackend]; s != nil {
		if s.hasOption("httpchk") {
			spec.Check = CheckReadyz
		}
		if l, ok := s.last("balance"); ok {
			spec.Balance = l.word(1)
		}
		for _, l := range s.all("default-server") {
			spec.CAFile = cmp.Or(l.after("ca-file"), spec.CAFile)
		}
		for _, l := range s.all("server") {
			spec.ClientFile = cmp.Or(l.after("crt"), spec.ClientFile)
		}
	}
	if s := sections["global"]; s != nil {
		if l, ok := s.last("stats"); ok {
			spec.SocketPath = l.after("socket")
		}
	}
	if s := sections["frontend "+StatsSection]; s != nil {
		if l, ok := s.last("bind"); ok {
			spec.StatsListen = l.word(1)
		}
	}
	return spec
}

// parseSlots reads the server lines of a backend. A line without an IP address makes an unused slot.
func parseSlots(s *section) []Slot {
	if s == nil {
		return nil
	}
	var slots []Slot
	for i, l := range s.all("server") {
		slot := Slot{Index: i, Name: l.word(1)}
		if address, ok := parseServerAddress(l.word(2)); ok && !isSpare(address) {
			slot.Address = address.Addr()
			slot.Enabled = !slices.Contains(l.words, "disabled")
		}
		slots = append(slots, slot)
	}
	return slots
}

func isSpare(address netip.AddrPort) bool {
	return address.Addr().String() == SpareHost && address.Port() == SparePort
}

// parseServerAddress reads the address of a server line, which has to be an IP address. The port is 0 when the line
// has none: HAProxy then connects to the port that the client came to.
func parseServerAddress(text string) (netip.AddrPort, bool) {
	text = trimFamily(text)
	if address, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && !ambiguousIPv6(text) {
		return netip.AddrPortFrom(address.Unmap(), 0), true
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return netip.AddrPort{}, false
	}
	address, err := netip.ParseAddr(strings.Trim(text[:i], "[]"))
	if err != nil {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(text[i+1:], 10, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(address.Unmap(), uint16(port)), true
}

// ambiguousIPv6 is true for an IPv6 address without brackets: HAProxy takes what follows its last colon for the port.
func ambiguousIPv6(text string) bool {
	return strings.Count(text, ":") > 1 && !strings.HasPrefix(text, "[")
}

// after returns the word behind the given one, or "".
func (l line) after(word string) string {
	if i := slices.Index(l.words, word); i >= 0 {
		return l.word(i + 1)
	}
	return ""
}

func (s *section) hasOption(name string) bool {
	return slices.ContainsFunc(s.all("option"), func(l line) bool { return l.word(1) == name })
}

// compareLines lists the differing lines of two texts.
func compareLines(got, want string) []Edit {
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	var edits []Edit
	for _, op := range difflib.NewMatcher(gotLines, wantLines).GetOpCodes() {
		if op.Tag == 'e' {
			continue
		}
		for i, j := op.I1, op.J1; i < op.I2 || j < op.J2; i, j = i+1, j+1 {
			edit := Edit{Line: min(i, op.I2) + 1}
			if i < op.I2 {
				edit.Got = strings.TrimSpace(gotLines[i])
			}
			if j < op.J2 {
				edit.Want = strings.TrimSpace(wantLines[j])
			}
			if edit.Got != edit.Want {
				edits = append(edits, edit)
			}
		}
	}
	return edits
}
