package kube

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ControlNodesResource is the API resource of ControlNode objects.
func ControlNodesResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes"}
}

// ControlNode is k0s's own object for a controller (autopilot.k0sproject.io/v1beta2), with a kubelet or without.
type ControlNode struct {
	Name      string
	Addresses []netip.Addr // InternalIP
	Version   string       // k0s's, as "v1.36.3+k0s.2"; empty before the controller has written it
	DrainedBy string       // value of DrainAnnotation; empty without one
}

// ControlNodes lists the ControlNode objects; a cluster that has no such kind has none.
func (c *Cluster) ControlNodes(ctx context.Context) ([]ControlNode, error) {
	return listObjects(ctx, c.Dynamic.Resource(ControlNodesResource()), "ControlNode", ControlNodeOf)
}

// ControlNodeOf reads a ControlNode object.
func ControlNodeOf(object *unstructured.Unstructured) ControlNode {
	node := ControlNode{Name: object.GetName(), DrainedBy: drainedBy(object)}
	// A field of another type reads as absent.
	node.Version, _, _ = unstructured.NestedString(object.Object, "status", "k0sVersion")
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
