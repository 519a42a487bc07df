package syncer

import (
	"context"
	"log/slog"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The clocks of two replicas may be hours apart, or jump: a Lease holds for as long as it is seen to be renewed, by the clock
// of who looks, whatever times are written in it.
func TestWhoLeadsDoesNotDependOnWhatTheOthersClockSays(t *testing.T) {
	for name, off := range map[string]time.Duration{"late": -time.Hour, "early": time.Hour} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				a, holder := newAPI(), "other"
				leases := a.CoordinationV1().Leases("kubectl-ha")
				lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: LeaderLease}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
				renew := func(at time.Time) {
					renewed, seconds := metav1.NewMicroTime(at), int32(15)
					lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &renewed, &seconds
					if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
						t.Error(err)
					}
				}
				if _, err := leases.Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				renew(time.Now().Add(off))

				ctx, cancel := context.WithCancel(t.Context())
				led := make(chan struct{})
				l := newLeadership(a.CoordinationV1(), Options{Namespace: "kubectl-ha", Identity: "one", Log: slog.New(slog.DiscardHandler)}, func(bool) {}, func(string) {})
				ended := make(chan error, 1)
				go func() { ended <- l.run(ctx, func(ctx context.Context) { close(led); <-ctx.Done() }) }()
				leads := func() bool {
					select {
					case <-led:
						return true
					default:
						return false
					}
				}
				for i := range 30 { // of which the clock jumps twice
					time.Sleep(2 * time.Second)
					jump := map[int]time.Duration{10: 24 * time.Hour, 20: -24 * time.Hour}[i]
					renew(time.Now().Add(off + jump))
				}
				if leads() {
					t.Error("it was taken from one that renews it")
				}
				time.Sleep(30 * time.Second) // a Lease lasts 15 s from when it was seen last, and is looked at every 2 to 4.4 s
				if !leads() {
					t.Error("it was not taken from one that is gone")
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
