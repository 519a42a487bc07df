package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// newWorkers lists the workers that have not joined, or that do not run.
func (c *Cluster) newWorkers() []*machine {
	var hosts []*machine
	for _, m := range c.workers {
		if m.fresh || m.facts.Services[k0s.WorkerService] != "active" {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (c *Cluster) skipWorkers(context.Context) (string, error) {
	if len(c.newWorkers()) == 0 {
		return "no worker is missing", nil
	}
	return "", nil
}

func (c *Cluster) detailWorkers(context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.newWorkers() {
		lines = append(lines, m.name()+": install and start k0s as a worker")
	}
	return lines, nil
}

// joinWorkers joins all workers at once; their tokens lead to the load balancer.
func (c *Cluster) joinWorkers(ctx context.Context) error {
	hosts := c.newWorkers()
	token, err := c.seed.node.CreateToken(ctx, "worker", c.tokenExpiry(len(hosts)))
	if err != nil {
		return at(c.seed.host.Conn, err)
	}
	err = c.each(ctx, hosts, func(ctx context.Context, m *machine) error {
		line := c.report.Host(m.name())
		if m.fresh {
			line.Update("installing")
			if err := m.node.WriteToken(ctx, token); err != nil {
				return err
			}
			if err := c.install(ctx, m, k0s.TokenPath); err != nil {
				return err
			}
		}
		line.Update("starting")
		if err := m.conn.Service(k0s.WorkerService).Restart(ctx); err != nil {
			return err
		}
		line.Update("waiting for its Node")
		err := c.await(ctx, m.name()+" has a Node", func(ctx context.Context) error {
			_, err := c.nodeOf(ctx, m)
			return err
		})
		if err != nil {
			return fmt.Errorf("%w: see `journalctl -u k0sworker` on %s", err, m.conn.Name())
		}
		line.Done("joined")
		return nil
	})
	return errors.Join(err, c.withdrawToken(ctx, hosts, &token))
}

func (c *Cluster) nodeOf(ctx context.Context, m *machine) (kube.Node, error) {
	nodes, err := c.api.kube.Nodes(ctx)
	if err != nil {
		return kube.Node{}, err
	}
	for _, n := range nodes {
		if n.Name == m.name() {
			return n, nil
		}
	}
	return kube.Node{}, fmt.Errorf("there is no Node %q yet", m.name())
}

// misdirected lists the existing workers whose kubelet asks one controller instead of the load balancer.
func (c *Cluster) misdirected() []*machine {
	var hosts []*machine
	for _, m := range c.workers {
		if address, _ := kube.ServerHost(m.apiServer); !m.fresh && !sameAddress(address, c.file.LoadBalancer.Address) {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (c *Cluster) skipRepoint(context.Context) (string, error) {
	if len(c.misdirected()) == 0 {
		return "none points elsewhere", nil
	}
	return "", nil
}

func (c *Cluster) detailRepoint(context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.misdirected() {
		lines = append(lines, fmt.Sprintf("%s: %s becomes %s; restart k0s", m.name(), m.apiServer, c.apiURL()))
	}
	return lines, nil
}

// apiURL is where clients of the cluster go.
func (c *Cluster) apiURL() string {
	lb := c.file.LoadBalancer
	return "https://" + net.JoinHostPort(lb.Address, strconv.Itoa(lb.Ports.KubeAPI))
}

// repoint makes kubelets that joined through the one controller ask the load balancer, one after another so that no
// two restart at once.
func (c *Cluster) repoint(ctx context.Context) error {
	for _, m := range c.misdirected() {
		line := c.report.Host(m.name())
		line.Update("re-pointing its kubelet")
		if err := c.repointOne(ctx, m); err != nil {
			return at(m.host.Conn, err)
		}
		m.apiServer = c.apiURL()
		line.Done("asks the load balancer")
	}
	return nil
}

// strangers says what to do about the workers that the file gives no access to, once the load balancer is in front.
func (c *Cluster) strangers(ctx context.Context) ([]string, error) {
	if c.api == nil {
		return nil, nil // a dry run while the control plane is down
	}
	nodes, err := c.api.kube.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, n := range nodes {
		if !n.ControlPlane && !c.knows(n.Name) {
			lines = append(lines, fmt.Sprintf("the worker %s is not in the file: on it, set the server in /var/lib/k0s/kubelet.conf to %s "+
				"and restart k0sworker, if it names a controller", n.Name, c.apiURL()))
		}
	}
	return lines, nil
}

// repointOne changes a kubelet's server while k0s is stopped: wherever this is cut off, the next run starts k0s or does
// the rest. Pods run on meanwhile.
func (c *Cluster) repointOne(ctx context.Context, m *machine) error {
	service := m.conn.Service(k0s.WorkerService)
	if err := service.Stop(ctx); err != nil {
		return err
	}
	return errors.Join(m.node.SetKubeletServer(ctx, c.apiURL()), service.Start(ctx))
}

func (c *Cluster) knows(node string) bool {
	for _, m := range c.machines() {
		if m.name() == node {
			return true
		}
	}
	return false
}
