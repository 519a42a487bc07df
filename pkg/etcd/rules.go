package etcd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// The rules below say why something must not be done to the cluster, or nil. They judge the cluster as it will be, by
// what its members say of it now.

// CanRemove judges the removal of a member. The member itself may be in any condition; all others must be well. When it
// does not answer, its removal is a repair: the quorum that the others need gets no larger. Then those given as down are
// borne with, as long as the ones that answer are a quorum of those that remain.
func CanRemove(s State, id uint64, down ...Member) error {
	target, found := s.Member(id)
	if !found {
		return fmt.Errorf("etcd has no member %x", id)
	}
	now := s.Strength()
	if !target.Learner && now.Voters == 1 {
		return fmt.Errorf("%s is the last voting member: with it the cluster's data would be gone", target)
	}
	except := []uint64{id}
	for _, m := range down {
		if !s.answers(target) && !s.answers(m) {
			except = append(except, m.ID)
		}
	}
	reasons := s.unsettled(except...)
	if now.MayFail() < 0 {
		reasons = append(reasons, lostQuorum(now))
	} else if after := s.without(target); after.MayFail() < 0 {
		reasons = append(reasons, fmt.Errorf("quorum would be lost: of the %d voters that remain %d must be healthy, and %d are",
			after.Voters, Quorum(after.Voters), after.Healthy))
	}
	return errors.Join(reasons...)
}

// Down lists the voters that have started once and do not answer, apart from the excepted member.
func Down(s State, except uint64) []Member {
	return slices.DeleteFunc(slices.Clone(s.Members), func(m Member) bool { return m.ID == except || m.Idle() || s.answers(m) })
}

func (s State) answers(m Member) bool {
	_, answered := s.Views[m.ID]
	return answered
}

// without counts the voters that remain.
func (s State) without(target Member) Strength {
	after := s.Strength()
	if !target.Learner {
		after.Voters--
		if s.Healthy(target) {
			after.Healthy--
		}
	}
	return after
}

// CanPromote judges making a learner a voter. Whether the learner has caught up is for etcd to say.
func CanPromote(s State, id uint64) error {
	target, found := s.Member(id)
	switch {
	case !found:
		return fmt.Errorf("etcd has no member %x", id)
	case !target.Learner:
		return fmt.Errorf("%s votes already", target)
	}
	var reasons []error
	if ailment := s.Ailment(target); ailment != "" {
		reasons = append(reasons, errors.New(ailment))
	}
	reasons = append(reasons, s.unsettled(id)...)
	now := s.Strength()
	after := Strength{Voters: now.Voters + 1, Healthy: now.Healthy + 1}
	if now.MayFail() < 0 {
		reasons = append(reasons, lostQuorum(now))
	} else if after.MayFail() < 0 {
		reasons = append(reasons, fmt.Errorf("quorum would be lost: of %d voters %d must be healthy, and %d are",
			after.Voters, Quorum(after.Voters), after.Healthy))
	}
	return errors.Join(reasons...)
}

// unsettled lists what keeps membership from being changed, apart from the excepted members, as the one that the change
// is about.
func (s State) unsettled(except ...uint64) []error {
	var reasons []error
	for _, m := range s.Members {
		if slices.Contains(except, m.ID) {
			continue
		}
		if m.Learner {
			reasons = append(reasons, fmt.Errorf("%s is still a learner: wait until it votes, or remove it with `kubectl "+
				"etcd-members remove %x`", m, m.ID))
		}
		if ailment := s.Ailment(m); ailment != "" {
			reasons = append(reasons, errors.New(ailment))
		}
	}
	for _, a := range s.Alarms() {
		reasons = append(reasons, fmt.Errorf("the alarm %s is raised: clear its cause and disarm it", s.nameAlarm(a)))
	}
	for _, d := range s.disagreements(except...) {
		reasons = append(reasons, errors.New(d))
	}
	return reasons
}

func lostQuorum(s Strength) error {
	return fmt.Errorf("etcd has lost its quorum (%d of %d voters are healthy, %d must be): bring members back first",
		s.Healthy, s.Voters, Quorum(s.Voters))
}

