package kube

import (
	"context"
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
	slices     []netip.Addr // as kube-proxy and friends read them, of all EndpointSlices
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
		s.stale = s.stale || slice.Name == staleSlice
		for _, e := range slice.Endpoints {
			s.slices = appendAddresses(s.slices, e.Addresses)
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

// LeadsTo tells whether pods reach the address, and it alone, by way of kubernetes.default.
func (s APIService) LeadsTo(address netip.Addr) bool {
	return len(s.slices) > 0 && !slices.ContainsFunc(s.slices, func(a netip.Addr) bool { return a != address })
}

// RepairAPIService makes kubernetes.default lead to the load balancer's address after spec.api.externalAddress was
// given to a cluster that ran without it. k0s then writes the address into the Endpoints object, where the label that
// the API server's own reconciler left keeps it from being mirrored, while that reconciler's slice stays behind,
// empty. The order keeps a slice in place at every moment. It waits until ctx ends.
func (c *Cluster) RepairAPIService(ctx context.Context, address netip.Addr) error {
	err := Wait(ctx, c.Poll, func(ctx context.Context) error {
		s, err := c.APIService(ctx)
		if err == nil && !slices.Contains(s.endpoints, address) {
			err = fmt.Errorf("k0s has not yet written %s into Endpoints default/kubernetes", address)
		}
		return err
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
	err = Wait(ctx, c.Poll, func(ctx context.Context) error {
		s, err := c.APIService(ctx)
		if err == nil && !slices.Contains(s.slices, address) {
			err = fmt.Errorf("its Endpoints are not mirrored to an EndpointSlice yet")
		}
		return err
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

// NeedsRepair tells whether what k0s writes into the Endpoints object is kept from the EndpointSlices.
func (s APIService) NeedsRepair() bool { return s.skipMirror || s.stale && len(s.slices) == 0 }
