package kube

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ControlPlaneLabel is set by k0s's kubelet at registration on every controller that runs one.
// node-role.kubernetes.io/control-plane follows up to a minute later, and not at all beside another role label.
const ControlPlaneLabel = "node.k0sproject.io/role"

// ControlPlaneRole is that label's value on controllers.
const ControlPlaneRole = "control-plane"

// Node is what this project needs to know of a Node.
type Node struct {
	Name         string
	Addresses    []netip.Addr // InternalIP
	Ready        bool
	ControlPlane bool
	Tainted      bool   // its role keeps pods away that do not tolerate that
	Version      string // the kubelet's
	DrainedBy    string // value of DrainAnnotation; empty without one
}

// Nodes lists all Nodes, sorted by name.
func (c *Cluster) Nodes(ctx context.Context) ([]Node, error) {
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	nodes := make([]Node, 0, len(list.Items))
	for i := range list.Items {
		nodes = append(nodes, NodeOf(&list.Items[i]))
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, nil
}

// NodeOf reads a Node object.
func NodeOf(n *corev1.Node) Node {
	node := Node{
		Name:         n.Name,
		ControlPlane: n.Labels[ControlPlaneLabel] == ControlPlaneRole,
		Version:      n.Status.NodeInfo.KubeletVersion,
		DrainedBy:    drainedBy(n),
	}
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			node.Addresses = append(node.Addresses, addr.Unmap())
		}
	}
	for _, taint := range n.Spec.Taints {
		if taint.Effect == corev1.TaintEffectNoSchedule && strings.HasPrefix(taint.Key, "node-role.kubernetes.io/") {
			node.Tainted = true
		}
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			node.Ready = condition.Status == corev1.ConditionTrue
		}
	}
	return node
}
