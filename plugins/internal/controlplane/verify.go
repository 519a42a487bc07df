package controlplane

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// verify awaits what the guide verifies by hand, nodes and members, and what it does not: the API through each load
// balancer, and every server of every HAProxy.
func (c *Cluster) verify(ctx context.Context) error {
	return c.verifyAll(ctx, []verification{
		{"etcd", c.verifyMembers},
		{"nodes", c.verifyNodes},
		{"load balancer", c.verifyAPI},
		{"HAProxy", c.verifyServers},
	})
}

// verification is one thing that is to hold; check says what it saw.
type verification struct {
	name  string
	check func(context.Context) (string, error)
}

// verifyAll awaits all of them at once.
func (c *Cluster) verifyAll(ctx context.Context, checks []verification) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, k := range checks {
		group.Go(func() error {
			line := c.report.Host(k.name)
			var said string
			err := c.await(ctx, k.name+" is as it should be", func(ctx context.Context) error {
				var err error
				said, err = k.check(ctx)
				if err != nil {
					line.Update(strings.SplitN(err.Error(), "\n", 2)[0])
				}
				return err
			})
			if err == nil {
				line.Done(said)
			}
			return err
		})
	}
	return group.Wait()
}

func (c *Cluster) verifyMembers(ctx context.Context) (string, error) {
	members, err := c.api.etcd.Members(ctx)
	if err != nil {
		return "", err
	}
	var errs []error
	for _, m := range c.controllers {
		member, found := etcd.ByAddress(members, m.address)
		if !found || member.Idle() {
			errs = append(errs, fmt.Errorf("%s is no voting member of etcd", m.name()))
		}
	}
	objects, err := c.api.kube.EtcdMembers(ctx)
	if err != nil {
		return "", err
	}
	for _, object := range objects {
		if !object.Joined {
			errs = append(errs, fmt.Errorf("EtcdMember %s is not Joined", object.Name))
		}
	}
	return voters(members), errors.Join(errs...)
}

func (c *Cluster) verifyNodes(ctx context.Context) (string, error) {
	nodes, err := c.api.kube.Nodes(ctx)
	if err != nil {
		return "", err
	}
	ready := map[string]bool{}
	count := 0
	for _, n := range nodes {
		ready[n.Name] = n.Ready
		if n.Ready {
			count++
		}
	}
	var errs []error
	for _, m := range c.machines() {
		if m.host.RunsKubelet() && !ready[m.name()] {
			errs = append(errs, fmt.Errorf("the Node %s is not Ready", m.name()))
		}
	}
	return fmt.Sprintf("%d of %d nodes are Ready", count, len(nodes)), errors.Join(errs...)
}

// verifyAPI asks /readyz by the very address that clients use: from here, or from the load balancer's host where that
// address cannot be reached from here (a bastion).
func (c *Cluster) verifyAPI(ctx context.Context) (string, error) {
	kubeconfig, err := c.seed.node.ExternalKubeconfig(ctx)
	if err != nil {
		return "", err
	}
	direct, err := kube.Connect(kubeconfig, nil)
	if err != nil {
		return "", err
	}
	defer direct.Close()
	if err = direct.Ready(ctx); err == nil {
		return "/readyz at " + c.apiURL(), nil
	}
	through, connectErr := kube.Connect(kubeconfig, c.balancers[0].conn.DialContext)
	if connectErr != nil {
		return "", connectErr
	}
	defer through.Close()
	if through.Ready(ctx) != nil {
		return "", err
	}
	return fmt.Sprintf("/readyz at %s, from %s; not from this machine", c.apiURL(), c.balancers[0].conn.Name()), nil
}

func (c *Cluster) verifyServers(ctx context.Context) (string, error) {
	servers := c.servers(c.all)
	err := c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		current, err := c.balancer(b).Current(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", b.conn.Name(), err)
		}
		if current.Runtime == nil {
			return fmt.Errorf("%s: HAProxy does not answer", b.conn.Name())
		}
		if lines := current.NotUp(servers); len(lines) > 0 {
			return fmt.Errorf("%s: %s", b.conn.Name(), strings.Join(lines, "; "))
		}
		return nil
	})
	return fmt.Sprintf("%d servers up, in %d backends each", len(servers), len(haproxy.Spec{}.WithDefaults().Backends())), err
}
