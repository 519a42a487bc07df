package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SetServerState sets the state of a controller's servers in all our backends of the running HAProxy; the file stays.
// It refuses with a LastServerError to take the last server of a backend away. From maintenance, ready is reached
// through a health check (NotCheckedError when it does not pass). A controller without servers there is an error only
// for ready.
func (b *Balancer) SetServerState(ctx context.Context, server Server, state AdminState) error {
	return b.locked(ctx, func() error {
		runtime, err := b.runtime(ctx)
		if err != nil {
			return err
		}
		s := &session{Balancer: b, pid: runtime.PID}
		var lines, unchecked []Line
		found := runtime.servers(b.spec.Backends(), server)
		for _, f := range found {
			line := Line{Backend: f.Backend, Slot: f.Slot, Port: f.Port}
			if f.Admin != state {
				lines = append(lines, line)
			}
			if f.Admin == Maint && state == Ready {
				unchecked = append(unchecked, line)
			}
		}
		switch {
		case len(found) == 0 && state == Ready:
			return fmt.Errorf("setting %s to %s: HAProxy has no server of that address", serverLabel(server), state)
		case len(lines) == 0:
			return nil
		case state != Ready:
			if err := s.guardLast(ctx, server, lines); err != nil {
				return err
			}
		case len(unchecked) > 0:
			if err := s.startChecks(ctx, unchecked); err != nil {
				return err
			}
			deadline := time.Now().Add(b.options.CheckTimeout)
			if err := s.awaitChecked(ctx, server, unchecked, deadline); err != nil {
				return err
			}
		}
		return s.setState(ctx, lines, state)
	})
}

// WaitDrained waits until the controller's servers have no connections, and returns how many are left at the timeout:
// HTTP/2 clients keep theirs as long as the server lets them. It counts those of the present worker.
func (b *Balancer) WaitDrained(ctx context.Context, server Server, timeout time.Duration) (left int, err error) {
	err = b.poll(ctx, time.Now().Add(timeout), func() (bool, error) {
		runtime, err := b.runtime(ctx)
		if err != nil {
			return false, err
		}
		left = 0
		for _, s := range runtime.servers(b.spec.Backends(), server) {
			left += s.Sessions
		}
		return left == 0, nil
	})
	if errors.Is(err, errTimeout) {
		return left, nil
	}
	return left, err
}

// Settled says that HAProxy gives the controller's servers no connections and has not for that long, in whole seconds:
// clients have had the time to make their newest connections to it work.
func (b *Balancer) Settled(ctx context.Context, server Server, quiet time.Duration) (bool, error) {
	runtime, err := b.runtime(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(runtime.servers(b.spec.Backends(), server), func(s ServerState) bool {
		return s.Admin == Ready || s.LastSession >= 0 && s.LastSession < quiet
	}), nil
}

// ShutdownSessions ends the connections that the controller's servers still have.
func (b *Balancer) ShutdownSessions(ctx context.Context, server Server) error {
	runtime, err := b.runtime(ctx)
	if err != nil {
		return err
	}
	s := &session{Balancer: b, pid: runtime.PID}
	var commands []string
	for _, f := range runtime.servers(b.spec.Backends(), server) {
		commands = append(commands, fmt.Sprintf("shutdown sessions server %s/%s", f.Backend, f.Slot))
	}
	if len(commands) == 0 {
		return nil
	}
	return s.commands(ctx, empty, commands)
}

// ServersUp returns, for each of our backends, the servers that get connections.
func (b *Balancer) ServersUp(ctx context.Context) (map[string][]ServerState, error) {
	runtime, err := b.runtime(ctx)
	if err != nil {
		return nil, err
	}
	up := map[string][]ServerState{}
	for _, backend := range b.spec.Backends() {
		for _, s := range runtime.Backend(backend.Name) {
			if s.Up() {
				up[backend.Name] = append(up[backend.Name], s)
			}
		}
	}
	return up, nil
}

// NotUpError says which servers get no connections.
type NotUpError struct{ Lines []string }

func (e *NotUpError) Error() string { return "not every server is up: " + strings.Join(e.Lines, "; ") }

// WaitUp waits until each active server is up in each of our backends; it is a NotUpError when that takes longer.
func (b *Balancer) WaitUp(ctx context.Context, servers []Server, timeout time.Duration) error {
	var lines []string
	err := b.poll(ctx, time.Now().Add(timeout), func() (bool, error) {
		runtime, err := b.runtime(ctx)
		if err != nil {
			return false, err
		}
		lines = runtime.notUp(b.spec.Backends(), servers)
		return len(lines) == 0, nil
	})
	if errors.Is(err, errTimeout) {
		return &NotUpError{Lines: lines}
	}
	return err
}
