package reconcile

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
)

// Endpoints puts the external address into the Endpoints default/kubernetes,
// in place of the API servers' own addresses. Like k0s it touches the subsets
// alone: labels that the API server's own reconciler has left stay, and with
// them the broken mirroring.
func Endpoints(ctx context.Context, client kubernetes.Interface, api clusterconfig.API) error {
	addresses, err := net.DefaultResolver.LookupIP(ctx, "ip", api.ExternalHost())
	if err != nil {
		return fmt.Errorf("resolving the external address: %w", err)
	}
	want := make([]string, 0, len(addresses))
	for _, address := range addresses {
		want = append(want, address.String())
	}
	slices.Sort(want)
	endpoints := client.CoreV1().Endpoints(metav1.NamespaceDefault)
	current, err := endpoints.Get(ctx, "kubernetes", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = endpoints.Create(ctx, &corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Subsets: subsets(want, api.ExternalPort()),
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	if slices.Equal(addressesOf(current), want) {
		return nil
	}
	current.Subsets = subsets(want, api.ExternalPort())
	_, err = endpoints.Update(ctx, current, metav1.UpdateOptions{})
	return err
}

func addressesOf(endpoints *corev1.Endpoints) []string {
	if len(endpoints.Subsets) == 0 {
		return nil
	}
	var addresses []string
	for _, address := range endpoints.Subsets[0].Addresses {
		addresses = append(addresses, address.IP)
	}
	slices.Sort(addresses)
	return addresses
}

func subsets(addresses []string, port int) []corev1.EndpointSubset {
	subset := corev1.EndpointSubset{
		Ports: []corev1.EndpointPort{{Name: "https", Protocol: corev1.ProtocolTCP, Port: int32(port)}},
	}
	for _, address := range addresses {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: address})
	}
	return []corev1.EndpointSubset{subset}
}

// Every calls f after each interval until ctx ends.
func Every(ctx context.Context, interval time.Duration, f func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f(ctx)
		}
	}
}
