package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// result is how a sync ended.
type result string

const (
	success   result = kube.SyncerSuccess
	postponed result = kube.SyncerPostponed // a plugin changes the control plane
	refused   result = "refused"            // for the safety of the backends
	unchecked result = "unchecked"          // a server does not pass its health check
	stopped   result = "stopped"            // HAProxy does not run
	busy      result = "busy"               // somebody else changes this HAProxy
	failed    result = "error"
)

// outcome is what came of a sync.
type outcome struct {
	result result
	err    error
	// report is what HAProxy is like at the end; nil when that is not known.
	report *wire.Report
	// waiting are not let in, for the reason why, which mayPass by itself for some of them.
	waiting []Controller
	why     error
	mayPass bool
	actions []string
	// renewal of the client certificate.
	renewal renewal
}

const (
	syncTimeout = 90 * time.Second
	// soon is when what will probably pass by itself is looked at again.
	soon = time.Second
	// Who fails is tried again after that long, and after twice as long each time.
	firstRetry, lastRetry = 100 * time.Millisecond, 30 * time.Second
)

// helper is an open session with the helper of a load balancer.
type helper interface {
	Welcome() *wire.Welcome
	State(ctx context.Context) (*wire.Report, error)
	Apply(ctx context.Context, servers []wire.Server) (*wire.Applied, error)
	Renew(ctx context.Context, renew *wire.Renew) (*wire.Certificate, error)
	Close() error
}

// balancer is one load balancer.
type balancer struct {
	LoadBalancer
	session helper // nil when there is none
	process *wire.Process
	renewal renewal
	// vanished is when a server was taken away that no object told of any more.
	vanished map[netip.Addr]time.Time
}

// removalWindow is how long a server that has vanished counts among those that are taken away at once.
const removalWindow = time.Minute

// lately lists the servers that have vanished, and not come back since.
func (b *balancer) lately(controllers []Controller, now time.Time) []netip.Addr {
	maps.DeleteFunc(b.vanished, func(address netip.Addr, when time.Time) bool {
		return now.Sub(when) >= removalWindow || knows(controllers, address)
	})
	return slices.Collect(maps.Keys(b.vanished))
}

func (b *balancer) note(vanished []netip.Addr, now time.Time) {
	if b.vanished == nil {
		b.vanished = map[netip.Addr]time.Time{}
	}
	for _, address := range vanished {
		b.vanished[address] = now
	}
}

// loop keeps load balancers as they shall be: one queue, whose keys are the load balancers, and a worker for each of
// them, so that one that is down delays no other.
type loop struct {
	options     Options
	balancers   map[string]*balancer
	queue       workqueue.TypedRateLimitingInterface[string]
	open        func(context.Context, LoadBalancer) (helper, error)
	controllers func() ([]Controller, bool)
	held        func() string
	ask         func(context.Context, netip.Addr) error
	issue       func(context.Context) (*wire.Renew, error)
	metrics     *metrics
	health      *health
	// tell is told how each sync ended.
	tell func(context.Context, LoadBalancer, []Controller, outcome)
	log  *slog.Logger
}

// start makes the queue. Events that come before are not missed: every load balancer is looked at first of all.
func (l *loop) start() {
	l.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry))
	l.balancers = map[string]*balancer{}
	for _, lb := range l.options.LoadBalancers {
		l.balancers[lb.key()] = &balancer{LoadBalancer: lb}
		l.queue.Add(lb.key())
	}
}

// wake has every load balancer looked at, after the events that come together have come.
func (l *loop) wake() {
	for _, lb := range l.options.LoadBalancers {
		l.queue.AddAfter(lb.key(), l.options.Debounce)
	}
}

// run works until ctx ends, and then ends the sessions.
func (l *loop) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, l.queue.ShutDown)
	defer stop()
	var workers sync.WaitGroup
	for range l.balancers {
		workers.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	workers.Wait()
	for _, b := range l.balancers {
		b.drop()
	}
}

// next takes one load balancer from the queue; it says false when there will be no more.
func (l *loop) next(ctx context.Context) bool {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	b := l.balancers[key]
	start := time.Now()
	controllers, known := l.controllers()
	if !known {
		l.queue.AddAfter(key, soon)
		return true
	}
	end := l.health.begin(b.Address, start)
	o := l.syncOnce(ctx, b, controllers)
	end()
	if o.report != nil {
		o.renewal = b.renewal
	}
	if ctx.Err() != nil {
		return true // it was cut off, and whoever leads next completes it
	}
	l.metrics.knows(controllers)
	l.metrics.synced(b.Address, o, time.Since(start), time.Now())
	l.metrics.saw(b.Address, o.report)
	l.tell(ctx, b.LoadBalancer, controllers, o)
	l.again(key, o)
	return true
}

