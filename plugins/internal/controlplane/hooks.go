package controlplane

import (
	"context"
	"fmt"
)

// Hooks run on hosts that this run sets up; a host that belongs to the cluster already is left alone. Which hosts
// those are was settled by the survey.

func (c *Cluster) hooked(stage string) []*machine {
	var hosts []*machine
	for _, m := range c.machines() {
		if m.fresh && len(m.host.Hooks["apply"][stage]) > 0 {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (c *Cluster) skipHooks(stage string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if len(c.hooked(stage)) == 0 {
			return "no new host has any", nil
		}
		return "", nil
	}
}

func (c *Cluster) detailHooks(stage string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) {
		var lines []string
		for _, m := range c.hooked(stage) {
			for _, command := range m.host.Hooks["apply"][stage] {
				lines = append(lines, m.name()+": "+command)
			}
		}
		return lines, nil
	}
}

func (c *Cluster) runHooks(stage string) func(context.Context) error {
	return func(ctx context.Context) error {
		return c.each(ctx, c.hooked(stage), func(ctx context.Context, m *machine) error {
			for i, command := range m.host.Hooks["apply"][stage] {
				c.report.Host(m.name()).Update(fmt.Sprintf("hook %d of %d", i+1, len(m.host.Hooks["apply"][stage])))
				if _, err := m.conn.Output(ctx, command, nil); err != nil {
					return fmt.Errorf("hook apply.%s[%d]: %w", stage, i, err)
				}
			}
			return nil
		})
	}
}
