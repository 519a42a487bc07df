package lease

import (
	"context"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Valid reports whether a lease has not run out at a time.
func Valid(lease *coordinationv1.Lease, now time.Time) bool {
	spec := lease.Spec
	if spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return false
	}
	return spec.RenewTime.Add(time.Duration(*spec.LeaseDurationSeconds) * time.Second).After(now)
}

// Controllers counts the controllers whose lease is held and valid.
func Controllers(ctx context.Context, client kubernetes.Interface, now time.Time) (int, error) {
	leases, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("counting controllers: %w", err)
	}
	n := 0
	for i := range leases.Items {
		l := &leases.Items[i]
		held := l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != ""
		if strings.HasPrefix(l.Name, OfController("")) && held && Valid(l, now) {
			n++
		}
	}
	return n, nil
}
