package kube

import (
	"context"
	"fmt"
	"net/netip"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func controlNodesResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes"}
}

// ControlNode is k0s's own object for a controller (autopilot.k0sproject.io/v1beta2), with a kubelet or without.
type ControlNode struct {
	Name      string
	Addresses []netip.Addr // InternalIP
}

// ControlNodes lists the ControlNode objects; a cluster that has no such kind has none.
func (c *Cluster) ControlNodes(ctx context.Context) ([]ControlNode, error) {
	list, err := c.Dynamic.Resource(controlNodesResource()).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing ControlNode objects: %w", err)
	}
	nodes := make([]ControlNode, 0, len(list.Items))
	for i := range list.Items {
		nodes = append(nodes, controlNodeOf(&list.Items[i]))
	}
	return nodes, nil
}

func controlNodeOf(object *unstructured.Unstructured) ControlNode {
	node := ControlNode{Name: object.GetName()}
	// A field of another type reads as absent.
	addresses, _, _ := unstructured.NestedSlice(object.Object, "status", "addresses")
	for _, entry := range addresses {
		fields, ok := entry.(map[string]any)
		if !ok || fields["type"] != "InternalIP" {
			continue
		}
		text, _ := fields["address"].(string)
		if address, err := netip.ParseAddr(text); err == nil {
			node.Addresses = append(node.Addresses, address.Unmap())
		}
	}
	return node
}
