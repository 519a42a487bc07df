package etcd

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Member is one entry of etcd's member list.
type Member struct {
	ID         uint64
	Name       string // empty until the member has started
	PeerURLs   []string
	ClientURLs []string // empty until the member has started
	Learner    bool
}

// String names the member as people know it: its name, or its ID when it has none yet.
func (m Member) String() string {
	if m.Name == "" {
		return fmt.Sprintf("unstarted member %x", m.ID)
	}
	return fmt.Sprintf("%s (%x)", m.Name, m.ID)
}

// Idle tells whether the member takes no part in votes: it is a learner, or has never started.
func (m Member) Idle() bool { return m.Learner || m.Name == "" }

// HasAddress tells whether one of the member's peer URLs is on the address.
func (m Member) HasAddress(address netip.Addr) bool {
	return slices.ContainsFunc(m.PeerURLs, func(peer string) bool {
		u, err := url.Parse(peer)
		if err != nil {
			return false
		}
		host, err := netip.ParseAddr(u.Hostname())
		return err == nil && host.Unmap() == address.Unmap()
	})
}

// PeerHost is the host of the member's first peer URL, without brackets; empty when there is none.
func (m Member) PeerHost() string {
	for _, peer := range m.PeerURLs {
		if u, err := url.Parse(peer); err == nil {
			return u.Hostname()
		}
	}
	return ""
}

// ByAddress finds the member whose peer URL is on the address.
func ByAddress(members []Member, address netip.Addr) (Member, bool) {
	i := slices.IndexFunc(members, func(m Member) bool { return m.HasAddress(address) })
	if i < 0 {
		return Member{}, false
	}
	return members[i], true
}

// Voters counts the members that vote.
func Voters(members []Member) int {
	n := 0
	for _, m := range members {
		if !m.Learner {
			n++
		}
	}
	return n
}

// Quorum is how many of n voters must agree.
func Quorum(n int) int { return n/2 + 1 }

// Tolerates is how many of n voters may fail while the others still form a quorum.
func Tolerates(n int) int { return max(0, n-Quorum(n)) }

// CanAdd says why no member may be added now, or nil. etcd admits one learner at a time, and a member that was added
// but never started counts against the quorum (https://etcd.io/docs/v3.6/op-guide/runtime-configuration/).
func CanAdd(members []Member, alarms []string) error {
	var problems []error
	for _, m := range members {
		switch {
		case m.Learner:
			problems = append(problems, fmt.Errorf("%s is still a learner (peer %s): wait until it votes, or, if its "+
				"join was given up, remove it with `kubectl etcd-members remove %x`", m, strings.Join(m.PeerURLs, ","), m.ID))
		case m.Name == "":
			problems = append(problems, fmt.Errorf("%s never started (peer %s): start it, or remove it with "+
				"`kubectl etcd-members remove %x`", m, strings.Join(m.PeerURLs, ","), m.ID))
		}
	}
	for _, a := range alarms {
		problems = append(problems, fmt.Errorf("etcd raises the alarm %s: clear its cause and disarm it", a))
	}
	return errors.Join(problems...)
}

func sortMembers(members []Member) {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}
