package controlplane

import (
	"context"
	"fmt"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// settled is how long HAProxy must have given a controller no connection before k0s is stopped there. An API server that
// ends waits for requests, and not for connections that have yet to bring one: their TLS handshakes would break off.
const settled = 3 * time.Second

func (c *Cluster) skipSettle(ctx context.Context) (string, error) {
	m := c.leaving.machine
	if m == nil || !m.active() {
		return "k0s does not run there, or cannot be stopped", nil
	}
	for _, b := range c.balancers {
		if yes, err := c.settledOn(ctx, b); err != nil || !yes {
			return "", at(b.host.Conn, err)
		}
	}
	return fmt.Sprintf("the newest is older than %s", settled), nil
}

func (c *Cluster) settledOn(ctx context.Context, b *balancer) (bool, error) {
	balancer := c.balancer(b)
	for _, server := range c.leaving.places() {
		if yes, err := balancer.Settled(ctx, server, settled); err != nil || !yes {
			return false, err
		}
	}
	return true, nil
}

func (c *Cluster) detailSettle(context.Context) ([]string, error) {
	return []string{fmt.Sprintf("until no HAProxy has given %s a connection for %s", c.leaving.name(), settled)}, nil
}

// settle waits until the newest connections to the host are old enough to work, on every load balancer. HAProxy, which
// drains, gives it no newer ones.
func (c *Cluster) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("gave up after %s", patience))
	defer cancel()
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		return kube.Wait(ctx, pollInterval, func(ctx context.Context) error {
			yes, err := c.settledOn(ctx, b)
			if err == nil && !yes {
				err = fmt.Errorf("HAProxy still gives connections to %s: run the command again", c.leaving.name())
			}
			return err
		})
	})
}