// CanMoveLeader judges handing the leadership to a member. Others may be down: that is when it is needed most.
func CanMoveLeader(s State, to uint64) error {
	target, found := s.Member(to)
	leader := s.Leader()
	var reasons []error
	switch {
	case !found:
		return fmt.Errorf("etcd has no member %x", to)
	case leader == to:
		return fmt.Errorf("%s leads already", target)
	case target.Learner:
		reasons = append(reasons, fmt.Errorf("%s is a learner, which cannot lead", target))
	case !s.Healthy(target):
		reasons = append(reasons, errors.New(s.Ailment(target)))
	}
	if _, answers := s.Views[leader]; !answers {
		reasons = append(reasons, errors.New("the leader does not answer, and it alone can hand the leadership over"))
	}
	if now := s.Strength(); now.MayFail() < 0 {
		reasons = append(reasons, lostQuorum(now))
	}
	for _, d := range s.Disagreements() {
		reasons = append(reasons, errors.New(d))
	}
	return errors.Join(reasons...)
}

// Successor is the healthy voter that follows the leader most closely; none of the excepted ones.
func Successor(s State, except ...uint64) (Member, bool) {
	return s.best(func(m Member) bool {
		return !m.Learner && s.Healthy(m) && m.ID != s.Leader() && !slices.Contains(except, m.ID)
	})
}

// SnapshotSource is the voter to copy the database from: the one that has applied most, a follower rather than the
// leader. A cluster that has lost its quorum can still be copied, which is when it matters.
func SnapshotSource(s State) (Member, error) {
	source, found := s.best(func(m Member) bool {
		_, answered := s.Views[m.ID]
		return answered && !m.Learner && !slices.Contains(s.Alarms(), Alarm{Member: m.ID, Type: Corrupt})
	})
	if !found {
		return Member{}, errors.New("no voting member answers that has a sound database")
	}
	return source, nil
}

// best is the member among the fit ones that has applied most, a follower rather than the leader.
func (s State) best(fit func(Member) bool) (Member, bool) {
	var fits []Member
	for _, m := range s.Members {
		if fit(m) {
			fits = append(fits, m)
		}
	}
	if len(fits) == 0 {
		return Member{}, false
	}
	leads := func(m Member) int {
		if m.ID == s.Leader() {
			return 1
		}
		return 0
	}
	return slices.MinFunc(fits, func(a, b Member) int {
		return cmp.Or(
			-cmp.Compare(s.Views[a.ID].Status.Applied, s.Views[b.ID].Status.Applied),
			cmp.Compare(leads(a), leads(b)),
			cmp.Compare(a.Name, b.Name),
		)
	}), true
}

// CanDefragment judges defragmenting, which stops one member after the other for a while. NOSPACE is what it cures.
func CanDefragment(s State) error {
	var reasons []error
	for _, m := range s.Members {
		if ailment := s.Ailment(m); ailment != "" {
			reasons = append(reasons, errors.New(ailment))
		}
	}
	for _, a := range s.Alarms() {
		if a.Type != NoSpace {
			reasons = append(reasons, fmt.Errorf("the alarm %s is raised: clear its cause and disarm it", s.nameAlarm(a)))
		}
	}
	for _, d := range s.Disagreements() {
		reasons = append(reasons, errors.New(d))
	}
	return errors.Join(reasons...)
}

// DefragmentOrder lists followers first and the leader last.
func DefragmentOrder(s State) []Member {
	order := slices.Clone(s.Members)
	leader := s.Leader()
	slices.SortStableFunc(order, func(a, b Member) int {
		switch leader {
		case a.ID:
			return 1
		case b.ID:
			return -1
		}
		return 0
	})
	return order
}

// CanDisarm judges disarming all alarms: the cause of each must be gone.
func CanDisarm(s State) error {
	var reasons []error
	for _, a := range s.Alarms() {
		m, found := s.Member(a.Member)
		if !found {
			continue // it was removed
		}
		view, answers := s.Views[a.Member]
		status := view.Status
		switch {
		case a.Type == Corrupt:
			reasons = append(reasons, fmt.Errorf("the database of %s is corrupt: remove the member and let its host join again", m))
		case !answers:
			reasons = append(reasons, errors.New(s.Ailment(m)))
		case a.Type == NoSpace && status.DBQuota > 0 && status.DBSize >= status.DBQuota:
			reasons = append(reasons, fmt.Errorf("the database of %s still fills its quota (%d of %d bytes): delete what grows, "+
				"wait for the compaction, and defragment", m, status.DBSize, status.DBQuota))
		}
	}
	if now := s.Strength(); now.MayFail() < 0 {
		reasons = append(reasons, lostQuorum(now))
	}
	for _, d := range s.Disagreements() {
		reasons = append(reasons, errors.New(d))
	}
	return errors.Join(reasons...)
}
