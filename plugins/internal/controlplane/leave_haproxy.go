package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// places lists the servers that an HAProxy may have of the host that leaves.
func (l *leaver) places() []haproxy.Server {
	servers := make([]haproxy.Server, len(l.addresses))
	for i, address := range l.addresses {
		servers[i] = haproxy.Server{Name: l.name(), Address: address}
	}
	return servers
}

// inState lists those of the host's servers that an HAProxy has in one of the states.
func (c *Cluster) inState(ctx context.Context, b *balancer, states ...haproxy.AdminState) (*haproxy.Balancer, []haproxy.Server, error) {
	balancer := c.balancer(b)
	current, err := balancer.Current(ctx)
	if err != nil {
		return nil, nil, err
	}
	if current.Runtime == nil {
		return nil, nil, errors.New("HAProxy does not answer")
	}
	var found []haproxy.Server
	for _, server := range c.leaving.places() {
		if slices.ContainsFunc(current.Servers(server), func(s haproxy.ServerState) bool { return slices.Contains(states, s.Admin) }) {
			found = append(found, server)
		}
	}
	return balancer, found, nil
}

// skipServers tells that no HAProxy has a server of the host in one of the states.
func (c *Cluster) skipServers(reason string, states ...haproxy.AdminState) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		for _, b := range c.balancers {
			_, servers, err := c.inState(ctx, b, states...)
			if err != nil {
				return "", at(b.host.Conn, err)
			}
			if len(servers) > 0 {
				return "", nil
			}
		}
		return reason, nil
	}
}

func (c *Cluster) detailServers(what string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) {
		var lines []string
		for _, b := range c.balancers {
			lines = append(lines, fmt.Sprintf("%s: %s", b.conn.Name(), fmt.Sprintf(what, c.leaving.name())))
		}
		return lines, nil
	}
}

// drainServers lets no new connection go to the host, on every load balancer, and sees that HAProxy does as told.
func (c *Cluster) drainServers(ctx context.Context) error {
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		balancer, servers, err := c.inState(ctx, b, haproxy.Ready)
		if err != nil {
			return err
		}
		for _, server := range servers {
			c.noteDrained(b)
			if err := balancer.SetServerState(ctx, server, haproxy.Drain); err != nil {
				var last *haproxy.LastServerError
				if errors.As(err, &last) {
					return cli.Refuse("%w", err)
				}
				return err
			}
		}
		if _, left, err := c.inState(ctx, b, haproxy.Ready); err != nil || len(left) > 0 {
			return errors.Join(err, fmt.Errorf("HAProxy still gives connections to %s: run the command again", c.leaving.name()))
		}
		c.report.Host(b.conn.Name()).Done("no new connections go to " + c.leaving.name())
		return nil
	})
}

func (c *Cluster) skipFree(ctx context.Context) (string, error) {
	if c.expected() > 0 {
		return "", nil // a dry run: it has its places until the one that replaces it has joined
	}
	return c.skipBalance(c.staying)(ctx)
}

func (c *Cluster) detailFree(ctx context.Context) ([]string, error) {
	if c.expected() > 0 {
		return c.detailServers("free the places of %s")(ctx)
	}
	return c.detailBalance(c.staying)(ctx)
}

func (c *Cluster) noteDrained(b *balancer) {
	c.leaving.mu.Lock()
	defer c.leaving.mu.Unlock()
	if !slices.Contains(c.leaving.drained, b) {
		c.leaving.drained = append(c.leaving.drained, b)
	}
}

// undoDrainServers gives the host connections again where its member stays. Until its health checks pass, HAProxy holds
// them back by itself.
func (c *Cluster) undoDrainServers(ctx context.Context) error {
	if c.leaving.removed {
		return nil
	}
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		if !slices.Contains(c.leaving.drained, b) {
			return nil
		}
		balancer, servers, err := c.inState(ctx, b, haproxy.Drain)
		for _, server := range servers {
			err = errors.Join(err, balancer.SetServerState(ctx, server, haproxy.Ready))
		}
		return err
	})
}

// endConnections lets the API server of the host end its connections gracefully while etcd is still there, and waits for
// that a moment: HAProxy gives it no new ones, and clients come back by the others. k0s starts it anew, for nobody.
func (c *Cluster) endConnections(ctx context.Context) error {
	if err := c.leaving.machine.node.EndAPIConnections(ctx); err != nil {
		return err
	}
	return c.awaitNoConnections(ctx, endWait)
}

// endWait is how long an API server that was told to end may take to close its connections; those of konnectivity stay.
const endWait = 3 * time.Second

func (c *Cluster) awaitNoConnections(ctx context.Context, wait time.Duration) error {
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		for _, server := range c.leaving.places() {
			if _, err := c.balancer(b).WaitDrained(ctx, server, wait); err != nil {
				return err
			}
		}
		return nil
	})
}

// closeServers puts the host's servers into maintenance, once the connections that end by themselves have ended, and
// closes those that are left: clients of a host that hangs would wait for it.
func (c *Cluster) closeServers(ctx context.Context) error {
	wait := c.file.LoadBalancer.DrainTimeout
	if c.leaving.machine == nil {
		wait = 0 // nobody ends them
	}
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		balancer, servers, err := c.inState(ctx, b, haproxy.Ready, haproxy.Drain)
		if err != nil {
			return err
		}
		line := c.report.Host(b.conn.Name())
		for _, server := range servers {
			line.Update("waiting for the last connections to " + c.leaving.name())
			left, err := balancer.WaitDrained(ctx, server, wait)
			if err == nil {
				err = balancer.SetServerState(ctx, server, haproxy.Maint)
			}
			if err == nil && left > 0 {
				err = balancer.ShutdownSessions(ctx, server)
			}
			if err != nil {
				return err
			}
		}
		line.Done("no connections are left to " + c.leaving.name())
		return nil
	})
}
