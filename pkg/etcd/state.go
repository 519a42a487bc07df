package etcd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// State is the cluster as its members describe it.
type State struct {
	Members []Member         // of all their lists, sorted by name and ID
	Views   map[uint64]View  // of the members that answered, by their IDs
	Silent  map[uint64]error // why others did not, as far as that is known
}

// NewState puts together what members said.
func NewState(views []View) State {
	s := State{Views: map[uint64]View{}, Silent: map[uint64]error{}}
	known := map[uint64]Member{}
	for _, v := range views {
		s.Views[v.Status.ID] = v
		for _, m := range v.Members {
			if have, found := known[m.ID]; !found || have.Name == "" { // another one has seen it start
				known[m.ID] = m
			}
		}
	}
	s.Members = slices.Collect(maps.Values(known))
	sortMembers(s.Members)
	return s
}

// Member finds a member by its ID.
func (s State) Member(id uint64) (Member, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return s.Members[i], true
}

// Leader returns the leader that the member with the highest raft term names; 0 when that one knows none.
func (s State) Leader() uint64 {
	var term, leader uint64
	for _, id := range slices.Sorted(maps.Keys(s.Views)) {
		status := s.Views[id].Status
		if status.Term > term || status.Term == term && leader == 0 {
			term, leader = status.Term, status.Leader
		}
	}
	return leader
}

// Lag is how many entries of the leader's log the member has yet to apply. The two were not asked at the same moment:
// in a busy cluster a few entries mean nothing.
func (s State) Lag(id uint64) (entries uint64, known bool) {
	leader, answered := s.Views[s.Leader()]
	view, own := s.Views[id]
	if !answered || !own {
		return 0, false
	}
	if view.Status.Applied >= leader.Status.Index {
		return 0, true
	}
	return leader.Status.Index - view.Status.Applied, true
}

// Alarms lists what is raised, as any member knows it.
func (s State) Alarms() []Alarm {
	raised := map[Alarm]bool{}
	for _, v := range s.Views {
		for _, a := range v.Status.Alarms {
			raised[a] = true
		}
	}
	return slices.SortedFunc(maps.Keys(raised), func(a, b Alarm) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Type, b.Type))
	})
}

// Ailment says what is wrong with a member, or nothing.
func (s State) Ailment(m Member) string {
	view, answered := s.Views[m.ID]
	switch {
	case m.Name == "" && !answered:
		return fmt.Sprintf("%s never started (peer %s)", m, strings.Join(m.PeerURLs, ","))
	case !answered && s.Silent[m.ID] != nil:
		return fmt.Sprintf("%s does not answer: %v", m, s.Silent[m.ID])
	case !answered:
		return fmt.Sprintf("%s does not answer", m)
	case view.Status.Leader == 0:
		return fmt.Sprintf("%s knows no leader", m)
	case len(view.Status.Errors) > 0:
		return fmt.Sprintf("%s reports: %s", m, strings.Join(view.Status.Errors, "; "))
	case view.ReadErr != nil:
		return fmt.Sprintf("%s: %v", m, view.ReadErr)
	}
	return ""
}

// Healthy tells whether the member answers, knows a leader and complains of nothing.
func (s State) Healthy(m Member) bool { return s.Ailment(m) == "" }

// Strength is what a cluster of some voters can still bear.
type Strength struct {
	Voters  int
	Healthy int // of the voters
}

// Strength counts the voters.
func (s State) Strength() Strength {
	strength := Strength{Voters: Voters(s.Members)}
	for _, m := range s.Members {
		if !m.Learner && s.Healthy(m) {
			strength.Healthy++
		}
	}
	return strength
}

// MayFail is how many healthy voters may still fail; negative when the quorum is lost.
func (s Strength) MayFail() int { return s.Healthy - Quorum(s.Voters) }

// Problems lists what is wrong with the cluster, by what its members say.
func (s State) Problems() []string {
	var problems []string
	for _, m := range s.Members {
		if ailment := s.Ailment(m); ailment != "" {
			problems = append(problems, ailment)
		}
	}
	for _, a := range s.Alarms() {
		problems = append(problems, "the alarm "+s.nameAlarm(a)+" is raised")
	}
	return append(problems, s.Disagreements()...)
}

func (s State) nameAlarm(a Alarm) string {
	if m, found := s.Member(a.Member); found {
		return a.Type + " on " + m.String()
	}
	return a.String()
}
