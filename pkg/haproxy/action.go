package haproxy

import (
	"fmt"
	"slices"
	"strings"
)

// ActionKind says what an Action does.
type ActionKind string

const (
	// ActBackup keeps a copy of the file, before sections of the user's are replaced.
	ActBackup ActionKind = "backup"
	// ActWrite validates the new file and puts it in place of the old one.
	ActWrite ActionKind = "write"
	// ActReload lets HAProxy read the file, and ActStart starts it and enables it at boot.
	ActReload ActionKind = "reload"
	ActStart  ActionKind = "start"
	// ActAddress gives a free slot the address of a controller, and ActFree takes it back.
	ActAddress ActionKind = "address"
	ActFree    ActionKind = "free"
	// ActCheck lets a server be checked without getting connections, and ActWait waits until its check has passed.
	ActCheck ActionKind = "check"
	ActWait  ActionKind = "wait"
	// ActReady, ActDrain and ActMaint set the state of a server; the last two refuse to take the last one away.
	ActReady ActionKind = "ready"
	ActDrain ActionKind = "drain"
	ActMaint ActionKind = "maint"
)

// Line is one server line of the running HAProxy.
type Line struct {
	Backend, Slot string
	// Port of that backend's servers.
	Port int
}

func (l Line) String() string { return l.Backend + "/" + l.Slot }

// Action is one step of a Plan. Doing one again does no harm.
type Action struct {
	Kind ActionKind
	// Server is whom a step at run time is about.
	Server Server
	// Lines are where a step at run time is taken.
	Lines []Line
	// Slots are those of the file, for ActWrite.
	Slots []Slot
	// BeforeReload marks an ActWrite whose change takes effect by a reload.
	BeforeReload bool
	// Text says more of the step: which slots, what of the file, why a reload.
	Text string
}

// String is the action in one line, for people.
func (a Action) String() string {
	who := serverLabel(a.Server)
	switch a.Kind {
	case ActBackup:
		return "keep a copy of " + a.Text
	case ActWrite:
		return "write " + a.Text
	case ActReload:
		return "reload HAProxy: " + a.Text
	case ActStart:
		return "start HAProxy and enable it at boot"
	case ActAddress:
		return fmt.Sprintf("%s: gets %s", who, a.Text)
	case ActFree:
		return fmt.Sprintf("%s: frees %s", who, a.Text)
	case ActCheck:
		return fmt.Sprintf("%s: start health checks of %s, without connections", who, a.Text)
	case ActWait:
		return fmt.Sprintf("%s: wait until the health checks of %s have passed", who, a.Text)
	case ActReady:
		return fmt.Sprintf("%s: give connections to %s", who, a.Text)
	case ActDrain:
		return fmt.Sprintf("%s: give no new connections to %s", who, a.Text)
	case ActMaint:
		return fmt.Sprintf("%s: put %s into maintenance", who, a.Text)
	}
	return string(a.Kind)
}

// describeLines says in which of the backends which slots are meant.
func describeLines(lines []Line, backends []Backend) string {
	other := func(l Line) bool { return l.Slot != lines[0].Slot }
	if len(lines) == len(backends) && !slices.ContainsFunc(lines, other) {
		return "slot " + lines[0].Slot + " in every backend"
	}
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = l.String()
	}
	return strings.Join(texts, ", ")
}

func serverLabel(s Server) string {
	switch {
	case s.Address.IsValid() && s.Name != "" && s.Name != s.Address.String():
		return fmt.Sprintf("%s (%s)", s.Name, s.Address)
	case s.Address.IsValid():
		return s.Address.String()
	}
	return s.Name
}
