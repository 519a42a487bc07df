package hainit

import (
	"context"
	"fmt"
)

func (c *cluster) skipSeed(ctx context.Context) (string, error) {
	if c.seed.running() && c.seed.readyz(ctx) == nil {
		return c.seed.name() + " runs", nil
	}
	return "", nil
}

func (c *cluster) detailSeed(context.Context) ([]string, error) {
	if c.exists() {
		return []string{"start " + c.seed.name()}, nil
	}
	return []string{fmt.Sprintf("%s: write k0s.yaml, install and start k0s", c.seed.name())}, nil
}

// startSeed starts the controller that the others join. One that belongs to a cluster already keeps its service and
// its configuration.
func (c *cluster) startSeed(ctx context.Context) error {
	m := c.seed
	line := c.report.Host(m.name())
	if !c.exists() {
		line.Update("installing")
		if err := c.install(ctx, m, ""); err != nil {
			return err
		}
	}
	line.Update("starting")
	if err := m.node.Start(ctx); err != nil {
		return err
	}
	line.Update("waiting for its API server")
	if err := c.await(ctx, "the API server on "+m.name()+" is ready", m.readyz); err != nil {
		return fmt.Errorf("%w: see `journalctl -u k0scontroller` on %s", err, m.conn.Name())
	}
	line.Done("ready")
	return c.connectAPI(ctx)
}
