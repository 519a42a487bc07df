package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Hooks run on hosts that this run sets up; a host that belongs to the cluster already is left alone. Which hosts
// those are was settled by the survey. Nothing but a note on the host tells that the run that set it up was cut off
// before its last hooks.

// pendingHooks is that note.
const pendingHooks = "/etc/k0s/kubectl-ha.hooks"

// noteHooks leaves the note on a host that has hooks for afterwards.
func (m *machine) noteHooks(ctx context.Context) error {
	if !m.fresh || len(m.host.Hooks["apply"]["after"]) == 0 {
		return nil
	}
	return m.conn.WriteFile(ctx, pendingHooks, []byte("# the hooks of apply.after have yet to run\n"), 0o644)
}

// lookAtHooks reads the note.
func (m *machine) lookAtHooks(ctx context.Context) error {
	if len(m.host.Hooks["apply"]["after"]) == 0 {
		return nil
	}
	_, err := m.conn.ReadFile(ctx, pendingHooks)
	m.hooksPending = err == nil
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (c *Cluster) hooked(stage string) []*machine {
	var hosts []*machine
	for _, m := range c.machines() {
		due := m.fresh || stage == "after" && m.hooksPending
		if due && len(m.host.Hooks["apply"][stage]) > 0 {
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
			if stage != "after" {
				return nil
			}
			_, err := m.conn.Output(ctx, "rm -f "+pendingHooks, nil)
			return err
		})
	}
}
