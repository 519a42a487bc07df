package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// OperationLease is the Lease, in kube-system, of whoever changes the control plane.
const OperationLease = "kubectl-ha"

// OperationHold is how long the Lease holds without being renewed.
const OperationHold = time.Minute

// leaseTiming is how long a Lease holds. A single API server that is restarted is away for less than renew.
type leaseTiming struct{ hold, renew, retry time.Duration }

func operationTiming() leaseTiming {
	return leaseTiming{hold: OperationHold, renew: 45 * time.Second, retry: 2 * time.Second}
}

// OperationHeldError says that another operation changes the control plane.
type OperationHeldError struct {
	Holder string
	Since  time.Time
}

func (e *OperationHeldError) Error() string {
	return fmt.Sprintf("another operation changes the control plane: %s, since %s: wait until it is done; if it is gone, its "+
		"lock ends by itself within %s, or break it with `kubectl -n %s delete lease %s`",
		e.Holder, e.Since.Local().Format(time.DateTime), operationTiming().hold, metav1.NamespaceSystem, OperationLease)
}

// errLeaseLost is why an operation is stopped that could not renew its Lease.
var errLeaseLost = errors.New("the lock of the control plane was lost (its Lease could not be renewed, or was deleted): " +
	"run the same command again to finish the work")

// LockOperation makes this the one operation that changes the control plane, or fails with OperationHeldError. The
// context that it returns ends when the Lease is lost; release gives the Lease back. A holder that abandoned tells to
// be gone, as a process of this machine that was killed, is not waited for.
func (c *Cluster) LockOperation(ctx context.Context, holder string, abandoned func(holder string) bool) (locked context.Context, release func(), err error) {
	return c.lockOperation(ctx, holder, abandoned, operationTiming())
}

func (c *Cluster) lockOperation(ctx context.Context, holder string, abandoned func(string) bool, timing leaseTiming) (context.Context, func(), error) {
	if err := c.clearOperation(ctx, abandoned); err != nil {
		return nil, nil, err
	}
	running, lose := context.WithCancelCause(ctx)
	// What the elector logs is nothing for a terminal.
	electing, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	acquired, ended, hopeless := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: OperationLease,
		Lock: impatientLock{&resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: OperationLease},
			Client:     c.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: holder},
		}, hopeless},
		LeaseDuration: timing.hold, RenewDeadline: timing.renew, RetryPeriod: timing.retry,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(acquired) },
			OnStoppedLeading: func() { lose(errLeaseLost) },
		},
	})
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("locking the control plane: %w", err)
	}
	go func() {
		defer close(ended)
		elector.Run(electing)
	}()
	release := func() {
		stop()
		<-ended
	}
	select {
	case <-acquired:
		return running, release, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case err = <-hopeless:
		err = fmt.Errorf("locking the control plane: %w", err)
	case <-time.After(timing.hold + 2*timing.retry):
		err = errors.New("locking the control plane: its Lease cannot be taken: look at it with `kubectl -n kube-system get lease kubectl-ha`")
	}
	release()
	return nil, nil, err
}

// impatientLock tells of a Lease that cannot be written however long one tries: the elector itself keeps trying.
type impatientLock struct {
	resourcelock.Interface
	hopeless chan<- error
}

func (l impatientLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.judge(l.Interface.Create(ctx, record))
}

func (l impatientLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.judge(l.Interface.Update(ctx, record))
}

func (l impatientLock) judge(err error) error {
	if err = alarmed(err); errors.Is(err, ErrAlarm) || apierrors.IsForbidden(err) {
		select {
		case l.hopeless <- err:
		default: // it is known already
		}
	}
	return err
}

// CheckOperation fails with OperationHeldError where another operation changes the control plane, as LockOperation would.
func (c *Cluster) CheckOperation(ctx context.Context, abandoned func(holder string) bool) error {
	lease, err := c.Client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, OperationLease, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for the lock of the control plane: %w", err)
	}
	if held := heldBy(lease, abandoned, time.Now()); held != nil {
		return held
	}
	return nil
}

// heldBy says who holds the Lease; nil when nobody does, or nobody any more.
func heldBy(lease *coordinationv1.Lease, abandoned func(holder string) bool, now time.Time) *OperationHeldError {
	holder := lease.Spec.HolderIdentity
	// Of one that has expired, the elector looks for itself whether it is renewed.
	if holder == nil || *holder == "" || abandoned(*holder) || expired(lease, now) {
		return nil
	}
	held := &OperationHeldError{Holder: *holder}
	if lease.Spec.AcquireTime != nil {
		held.Since = lease.Spec.AcquireTime.Time
	}
	return held
}

// clearOperation refuses where the Lease is held, and takes it from a holder that is gone.
func (c *Cluster) clearOperation(ctx context.Context, abandoned func(holder string) bool) error {
	leases := c.Client.CoordinationV1().Leases(metav1.NamespaceSystem)
	lease, err := leases.Get(ctx, OperationLease, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("locking the control plane: %w", err)
	}
	if held := heldBy(lease, abandoned, time.Now()); held != nil {
		return held
	}
	if holder := lease.Spec.HolderIdentity; holder == nil || *holder == "" || !abandoned(*holder) {
		return nil
	}
	lease.Spec.HolderIdentity = new(string)
	if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil { // a conflict is somebody else's operation
		return fmt.Errorf("locking the control plane: %w", err)
	}
	return nil
}

func expired(lease *coordinationv1.Lease, now time.Time) bool {
	return lease.Spec.RenewTime == nil || now.Sub(lease.Spec.RenewTime.Time) > operationTiming().hold
}
