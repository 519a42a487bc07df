package controlplane

import (
	"context"
	"fmt"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/node"
)

// drainer takes pods off the Node, through the API server of a controller that stays: the host's own goes away.
func (c *Cluster) drainer() *node.Drainer {
	l := c.leaving
	return &node.Drainer{
		Client: c.api.kube.Client, Name: l.node.Name, Options: l.Drain,
		Observe: func(text string) { c.report.Host(l.node.Name).Update(text) },
	}
}

func (c *Cluster) skipDrain(context.Context) (string, error) {
	l := c.leaving
	switch {
	case l.node == nil:
		return "it has no Node", nil
	case l.SkipDrain:
		return "not wanted (--skip-drain)", nil
	case l.machine == nil && !l.alive:
		return "its host does not answer, and could end no pod", nil
	case l.member.ID == 0 || l.machine != nil && !l.machine.active():
		return "its kubelet has lost its API server, and could end no pod", nil
	case !l.node.Ready:
		return "its kubelet does not answer, and could end no pod", nil
	}
	return "", nil
}

func (c *Cluster) detailDrain(ctx context.Context) ([]string, error) {
	pods, err := c.drainer().Pods(ctx)
	if err != nil {
		return nil, err
	}
	lines := []string{"cordon " + c.leaving.node.Name}
	for _, pod := range pods {
		lines = append(lines, "evict "+pod)
	}
	return lines, nil
}

// drainNode takes the pods off while the kubelet, which asks the host's own API server, still works.
func (c *Cluster) drainNode(ctx context.Context) error {
	d := c.drainer()
	changed, err := d.Cordon(ctx)
	c.leaving.cordoned = changed
	if err != nil {
		return err
	}
	if err := d.Drain(ctx, c.settings.Timeout); err != nil {
		return fmt.Errorf("%w: see --timeout, --disable-eviction and --skip-drain", err)
	}
	c.report.Host(d.Name).Done("drained")
	return nil
}

func (c *Cluster) undoDrainNode(ctx context.Context) error {
	if !c.leaving.cordoned || c.leaving.removed {
		return nil
	}
	return c.drainer().Uncordon(ctx)
}

// traces are the objects that the cluster still has of the controller.
type traces struct {
	node, controlNode, etcdMember string
}

func (t traces) String() string {
	var texts []string
	for _, k := range []struct{ kind, name string }{{"Node", t.node}, {"ControlNode", t.controlNode}, {"EtcdMember", t.etcdMember}} {
		if k.name != "" {
			texts = append(texts, k.kind+" "+k.name)
		}
	}
	return strings.Join(texts, ", ")
}

func (c *Cluster) traces(ctx context.Context) (traces, error) {
	l := c.leaving
	var left traces
	nodes, err := c.api.kube.Nodes(ctx)
	if err != nil {
		return left, err
	}
	for _, n := range nodes {
		if l.node != nil && n.Name == l.node.Name {
			left.node = n.Name
		}
	}
	controlNodes, err := c.api.kube.ControlNodes(ctx)
	if err != nil {
		return left, err
	}
	for _, n := range controlNodes {
		if n.Name == l.controlNode {
			left.controlNode = n.Name
		}
	}
	members, err := c.api.kube.EtcdMembers(ctx)
	if err != nil {
		return left, err
	}
	for _, m := range members {
		if m.Name == l.etcdMember {
			left.etcdMember = m.Name
		}
	}
	return left, nil
}

func (c *Cluster) skipForget(ctx context.Context) (string, error) {
	left, err := c.traces(ctx)
	if err != nil || left != (traces{}) {
		return "", err
	}
	return "none is left", nil
}

func (c *Cluster) detailForget(ctx context.Context) ([]string, error) {
	left, err := c.traces(ctx)
	return []string{"delete " + left.String()}, err
}

// forget deletes the objects. The EtcdMember comes last: it is by what a run that was cut off finds the host again.
func (c *Cluster) forget(ctx context.Context) error {
	left, err := c.traces(ctx)
	if err != nil {
		return err
	}
	k, line := c.api.kube, c.report.Host(c.leaving.name())
	for _, o := range []struct {
		kind   string
		names  []string
		remove func(*kube.Cluster, context.Context, string) error
	}{
		{"Node", []string{left.node}, (*kube.Cluster).DeleteNode},
		{"ControlNode", []string{left.controlNode}, (*kube.Cluster).DeleteControlNode},
		{"Lease", c.leaving.leases(), (*kube.Cluster).DeleteControllerLease},
		{"EtcdMember", []string{left.etcdMember}, (*kube.Cluster).DeleteEtcdMember},
	} {
		for _, name := range o.names {
			if name == "" {
				continue
			}
			line.Update("deleting " + o.kind + " " + name)
			if err := o.remove(k, ctx, name); err != nil {
				return err
			}
		}
	}
	line.Done("its objects are deleted")
	return nil
}

// leases are the names of hosts, as k0s names the Leases of controllers after them.
func (l *leaver) leases() []string {
	if l.controlNode != "" {
		return []string{l.controlNode}
	}
	return []string{l.etcdMember}
}
