// Package reconcile keeps the cluster's objects in step with its controllers,
// as k0s's leader does.
package reconcile

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lease"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/objects"
)

// action is what the leader does about one EtcdMember.
type action int

const (
	nothing action = iota
	markGone
	wait
	yield
	requestShutdown
	remove
)

// decision is an action and the message that goes into the object's status.
type decision struct {
	action  action
	message string
}

// offlineGrace is how long a controller whose lease has run out is given to
// remove its own member.
const offlineGrace = 5 * time.Minute

// situation is all that the leader knows about one EtcdMember.
type situation struct {
	member *objects.EtcdMember
	// exists says that etcd knows the member's ID, self that it is the leader's own.
	exists, self bool
	// controllers is how many controllers hold their lease.
	controllers int
	// lease is the member's controller lease, nil where there is none.
	lease *coordinationv1.Lease
	now   time.Time
}

// decide is the leave protocol of k0s:
//
//	etcd knows it  leave  own member  its lease            → action
//	no             –      –           –                    → mark it gone, once
//	yes            no     –           –                    → nothing
//	yes            yes    yes, alone  –                    → wait: the last controller cannot leave
//	yes            yes    yes         –                    → yield the leader lease: another one sees to it
//	yes            yes    no          none                 → wait
//	yes            yes    no          valid                → ask that controller to shut down, then wait
//	yes            yes    no          over for < 5 minutes → wait: it leaves by itself
//	yes            yes    no          over for longer      → remove the member
func decide(s situation) decision {
	if !s.exists {
		if s.member.Status.Joined() == "False" {
			return decision{action: nothing}
		}
		return decision{markGone, "No such member ID"}
	}
	if !s.member.Spec.Leave {
		return decision{action: nothing}
	}
	if s.self {
		if s.controllers < 2 {
			return decision{wait, "The only active controller cannot leave the etcd cluster" +
				"; either bring another controller online or clear spec.leave"}
		}
		return decision{yield, "Waiting for another controller to take over"}
	}
	invocation := s.member.Labels[objects.LabelShutdownOnLeave]
	switch {
	case invocation == "":
		return decision{action: remove}
	case s.lease == nil:
		return decision{wait, "No k0s controller lease found"}
	case lease.Valid(s.lease, s.now):
		if s.lease.Spec.HolderIdentity == nil || *s.lease.Spec.HolderIdentity != invocation {
			return decision{wait, "Unexpected lease holder"}
		}
		if s.member.Labels[objects.LabelShutdown] != invocation {
			return decision{action: requestShutdown}
		}
		return decision{wait, "Member is still active; waiting for it to shutdown"}
	case s.lease.Spec.RenewTime != nil && s.now.Sub(s.lease.Spec.RenewTime.Time) < offlineGrace:
		return decision{wait, "Member is offline; waiting for it to leave"}
	}
	return decision{action: remove}
}
