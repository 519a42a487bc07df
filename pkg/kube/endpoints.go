package kube

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// APIService is what pods get when they ask for kubernetes.default.
type APIService struct {
	endpoints  []netip.Addr // as k0s writes them, into the Endpoints object
	mirrored   []netip.Addr // as kube-proxy and friends read them, of all EndpointSlices but the stale one
	skipMirror bool
	stale      bool // the API server's own EndpointSlice is still there
}

// staleSlice is the EndpointSlice that an API server with a reconciler of its own writes. k0s turns that reconciler
// off once spec.api.externalAddress is set.
const staleSlice = "kubernetes"

// APIService reads the state of the Service default/kubernetes.
func (c *Cluster) APIService(ctx context.Context) (APIService, error) {
	var s APIService
	endpoints, err := c.Client.CoreV1().Endpoints(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return s, fmt.Errorf("reading Endpoints default/kubernetes: %w", err)
	}
	if err == nil {
		s.skipMirror = endpoints.Labels[discoveryv1.LabelSkipMirror] == "true"
		s.endpoints = addressesOf(endpoints)
	}
	list, err := c.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=kubernetes",
	})
	if err != nil {
		return s, fmt.Errorf("listing EndpointSlices of default/kubernetes: %w", err)
	}
	for i := range list.Items {
		slice := &list.Items[i]
		if slice.Name == staleSlice {
			s.stale = true
			continue
		}
		for _, e := range slice.Endpoints {
			s.mirrored = appendAddresses(s.mirrored, e.Addresses)
		}
	}
	return s, nil
}

func addressesOf(endpoints *corev1.Endpoints) []netip.Addr {
	var addresses []netip.Addr
	for _, subset := range endpoints.Subsets {
		for _, a := range subset.Addresses {
			addresses = appendAddresses(addresses, []string{a.IP})
		}
	}
	return addresses
}

func appendAddresses(addresses []netip.Addr, texts []string) []netip.Addr {
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			addresses = append(addresses, a.Unmap())
		}
	}
	return addresses
}

// NeedsRepair tells whether what k0s writes into the Endpoints object is kept from the EndpointSlices, or whether the
// slice from before is still beside theirs. It is about a control plane in which k0s writes these Endpoints: one with
// spec.api.externalAddress.
func (s APIService) NeedsRepair() bool { return s.skipMirror || s.stale }

// RepairAPIService makes kubernetes.default lead to the load balancer after spec.api.externalAddress was given to a
// cluster that ran without it. k0s then writes the address, or what its name resolves to, into the Endpoints object,
// where the label that the API server's own reconciler left keeps it from being mirrored, while that reconciler's slice
// stays behind. The order keeps a slice in place at every moment. It waits until ctx ends. Done again it does no harm.
func (c *Cluster) RepairAPIService(ctx context.Context, isBalancer func(netip.Addr) bool) error {
	lead := func(addresses []netip.Addr) bool {
		return len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !isBalancer(a) })
	}
	err := c.awaitAPIService(ctx, func(s APIService) error {
		if !lead(s.endpoints) {
			return fmt.Errorf("its Endpoints are %s: k0s has not yet written the load balancer's address", s.endpoints)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("repairing kubernetes.default: %w", err)
	}
	removeLabel := []byte(`{"metadata":{"labels":{"` + discoveryv1.LabelSkipMirror + `":null}}}`)
	if _, err := c.Client.CoreV1().Endpoints(metav1.NamespaceDefault).Patch(ctx, "kubernetes",
		types.MergePatchType, removeLabel, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("repairing kubernetes.default: removing the label %s from its Endpoints: %w",
			discoveryv1.LabelSkipMirror, err)
	}
	err = c.awaitAPIService(ctx, func(s APIService) error {
		if !lead(s.mirrored) {
			return errors.New("its Endpoints are not mirrored to an EndpointSlice yet")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("repairing kubernetes.default: %w", err)
	}
	err = c.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Delete(ctx, staleSlice, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("repairing kubernetes.default: deleting the stale EndpointSlice: %w", err)
	}
	return nil
}

func (c *Cluster) awaitAPIService(ctx context.Context, judge func(APIService) error) error {
	return Wait(ctx, c.Poll, func(ctx context.Context) error {
		s, err := c.APIService(ctx)
		if err != nil {
			return err
		}
		return judge(s)
	})
}
