// Package lease holds k0s's leases in kube-node-lease: one per controller
// that proves it lives, and one for which the controllers compete.
package lease

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// k0s's own timing: a dead holder is replaced after a minute.
const (
	duration      = 60 * time.Second
	renewDeadline = 15 * time.Second
	retryPeriod   = 5 * time.Second
	yieldFor      = 30 * time.Second
)

// Leader is the lease that makes one controller the leader.
const Leader = "k0s-endpoint-reconciler"

// OfController is the name of a controller's own lease.
func OfController(node string) string { return "k0s-ctrl-" + node }

// Elector competes for a lease and knows whether it holds it.
type Elector struct {
	client   kubernetes.Interface
	name     string
	identity string
	log      *slog.Logger
	cancel   context.CancelFunc
	done     chan struct{}

	mu      sync.Mutex
	leading bool
	changed chan struct{}
	yield   context.CancelFunc
	until   time.Time
}

// NewElector prepares to compete for a lease under an identity.
func NewElector(client kubernetes.Interface, name, identity string, log *slog.Logger) *Elector {
	return &Elector{client: client, name: name, identity: identity, log: log, changed: make(chan struct{})}
}

// Start competes until Stop.
func (e *Elector) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel, e.done = cancel, make(chan struct{})
	go func() {
		defer close(e.done)
		for ctx.Err() == nil {
			if err := e.round(ctx); err != nil {
				e.log.Error("competing for the lease", "lease", e.name, "err", err)
			}
			e.rest(ctx)
		}
	}()
}

// Stop gives the lease back.
func (e *Elector) Stop() {
	if e.cancel != nil {
		e.cancel()
		<-e.done
	}
}

// Leading reports whether the lease is held, and a channel that is closed when
// that changes.
func (e *Elector) Leading() (bool, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leading, e.changed
}

// Yield gives the lease back and does not compete for half a minute.
func (e *Elector) Yield() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.until = time.Now().Add(yieldFor)
	if e.yield != nil {
		e.yield()
	}
}

func (e *Elector) set(leading bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading != leading {
		e.log.Info("leader status changed", "lease", e.name, "leading", leading)
		e.leading = leading
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

// round competes once: it returns when the lease is lost or ctx ends.
func (e *Elector) round(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	e.yield = cancel
	e.mu.Unlock()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: e.name},
			Client:     e.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: e.identity},
		},
		LeaseDuration: duration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				// The callback may run after the lease is lost again.
				if leading.Err() == nil {
					e.set(true)
				}
			},
			OnStoppedLeading: func() { e.set(false) },
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the lease %s: %w", e.name, err)
	}
	elector.Run(ctx)
	return nil
}

// rest waits out a Yield, or a moment.
func (e *Elector) rest(ctx context.Context) {
	e.mu.Lock()
	wait := max(time.Until(e.until), 100*time.Millisecond)
	e.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}
