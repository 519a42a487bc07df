package lab

import (
	"context"
	"fmt"
	"strings"
)

// Status is what a host does at the moment.
type Status struct {
	Host *Host
	// State is Docker's word: running, paused (frozen), exited (killed), or missing.
	State string
	// System is systemd's word for a running host: running, degraded, starting.
	System string
	// Cut lists the addresses that the host is cut off from; "all" is everything.
	Cut []string
}

// Status looks at every host.
func (l *Lab) Status(ctx context.Context) ([]Status, error) {
	states, err := l.containerStates(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Status, len(l.hosts))
	index := map[*Host]int{}
	for i, h := range l.hosts {
		index[h] = i
		all[i] = Status{Host: h, State: "missing"}
		if state, ok := states[h.container]; ok {
			all[i].State = state
		}
	}
	err = l.each(ctx, func(h *Host, ctx context.Context) error {
		s := &all[index[h]]
		if s.State != "running" {
			return nil
		}
		out, err := h.Exec(ctx, "systemctl is-system-running; cat /var/lib/lab/cut 2>/dev/null; true", nil)
		if words := strings.Fields(out); err == nil && len(words) > 0 {
			s.System, s.Cut = words[0], words[1:]
		}
		return err
	})
	return all, err
}

func (l *Lab) containerStates(ctx context.Context) (map[string]string, error) {
	out, err := docker(ctx, nil, "ps", "--all", "--filter", "label="+labelLab+"="+l.Name(), "--format", "{{.Names}} {{.State}}")
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", l.Name(), err)
	}
	states := map[string]string{}
	for _, line := range lines(out) {
		name, state, _ := strings.Cut(line, " ")
		states[name] = state
	}
	return states, nil
}