// again says when a load balancer is looked at next.
func (l *loop) again(key string, o outcome) {
	// What is refused may be right in a moment: just after HAProxy has started, servers count as up that are not.
	if o.result == failed || o.result == unchecked || o.result == refused {
		l.queue.AddRateLimited(key)
		return
	}
	l.queue.Forget(key)
	wait := l.options.Resync
	if o.result == busy || o.mayPass {
		wait = min(soon, wait)
	}
	// Many syncers and load balancers are not to fall into step.
	l.queue.AddAfter(key, wait-time.Duration(rand.Int64N(int64(wait/10)+1)))
}

// syncOnce makes one HAProxy what it shall be. This is the whole algorithm.
func (l *loop) syncOnce(ctx context.Context, b *balancer, controllers []Controller) outcome {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()

	// What is it like?
	report, err := l.look(ctx, b)
	if err != nil {
		return b.outcomeOf(err, nil)
	}
	o := outcome{report: report}

	// Does the certificate that its health checks show end soon?
	if err := l.renew(ctx, b, report); err != nil {
		return b.outcomeOf(err, report)
	}

	// Who is new, may be let in, and is ready?
	policy := b.session.Welcome()
	newcomers, outsiders := allowed(entering(controllers, report), report, policy.Networks)
	answers := askAll(ctx, l.ask, newcomers)
	for _, address := range outsiders {
		answers[address] = errOutside
	}
	want := decide(controllers, report, func(address netip.Addr) bool {
		err, asked := answers[address]
		return asked && err == nil
	})
	o.waiting, o.why = want.waiting, whyWaiting(want.waiting, answers)
	o.mayPass = len(want.waiting) > len(outsiders)

	// May it be changed?
	if err := guard(controllers, want, report, policy.MaxRemovalPercent, b.lately(controllers, time.Now())); err != nil {
		return b.outcomeOf(err, report)
	}
	if holder := l.held(); holder != "" {
		o.result, o.err = postponed, fmt.Errorf("another operation changes the control plane: %s", holder)
		return o
	}

	// The helper plans on what HAProxy is like by then, judges by the policy of its host, and does nothing when all is well.
	b.note(want.vanished, time.Now())
	applied, err := b.session.Apply(ctx, want.servers)
	if err != nil {
		refusal := b.outcomeOf(err, report)
		refusal.waiting, refusal.why = o.waiting, o.why
		return refusal
	}
	o.result, o.report, o.actions = success, &applied.Report, applied.Actions
	b.process = applied.Report.Process
	return o
}

// message is what people are to know of a look at a load balancer; empty when all is as it shall be.
func (o outcome) message() string {
	switch {
	case o.err != nil:
		return steady(o.err)
	case o.why != nil:
		return o.why.Error()
	}
	return ""
}

// look asks what HAProxy is like, by a new session if there is none.
func (l *loop) look(ctx context.Context, b *balancer) (*wire.Report, error) {
	kept := b.session != nil
	report, err := l.state(ctx, b)
	if kept && errors.Is(err, io.EOF) {
		// The helper was ended since, as kubectl ha-init does for another policy. A new session tells whether it is worse.
		b.drop()
		report, err = l.state(ctx, b)
	}
	if err != nil {
		return nil, err
	}
	if p := report.Process; p != nil {
		if b.process != nil && b.process.PID != p.PID {
			l.metrics.restarts.WithLabelValues(b.Address).Inc()
			l.log.Info("HAProxy was restarted or reloaded", "loadBalancer", b.Address)
		}
		b.process = p
	}
	return report, nil
}

func (l *loop) state(ctx context.Context, b *balancer) (*wire.Report, error) {
	if b.session == nil {
		session, err := l.open(ctx, b.LoadBalancer)
		if err != nil {
			return nil, err
		}
		b.session = session
	}
	return b.session.State(ctx)
}

// outcomeOf says what an error means. A session whose helper did not answer in its protocol is over.
func (b *balancer) outcomeOf(err error, report *wire.Report) outcome {
	o := outcome{result: failed, err: err, report: report}
	var guarded *RefusedError
	switch kind := wire.KindOf(err); {
	case errors.As(err, &guarded), kind == wire.Refused:
		o.result = refused
	case kind == wire.Unchecked:
		o.result = unchecked
	case kind == wire.Stopped:
		o.result = stopped
	case kind == wire.Busy:
		o.result = busy
	case kind == "" || kind == wire.Malformed:
		b.drop()
	}
	return o
}

func (b *balancer) drop() {
	if b.session != nil {
		_ = b.session.Close() // it is given up
		b.session = nil
	}
}
