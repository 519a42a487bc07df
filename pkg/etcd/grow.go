package etcd

import (
	"errors"
	"fmt"
)

// CanGrow judges adding members. Every member must be well, but for those that the caller answers for: members that
// this very change brings in, and members that he cannot ask.
func CanGrow(s State, answeredFor func(Member) bool) error {
	var reasons []error
	for _, m := range s.Members {
		if answeredFor(m) {
			continue
		}
		if ailment := s.Ailment(m); ailment != "" {
			reasons = append(reasons, errors.New(ailment))
		}
		if m.Learner {
			reasons = append(reasons, fmt.Errorf("%s is still a learner (peer %s): wait until it votes, or, if its join was given "+
				"up, remove it with `kubectl etcd-members remove %x`", m, m.PeerHost(), m.ID))
		}
	}
	for _, a := range s.Alarms() {
		reasons = append(reasons, fmt.Errorf("the alarm %s is raised: clear its cause and disarm it", s.nameAlarm(a)))
	}
	for _, d := range s.Disagreements() {
		reasons = append(reasons, errors.New(d))
	}
	return errors.Join(reasons...)
}
