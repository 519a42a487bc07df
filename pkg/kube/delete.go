package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a controller that has left leaves behind is deleted here. What is gone already is no error.

// DeleteNode deletes a Node. Kubernetes then deletes the pods that were on it.
func (c *Cluster) DeleteNode(ctx context.Context, name string) error {
	return deleted("Node", name, c.Client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}))
}

// DeleteControlNode deletes k0s's object for a controller.
func (c *Cluster) DeleteControlNode(ctx context.Context, name string) error {
	return deleted("ControlNode", name, c.Dynamic.Resource(ControlNodesResource()).Delete(ctx, name, metav1.DeleteOptions{}))
}

// DeleteEtcdMember deletes k0s's object for a member of etcd. The member itself must be gone: this does not remove it.
func (c *Cluster) DeleteEtcdMember(ctx context.Context, name string) error {
	return deleted("EtcdMember", name, c.Dynamic.Resource(EtcdMembersResource()).Delete(ctx, name, metav1.DeleteOptions{}))
}

// controllerLeases are where k0s's controllers say that they live; k0s counts them for konnectivity.
const (
	controllerLeaseNamespace = "kube-node-lease"
	controllerLeasePrefix    = "k0s-ctrl-"
)

// DeleteControllerLease deletes the Lease by which a controller says that it lives.
func (c *Cluster) DeleteControllerLease(ctx context.Context, name string) error {
	leases := c.Client.CoordinationV1().Leases(controllerLeaseNamespace)
	return deleted("Lease", controllerLeasePrefix+name, leases.Delete(ctx, controllerLeasePrefix+name, metav1.DeleteOptions{}))
}

func deleted(kind, name string, err error) error {
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s %s: %w", kind, name, err)
	}
	return nil
}
