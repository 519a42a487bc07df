package syncer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// decision is what one HAProxy shall be.
type decision struct {
	servers []wire.Server
	// waiting are controllers that are not let in, since their API server does not say that it is ready.
	waiting []Controller
	// vanished are the servers that are up and that no object tells of.
	vanished []netip.Addr
}

// decide says which servers one HAProxy shall have, and which it loses without a word from the API.
//
//	controller   in HAProxy   API server   becomes
//	stays        active       any          active
//	stays        inactive     ready        active
//	stays        inactive     not ready    inactive
//	stays        absent       ready        active
//	stays        absent       not ready    absent, it waits
//	leaves       present      any          inactive
//	leaves       absent       any          absent
//	unknown      present      any          absent
//
// Who is let in once is not asked again: from then on, HAProxy's own health checks decide whether it gets connections.
func decide(controllers []Controller, report *wire.Report, ready func(netip.Addr) bool) decision {
	d := decision{vanished: slices.DeleteFunc(serving(report), func(address netip.Addr) bool { return knows(controllers, address) })}
	for _, c := range controllers {
		active, present := place(report, c.Address)
		server := wire.Server{Name: c.Name, Address: c.Address}
		switch {
		case c.Leaving && !present:
			continue
		case c.Leaving:
		case active || ready(c.Address):
			server.Active = true
		default:
			d.waiting = append(d.waiting, c)
			if !present {
				continue
			}
		}
		d.servers = append(d.servers, server)
	}
	return d
}

// entering lists the controllers that get connections only once their API server is ready.
func entering(controllers []Controller, report *wire.Report) []netip.Addr {
	var addresses []netip.Addr
	for _, c := range controllers {
		if active, _ := place(report, c.Address); !c.Leaving && !active {
			addresses = append(addresses, c.Address)
		}
	}
	return addresses
}

// allowed parts those who enter by whether the helper would let them in: in a network of its policy, or known to HAProxy already.
// It would refuse a membership with any other one as a whole. One that says nothing of networks is left to judge by itself.
func allowed(addresses []netip.Addr, report *wire.Report, networks []netip.Prefix) (in, out []netip.Addr) {
	for _, address := range addresses {
		_, present := place(report, address)
		if present || len(networks) == 0 || slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(address) }) {
			in = append(in, address)
		} else {
			out = append(out, address)
		}
	}
	return in, out
}

// place says whether HAProxy has a server of that address, in its file or in its process, and whether it was let in.
func place(report *wire.Report, address netip.Addr) (active, present bool) {
	for _, slot := range report.Slots {
		if slot.Address == address {
			present, active = true, active || slot.Enabled
		}
	}
	for _, s := range report.Servers {
		if !s.Unused && s.Address == address {
			present, active = true, active || s.Admin == string(haproxy.Ready)
		}
	}
	return active, present
}

// RefusedError says why a change was not even asked for: the source of truth looks wrong.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// serving lists the servers that are up; where an HAProxy that runs cannot be asked, those of its file.
func serving(report *wire.Report) []netip.Addr {
	var addresses []netip.Addr
	add := func(address netip.Addr, serves bool) {
		if serves && !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	for _, s := range report.Servers {
		add(s.Address, s.Up && !s.Unused)
	}
	if report.Running && report.Process == nil {
		for _, s := range report.Slots {
			add(s.Address, s.Enabled)
		}
	}
	return addresses
}

func knows(controllers []Controller, address netip.Addr) bool {
	return slices.ContainsFunc(controllers, func(c Controller) bool { return c.Address == address })
}

// guard refuses a decision that would make things worse if the API told less than the truth: that leaves nobody, or
// takes away more than a percentage of the servers that are up. One may always go where another stays. Those that have vanished
// lately count, too: objects that are lost one after another are lost all the same.
func guard(controllers []Controller, d decision, report *wire.Report, percent int, lately []netip.Addr) error {
	if len(controllers) == 0 {
		return &RefusedError{"the API knows no controller at all: HAProxy keeps those that it has"}
	}
	if !slices.ContainsFunc(d.servers, func(s wire.Server) bool { return s.Active }) {
		return &RefusedError{"no controller would get connections: HAProxy keeps those that it has"}
	}
	up := serving(report)
	gone := slices.DeleteFunc(slices.Clone(up), func(address netip.Addr) bool {
		return slices.ContainsFunc(d.servers, func(want wire.Server) bool { return want.Active && want.Address == address })
	})
	if limit := wire.Removable(percent, len(up)); len(gone) > limit {
		return &RefusedError{fmt.Sprintf("%s would be taken away at once, of %d servers that are up, and at most %d may be: "+
			"HAProxy keeps those that it has; remove them one after another, or run kubectl ha-init with a higher spec.syncer.maxRemovalPercent",
			list(gone), len(up), limit)}
	}
	lately = slices.DeleteFunc(lately, func(address netip.Addr) bool { return slices.Contains(d.vanished, address) }) // it is still there
	if limit := wire.Removable(percent, len(up)+len(lately)); len(d.vanished) > 0 && len(d.vanished)+len(lately) > limit {
		return &RefusedError{fmt.Sprintf("no object tells of %s any more, which was so of %s within the last %s, and at most %d may be taken "+
			"away in that time: HAProxy keeps those that it has", list(d.vanished), list(lately), removalWindow, limit)}
	}
	return nil
}

func list(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
