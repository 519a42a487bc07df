package syncer

import (
	"context"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// operation watches the Lease of whoever changes the control plane by a plugin. Meanwhile HAProxy is that one's.
type operation struct {
	now     func() time.Time
	changed func()

	mu     sync.Mutex
	synced bool
	holder string
	// renewal is the last one that was seen, seen when that was by our clock: clocks of two machines differ.
	renewal metav1.MicroTime
	seen    time.Time
}

func newOperation(changed func()) *operation {
	return &operation{now: time.Now, changed: changed}
}

// run watches the Lease until ctx ends.
func (o *operation) run(ctx context.Context, leases coordinationv1client.LeaseInterface) {
	selector := fields.OneTermEqualSelector("metadata.name", kube.OperationLease).String()
	lister := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			return leases.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			return leases.Watch(ctx, options)
		},
	}, withoutWatchList{})
	cache.NewReflectorWithOptions(lister, &coordinationv1.Lease{}, o, cache.ReflectorOptions{Name: "Lease"}).RunWithContext(ctx)
}

// held says who changes the control plane now; empty when nobody does, or nobody any more.
func (o *operation) held() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.holder == "" || o.now().Sub(o.seen) > kube.OperationHold {
		return ""
	}
	return o.holder
}

// known says whether the Lease was looked at.
func (o *operation) known() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.synced
}

// Add and Update make it a cache.ReflectorStore, as do Delete, Replace and Resync.
func (o *operation) Add(object any) error { return o.Update(object) }

// Update takes note of the Lease.
func (o *operation) Update(object any) error {
	lease, ok := object.(*coordinationv1.Lease)
	if !ok || lease.Name != kube.OperationLease {
		return nil
	}
	var holder string
	var renewal metav1.MicroTime
	if lease.Spec.HolderIdentity != nil {
		holder = *lease.Spec.HolderIdentity
	}
	if lease.Spec.RenewTime != nil {
		renewal = *lease.Spec.RenewTime
	}
	o.note(holder, renewal)
	return nil
}

// Delete takes note that there is no Lease.
func (o *operation) Delete(any) error {
	o.note("", metav1.MicroTime{})
	return nil
}

// Replace takes note of the Lease, if there is one.
func (o *operation) Replace(objects []any, _ string) error {
	for _, object := range objects {
		if lease, ok := object.(*coordinationv1.Lease); ok && lease.Name == kube.OperationLease {
			return o.Update(object)
		}
	}
	return o.Delete(nil)
}

// Resync does nothing.
func (o *operation) Resync() error { return nil }

func (o *operation) note(holder string, renewal metav1.MicroTime) {
	o.mu.Lock()
	differs := holder != o.holder || !o.synced
	o.synced = true
	if differs || !renewal.Equal(&o.renewal) {
		o.holder, o.renewal, o.seen = holder, renewal, o.now()
	}
	o.mu.Unlock()
	if differs {
		o.changed()
	}
}
