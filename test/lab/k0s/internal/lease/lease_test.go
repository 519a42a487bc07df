package lease

import (
	"log/slog"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func object(name, holder string, renewed time.Time) *coordinationv1.Lease {
	seconds, at := int32(60), metav1.NewMicroTime(renewed)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-node-lease"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &at},
	}
}

func TestControllersThatLiveAreCounted(t *testing.T) {
	now := time.Now()
	client := fake.NewClientset(
		object("k0s-ctrl-a", "one", now),
		object("k0s-ctrl-b", "two", now.Add(-59*time.Second)),
		object("k0s-ctrl-expired", "three", now.Add(-61*time.Second)),
		object("k0s-ctrl-released", "", now),
		object("a-node", "a-node", now),
	)
	if n, err := Controllers(t.Context(), client, now); err != nil || n != 2 {
		t.Errorf("%d controllers, %v, want 2", n, err)
	}
}

func TestElectorHoldsYieldsAndReleases(t *testing.T) {
	client := fake.NewClientset()
	e := NewElector(client, Leader, "me", slog.New(slog.DiscardHandler))
	_, changed := e.Leading()
	e.Start()
	await(t, changed)
	leading, changed := e.Leading()
	if !leading {
		t.Fatal("not leading")
	}
	e.Yield()
	await(t, changed)
	if leading, _ = e.Leading(); leading {
		t.Error("still leading after having yielded")
	}
	e.Stop()
	released, err := client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), Leader, metav1.GetOptions{})
	if err != nil || released.Spec.HolderIdentity == nil || *released.Spec.HolderIdentity != "" {
		t.Errorf("the lease is %+v, %v, want it without a holder", released.Spec, err)
	}
}

func await(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(30 * time.Second):
		t.Fatal("the status did not change")
	}
}
