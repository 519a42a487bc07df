package controlplane

import (
	"context"
	"sync"
)

// exposed lists the hosts on which a run that was cut off left its join token.
func (c *Cluster) exposed(ctx context.Context) ([]*machine, error) {
	var mu sync.Mutex
	var hosts []*machine
	err := c.each(ctx, c.machines(), func(ctx context.Context, m *machine) error {
		left, err := m.node.HasToken(ctx)
		if left {
			mu.Lock()
			defer mu.Unlock()
			hosts = append(hosts, m)
		}
		return err
	})
	return hosts, err
}

func (c *Cluster) skipTokens(ctx context.Context) (string, error) {
	hosts, err := c.exposed(ctx)
	if err != nil || len(hosts) > 0 {
		return "", err
	}
	return "there is none", nil
}

func (c *Cluster) clearTokens(ctx context.Context) error {
	hosts, err := c.exposed(ctx)
	if err != nil {
		return err
	}
	return c.each(ctx, hosts, func(ctx context.Context, m *machine) error { return m.node.ClearToken(ctx) })
}
