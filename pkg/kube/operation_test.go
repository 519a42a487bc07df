package kube

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func nobody(string) bool { return false }

func holderOf(t *testing.T, c *Cluster) string {
	t.Helper()
	lease, err := c.Client.CoordinationV1().Leases("kube-system").Get(t.Context(), OperationLease, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func leaseHeldBy(holder string, renewed time.Time) *coordinationv1.Lease {
	at := metav1.NewMicroTime(renewed)
	seconds := int32(operationTiming().hold / time.Second)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: OperationLease},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, AcquireTime: &at, RenewTime: &at, LeaseDurationSeconds: &seconds},
	}
}

func TestOneOperationAtATime(t *testing.T) {
	c := &Cluster{Client: fake.NewClientset()}
	locked, release, err := c.LockOperation(t.Context(), "me", nobody)
	if err != nil {
		t.Fatal(err)
	}
	if got := holderOf(t, c); got != "me" || locked.Err() != nil {
		t.Errorf("held by %q, %v", got, locked.Err())
	}
	_, _, err = c.LockOperation(t.Context(), "you", nobody)
	var held *OperationHeldError
	if !errors.As(err, &held) || held.Holder != "me" || time.Since(held.Since) > time.Minute {
		t.Fatalf("a second operation: %v", err)
	}
	for _, says := range []string{"me, since 20", "delete lease kubectl-ha", "1m0s"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	release()
	if got := holderOf(t, c); got != "" || locked.Err() == nil {
		t.Errorf("after the release it is held by %q, and its context has ended with %v", got, locked.Err())
	}
	_, release, err = c.LockOperation(t.Context(), "you", nobody)
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestAnAbandonedLockIsTakenAtOnce(t *testing.T) {
	c := &Cluster{Client: fake.NewClientset(leaseHeldBy("killed", time.Now()))}
	began := time.Now()
	_, release, err := c.LockOperation(t.Context(), "me", func(holder string) bool { return holder == "killed" })
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if got := holderOf(t, c); got != "me" || time.Since(began) > operationTiming().hold/2 {
		t.Errorf("held by %q after %s", got, time.Since(began))
	}
}

func TestALeaseThatCannotBeWrittenIsNotTriedForLong(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		alarm bool
	}{
		"NOSPACE":   {apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded")), true},
		"CORRUPT":   {apierrors.NewInternalError(errors.New("etcdserver: corrupt cluster")), true},
		"forbidden": {apierrors.NewForbidden(coordinationv1.Resource("leases"), OperationLease, errors.New("no")), false},
	} {
		client := fake.NewClientset()
		client.PrependReactor("create", "leases", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, c.err })
		_, _, err := (&Cluster{Client: client}).LockOperation(t.Context(), "me", nobody)
		if !errors.Is(err, c.err) || errors.Is(err, ErrAlarm) != c.alarm {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestALockThatIsLostStopsTheOperation(t *testing.T) {
	client := fake.NewClientset()
	var stolen atomic.Bool
	// The fake API keeps no versions of objects: a real one refuses to overwrite what it has not shown.
	client.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lease, ok := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
		if stolen.Load() && ok && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == "me" {
			return true, nil, apierrors.NewConflict(coordinationv1.Resource("leases"), OperationLease, errors.New("it was changed"))
		}
		return false, nil, nil
	})
	c := &Cluster{Client: client}
	locked, release, err := c.lockOperation(t.Context(), "me", nobody,
		leaseTiming{hold: 3 * time.Second, renew: 2 * time.Second, retry: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	stolen.Store(true)
	leases := c.Client.CoordinationV1().Leases("kube-system")
	if _, err := leases.Update(t.Context(), leaseHeldBy("thief", time.Now()), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-locked.Done():
	case <-time.After(time.Minute):
		t.Fatal("the operation goes on")
	}
	if cause := context.Cause(locked); !errors.Is(cause, errLeaseLost) {
		t.Errorf("it ended with %v", cause)
	}
}

func TestExpired(t *testing.T) {
	now := time.Now()
	for age, want := range map[time.Duration]bool{0: false, operationTiming().hold: false, operationTiming().hold + time.Second: true, -time.Hour: false} {
		if got := expired(leaseHeldBy("x", now.Add(-age)), now); got != want {
			t.Errorf("renewed %s ago: %v", age, got)
		}
	}
	if !expired(&coordinationv1.Lease{}, now) {
		t.Error("a lease that was never renewed is held")
	}
}

func TestCheckOperation(t *testing.T) {
	gone := func(holder string) bool { return holder == "gone" }
	for name, c := range map[string]struct {
		lease *coordinationv1.Lease
		held  bool
	}{
		"no Lease": {nil, false},
		"released": {leaseHeldBy("", time.Now()), false},
		"held":     {leaseHeldBy("anna", time.Now()), true},
		"expired":  {leaseHeldBy("anna", time.Now().Add(-time.Hour)), false},
		"gone":     {leaseHeldBy("gone", time.Now()), false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &Cluster{Client: fake.NewClientset()}
			if c.lease != nil {
				cluster.Client = fake.NewClientset(c.lease)
			}
			err := cluster.CheckOperation(t.Context(), gone)
			var held *OperationHeldError
			if errors.As(err, &held) != c.held || !c.held && err != nil || c.held && held.Holder != "anna" {
				t.Errorf("got %v", err)
			}
		})
	}
}
