package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// errRestarted says that HAProxy was restarted or reloaded by somebody else: what was set at run time is lost.
var errRestarted = errors.New("HAProxy was restarted meanwhile")

// NotCheckedError says that a server did not pass its health check in time. It gets no connections.
type NotCheckedError struct {
	Server Server
	// Lines say of each server line what its check found.
	Lines []string
}

func (e *NotCheckedError) Error() string {
	return fmt.Sprintf("%s does not pass its health check and gets no connections: %s", serverLabel(e.Server),
		strings.Join(e.Lines, "; "))
}

// session changes one running worker.
type session struct {
	*Balancer
	pid int
}

// state asks for the state of the servers.
func (s *session) state(ctx context.Context) (*Runtime, error) {
	runtime, err := s.runtime(ctx)
	switch {
	case errors.Is(err, errNoSocket) || errors.Is(err, errCutOff):
		return nil, errRestarted
	case err != nil:
		return nil, err
	case runtime.PID != s.pid:
		return nil, errRestarted
	}
	return runtime, nil
}

// commands gives commands that change something. HAProxy answers nothing when it did as told.
func (s *session) commands(ctx context.Context, accept func(answer string) bool, commands []string) error {
	answers, err := s.socket.exchange(ctx, append([]string{"show info"}, commands...)...)
	if errors.Is(err, errNoSocket) || errors.Is(err, errCutOff) {
		return errRestarted
	}
	if err != nil {
		return err
	}
	info, err := parseInfo(answers[0])
	if err != nil {
		return err
	}
	if info.PID != s.pid {
		return errRestarted
	}
	var errs []error
	for i, answer := range answers[1:] {
		if !accept(answer) {
			errs = append(errs, fmt.Errorf("HAProxy's answer to %q: %s", commands[i], answer))
		}
	}
	return errors.Join(errs...)
}

func empty(answer string) bool { return answer == "" }

func (s *session) setState(ctx context.Context, lines []Line, state AdminState) error {
	var commands []string
	for _, line := range lines {
		commands = append(commands, fmt.Sprintf("set server %s state %s", line, state))
	}
	return s.commands(ctx, empty, commands)
}

// startChecks has servers checked without giving them connections: `state ready` alone gives them connections
// before the first check.
func (s *session) startChecks(ctx context.Context, lines []Line) error {
	var commands []string
	for _, line := range lines {
		commands = append(commands, fmt.Sprintf("set server %s state drain", line), fmt.Sprintf("enable health %s", line))
	}
	return s.commands(ctx, empty, commands)
}

// setAddress points lines elsewhere and waits until it shows: HAProxy 3 does it a moment after it has answered, and
// a check of the former address must not be taken for one of the new.
func (s *session) setAddress(ctx context.Context, lines []Line, address netip.Addr, port func(Line) int) error {
	var commands []string
	for _, line := range lines {
		commands = append(commands, fmt.Sprintf("set server %s addr %s port %d", line, address, port(line)))
	}
	done := func(answer string) bool {
		return strings.Contains(answer, " changed from ") || strings.Contains(answer, "no need to change") ||
			strings.Contains(answer, "nothing changed")
	}
	if err := s.commands(ctx, done, commands); err != nil {
		return err
	}
	err := s.poll(ctx, time.Now().Add(exchangeTimeout), func() (bool, error) {
		runtime, err := s.state(ctx)
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(lines, func(line Line) bool {
			state, _ := runtime.find(line)
			return state.Address != address || state.Port != port(line)
		}), nil
	})
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("setting the address %s: HAProxy still shows another one", address)
	}
	return err
}

// awaitChecked waits until each line has passed a check.
func (s *session) awaitChecked(ctx context.Context, server Server, lines []Line, deadline time.Time) error {
	var missing []string
	err := s.poll(ctx, deadline, func() (bool, error) {
		runtime, err := s.state(ctx)
		if err != nil {
			return false, err
		}
		missing = nil
		for _, line := range lines {
			if state, ok := runtime.find(line); !ok || !state.Checked() {
				missing = append(missing, fmt.Sprintf("%s %s (%s)", line, state.Status, state.CheckText))
			}
		}
		return len(missing) == 0, nil
	})
	if errors.Is(err, errTimeout) {
		return &NotCheckedError{Server: server, Lines: missing}
	}
	return err
}

// guardLast refuses to take these lines out where no other server of the backend would get connections.
func (s *session) guardLast(ctx context.Context, server Server, lines []Line) error {
	runtime, err := s.state(ctx)
	if err != nil {
		return err
	}
	for _, line := range lines {
		state, ok := runtime.find(line)
		if !ok || state.Admin != Ready {
			continue
		}
		ready, up := false, false
		for _, other := range runtime.Backend(line.Backend) {
			leaves := slices.ContainsFunc(lines, func(l Line) bool {
				return l.Backend == other.Backend && l.Slot == other.Slot
			})
			if leaves || other.Admin != Ready {
				continue
			}
			ready = true
			up = up || other.Up()
		}
		if !ready || state.Up() && !up {
			return &LastServerError{Backend: line.Backend, Server: serverLabel(server)}
		}
	}
	return nil
}

func (r *Runtime) find(line Line) (ServerState, bool) {
	i := slices.IndexFunc(r.Servers, func(s ServerState) bool {
		return s.Backend == line.Backend && s.Slot == line.Slot
	})
	if i < 0 {
		return ServerState{}, false
	}
	return r.Servers[i], true
}
