package controlplane

import (
	"context"
	"fmt"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// markedBy is the value of the annotation by which a removal tells the syncer that its controller leaves.
const markedBy = "kubectl ha-eject"

// mark is the object of the controller that leaves which has, or gets, that annotation.
type mark struct {
	kind, name string // empty when no object is left
	drainedBy  string // its present value
	set        func(k *kube.Cluster, ctx context.Context, name, by string) error
}

// findMark takes the Node, else the ControlNode, else the EtcdMember: one of them is enough for the syncer.
func (c *Cluster) findMark(ctx context.Context) (mark, error) {
	l, k := c.leaving, c.api.kube
	nodes, err := k.Nodes(ctx)
	if err != nil {
		return mark{}, err
	}
	for _, n := range nodes {
		if l.node != nil && n.Name == l.node.Name {
			return mark{"Node", n.Name, n.DrainedBy, (*kube.Cluster).MarkNode}, nil
		}
	}
	controlNodes, err := k.ControlNodes(ctx)
	if err != nil {
		return mark{}, err
	}
	for _, n := range controlNodes {
		if n.Name == l.controlNode {
			return mark{"ControlNode", n.Name, n.DrainedBy, (*kube.Cluster).MarkControlNode}, nil
		}
	}
	members, err := k.EtcdMembers(ctx)
	if err != nil {
		return mark{}, err
	}
	for _, m := range members {
		if m.Name == l.etcdMember {
			return mark{"EtcdMember", m.Name, m.DrainedBy, (*kube.Cluster).MarkEtcdMember}, nil
		}
	}
	return mark{}, nil
}

func (c *Cluster) skipMark(ctx context.Context) (string, error) {
	m, err := c.findMark(ctx)
	switch {
	case err != nil:
		return "", err
	case m.name == "":
		return "no object of it is left", nil
	case m.drainedBy != "" && m.drainedBy != markedBy:
		return fmt.Sprintf("%s %s says so already (%s=%s)", m.kind, m.name, kube.DrainAnnotation, m.drainedBy), nil
	}
	return "", nil
}

func (c *Cluster) detailMark(ctx context.Context) ([]string, error) {
	m, err := c.findMark(ctx)
	return []string{fmt.Sprintf("annotate %s %s with %s=%s", m.kind, m.name, kube.DrainAnnotation, markedBy)}, err
}

func (c *Cluster) mark(ctx context.Context) error { return c.setMark(ctx, markedBy) }

// undoMark takes the annotation off where the member stays.
func (c *Cluster) undoMark(ctx context.Context) error {
	if c.leaving.removed {
		return nil
	}
	return c.setMark(ctx, "")
}

func (c *Cluster) setMark(ctx context.Context, by string) error {
	m, err := c.findMark(ctx)
	if err != nil || m.name == "" {
		return err
	}
	return m.set(c.api.kube, ctx, m.name, by)
}
