package syncer

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaderLease is the Lease, in the syncer's namespace, of the replica that changes load balancers.
const LeaderLease = "ha-syncer"

// leadership is one replica's way to lead.
type leadership struct {
	leases   coordinationv1client.LeasesGetter
	identity string
	leading  func(bool)
	follows  func(leader string)
	log      *slog.Logger

	namespace          string
	hold, renew, retry time.Duration
}

func newLeadership(leases coordinationv1client.LeasesGetter, o Options, leading func(bool), follows func(leader string)) *leadership {
	return &leadership{
		leases: leases, identity: o.Identity, leading: leading, follows: follows, log: o.Log, namespace: o.Namespace,
		hold: 15 * time.Second, renew: 8 * time.Second, retry: 2 * time.Second,
	}
}

// run leads whenever it can, until ctx ends; then it gives the Lease back, so that the next one need not wait. What is
// led has ended before that. A Lease that could not be renewed is given back while what is led still ends: two may lead for a
// moment, and the lock of each HAProxy parts them.
func (l *leadership) run(ctx context.Context, lead func(context.Context)) error {
	for ctx.Err() == nil {
		if err := l.once(ctx, lead); err != nil {
			return err
		}
	}
	return nil
}

func (l *leadership) once(ctx context.Context, lead func(context.Context)) error {
	// The elector gives the Lease back when its context ends, and does not wait for what is led. So that context ends
	// only when nothing is led any more.
	electing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan struct{})
	started := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: LeaderLease,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.namespace, Name: LeaderLease},
			Client:     l.leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: l.identity},
		},
		LeaseDuration: l.hold, RenewDeadline: l.renew, RetryPeriod: l.retry,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				close(started)
				defer close(ended)
				defer stop()
				if held.Err() != nil {
					return // lost at once
				}
				leading, cancel := context.WithCancel(held)
				defer cancel()
				stopLeading := context.AfterFunc(ctx, cancel)
				defer stopLeading()
				l.log.Info("leading", "identity", l.identity)
				l.leading(true)
				lead(leading)
				l.leading(false)
				l.log.Info("leads no more", "identity", l.identity)
			},
			OnStoppedLeading: func() {},
			OnNewLeader:      l.follows,
		},
	})
	if err != nil {
		return err
	}
	// Nothing is led yet: the elector may end at once.
	notLeading := context.AfterFunc(ctx, func() {
		select {
		case <-started:
		default:
			stop()
		}
	})
	defer notLeading()
	elector.Run(electing)
	select {
	case <-started:
		<-ended
	default:
	}
	return nil
}
