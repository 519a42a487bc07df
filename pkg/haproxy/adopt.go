package haproxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Adoption is a load balancer that somebody set up by hand, as k0s's HAProxy guide says: the sections that serve the
// control plane's ports and nothing else, which the managed block can replace.
type Adoption struct {
	// Sections are those which go, in the order of the file. The block takes the place of the first.
	Sections []AdoptedSection
	// Ports are those of the three that were found.
	Ports []int
	// Bind is the address they listen on, in the terms of Spec.Bind.
	Bind netip.Addr
	// Servers are the controllers found, in the order of the file, under the names they have there.
	Servers []Server
	// Lost are settings of the user's that the block does not have: show them before anything is replaced.
	Lost []Lost

	cfg              []byte
	sections, others []*section
}

// AdoptedSection is a section that the block replaces.
type AdoptedSection struct {
	Keyword, Name string
	// FirstLine and LastLine are what goes, counted from 1: from the keyword to the last directive, with the comments
	// in between. Comments around it stay.
	FirstLine, LastLine int
}

// Lost is a setting that the block does not have.
type Lost struct {
	Line int
	Text string
}

func (l Lost) String() string { return fmt.Sprintf("line %d: %s", l.Line, l.Text) }

// Refusal is a reason why a file cannot be adopted exactly.
type Refusal struct {
	Line           int
	Reason, Remedy string
}

// RefusedError says why a load balancer set up by hand cannot be taken over, with all the reasons.
type RefusedError struct{ Refusals []Refusal }

func (e *RefusedError) Error() string {
	lines := make([]string, 0, len(e.Refusals)+1)
	lines = append(lines, "the sections for the control plane cannot be taken over as they are:")
	for _, r := range e.Refusals {
		lines = append(lines, fmt.Sprintf("line %d: %s: %s", r.Line, r.Reason, r.Remedy))
	}
	return strings.Join(lines, "\n")
}

// Adopt finds the sections that serve the ports. It finds none (Adoption.Found is false) when nothing listens there,
// and refuses with a RefusedError when replacing exactly these sections would change what the user's HAProxy does
// otherwise.
func Adopt(cfg []byte, ports Ports) (*Adoption, error) {
	sections, err := userSections(cfg)
	if err != nil {
		return nil, err
	}
	a := &adopter{user: sections, ports: []int{ports.KubeAPI, ports.Konnectivity, ports.ControllerJoin}}
	a.findFrontends()
	a.takeSections()
	a.checkMentions()
	if block, found, _ := FindBlock(cfg); found && len(a.found) > 0 {
		s := a.found[0].section
		a.refuse(s.lines[0], "remove that section", "%s listens on a port of the managed block (lines %d to %d)",
			s, block.FirstLine, block.LastLine)
	}
	if len(a.refusals) > 0 {
		slices.SortStableFunc(a.refusals, func(x, y Refusal) int { return x.Line - y.Line })
		return nil, &RefusedError{Refusals: slices.Compact(a.refusals)}
	}
	adoption := a.adoption()
	adoption.cfg = cfg
	return adoption, nil
}

// Found says whether there is anything to adopt.
func (a *Adoption) Found() bool { return len(a.sections) > 0 }

// Fit adapts a spec to the file (see Spec.FitTo) as it will be without the sections. An unset Bind becomes the
// address that they listened on.
func (a *Adoption) Fit(spec Spec) (Spec, error) {
	if !a.Found() {
		return spec.FitTo(a.cfg)
	}
	if !spec.Bind.IsValid() {
		spec.Bind = a.Bind
	}
	return spec.fit(a.others, a.sections[0].start()), nil
}

// Conflicts lists what the block of that spec cannot live beside once it stands in place of the sections.
func (a *Adoption) Conflicts(spec Spec) []Conflict {
	return conflicts(a.others, a.sections[0].start(), spec)
}

// Replace returns the configuration with the block in place of the sections; nothing else differs.
func (a *Adoption) Replace(block []byte) ([]byte, error) {
	if !a.Found() {
		return ReplaceBlock(a.cfg, block)
	}
	remaining, offset := a.Remaining(), a.sections[0].start()
	replaced := joinBlock(remaining[:offset], block, remaining[offset:], usesCRLF(a.cfg))
	if _, found, err := FindBlock(replaced); err != nil || !found {
		return nil, fmt.Errorf("placing the managed block at line %d: %w", a.Sections[0].FirstLine,
			cmp.Or(err, errors.New("it has no markers")))
	}
	return replaced, nil
}

// Remaining returns the configuration without the sections: what stays the user's.
func (a *Adoption) Remaining() []byte {
	remaining := make([]byte, 0, len(a.cfg))
	offset := 0
	for _, s := range a.sections {
		remaining = append(remaining, a.cfg[offset:s.start()]...)
		offset = s.end()
	}
	return append(remaining, a.cfg[offset:]...)
}
