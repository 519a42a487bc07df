package controlplane

import (
	"context"
	"errors"
	"fmt"
)

func (c *Cluster) skipSeed(ctx context.Context) (string, error) {
	if c.seed.running() && c.seed.readyz(ctx) == nil {
		return c.seed.name() + " runs", nil
	}
	return "", nil
}

func (c *Cluster) detailSeed(ctx context.Context) ([]string, error) {
	if !c.exists() {
		return c.seed.detailConfig(ctx, c.newConfig(c.seed), "write k0s.yaml, install and start k0s")
	}
	var lines []string
	for _, m := range c.stopped() {
		lines = append(lines, m.name()+": start k0s")
	}
	return lines, nil
}

// stopped lists the members of a control plane that is down: the seed alone may not have etcd's quorum.
func (c *Cluster) stopped() []*machine {
	var hosts []*machine
	for _, m := range c.controllers {
		if m == c.seed || c.running(m) && !m.running() {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

// startSeed starts the controller that the others join. One that belongs to a cluster already keeps its service and
// its configuration.
func (c *Cluster) startSeed(ctx context.Context) error {
	m := c.seed
	line := c.report.Host(m.name())
	if !c.exists() {
		line.Update("installing")
		if err := c.install(ctx, m, ""); err != nil {
			return err
		}
	}
	line.Update("starting")
	err := c.each(ctx, c.stopped(), func(ctx context.Context, m *machine) error { return m.node.Start(ctx) })
	if err != nil {
		return err
	}
	line.Update("waiting for its API server")
	if err := c.await(ctx, "the API server on "+m.name()+" is ready", m.up); err != nil {
		return fmt.Errorf("%w: see `journalctl -u k0scontroller` on %s", err, m.conn.Name())
	}
	line.Done("ready")
	members, err := c.members(ctx)
	if err != nil {
		return err
	}
	return errors.Join(c.meet(members)...)
}
