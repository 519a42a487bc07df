package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/k0sproject/rig/v2/initsystem"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// Service is a service of a host's init system (systemd, OpenRC and others that rig knows).
type Service struct {
	host *Host
	name string
}

// Service returns the named service; whether it exists shows when it is used.
func (h *Host) Service(name string) *Service { return &Service{host: h, name: name} }

// manager finds out the init system, once per host.
func (h *Host) manager() (initsystem.ServiceManager, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.services != nil {
		return h.services, nil
	}
	services, err := initsystem.DefaultRegistry().Get(h.runner(endOnCancel))
	if err != nil {
		if cause := h.wire.lost(); cause != nil {
			return nil, fmt.Errorf("%s: %w: %w", h.name, ErrDisconnected, cause)
		}
		return nil, fmt.Errorf("finding the init system of %s: %w: it is neither systemd nor OpenRC", h.name, err)
	}
	h.services = services
	return services, nil
}

// Start starts the service; one that runs is left alone.
func (s *Service) Start(ctx context.Context) error {
	return s.do(ctx, "starting", func(m initsystem.ServiceManager) error {
		return m.StartService(ctx, s.host.runner(endOnCancel), s.name)
	})
}

// Stop stops the service; one that is stopped is left alone.
func (s *Service) Stop(ctx context.Context) error {
	return s.do(ctx, "stopping", func(m initsystem.ServiceManager) error {
		return m.StopService(ctx, s.host.runner(endOnCancel), s.name)
	})
}

// Restart stops the service if it runs, and starts it.
func (s *Service) Restart(ctx context.Context) error {
	return s.do(ctx, "restarting", func(m initsystem.ServiceManager) error {
		runner := s.host.runner(endOnCancel)
		if restarter, ok := m.(initsystem.ServiceManagerRestarter); ok {
			return restarter.RestartService(ctx, runner, s.name)
		}
		if err := m.StopService(ctx, runner, s.name); err != nil {
			return err
		}
		return m.StartService(ctx, runner, s.name)
	})
}

// Reload makes the service read its configuration again, without a restart; an error means that it goes on with the old
// one or cannot reload.
func (s *Service) Reload(ctx context.Context) error {
	return s.do(ctx, "reloading", func(m initsystem.ServiceManager) error {
		command, err := reloadCommand(m, s.name)
		if err != nil {
			return err
		}
		return s.host.Stream(ctx, command, nil, nil)
	})
}

// reloadCommand is what rig's service managers lack.
func reloadCommand(m initsystem.ServiceManager, name string) (string, error) {
	switch m.(type) {
	case initsystem.Systemd, *initsystem.Systemd:
		return "systemctl reload -- " + shell.Quote(name), nil
	case initsystem.OpenRC, *initsystem.OpenRC:
		return "rc-service -- " + shell.Quote(name) + " reload", nil
	}
	return "", fmt.Errorf("reloading is supported with systemd and OpenRC only, not with %s", managerName(m))
}

func managerName(m initsystem.ServiceManager) string {
	if s, ok := m.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", m)
}

// Enable makes the service start at boot.
func (s *Service) Enable(ctx context.Context) error {
	return s.do(ctx, "enabling", func(m initsystem.ServiceManager) error {
		return m.EnableService(ctx, s.host.runner(endOnCancel), s.name)
	})
}

// Disable keeps the service from starting at boot.
func (s *Service) Disable(ctx context.Context) error {
	return s.do(ctx, "disabling", func(m initsystem.ServiceManager) error {
		return m.DisableService(ctx, s.host.runner(endOnCancel), s.name)
	})
}

// DaemonReload makes the init system read its unit files again; OpenRC needs no such thing.
func (s *Service) DaemonReload(ctx context.Context) error {
	m, err := s.host.manager()
	if err != nil {
		return err
	}
	reloader, ok := m.(initsystem.ServiceManagerReloader)
	if !ok {
		return nil
	}
	if err := reloader.DaemonReload(ctx, s.host.runner(endOnCancel)); err != nil {
		return fmt.Errorf("reloading the units of %s: %w", s.host.name, plain(err))
	}
	return nil
}

// Running says whether the service runs now: false when it is stopped, failed, unknown, or waits to be restarted.
func (s *Service) Running(ctx context.Context) (bool, error) {
	m, err := s.host.manager()
	if err != nil {
		return false, err
	}
	command := ""
	switch m.(type) {
	case initsystem.Systemd, *initsystem.Systemd:
		command = "systemctl is-active --quiet -- " + shell.Quote(s.name)
	case initsystem.OpenRC, *initsystem.OpenRC:
		command = "rc-service -- " + shell.Quote(s.name) + " status"
	default:
		return m.ServiceIsRunning(ctx, s.host.runner(endOnCancel), s.name), nil
	}
	// Not rig's ServiceIsRunning: it takes a broken connection for a stopped service.
	err = s.host.Stream(ctx, command, nil, nil)
	var failed *CommandError
	if errors.As(err, &failed) && failed.ExitCode != exitNotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at service %s: %w", s.name, err)
	}
	return true, nil
}

// exitNotFound is how a shell says that there is no such command.
const exitNotFound = 127

// failureLogLines is how much of a service's log goes into the error of a failed start.
const failureLogLines = 5

// do acts on the service. When the init system refuses, the end of the service's log says why.
func (s *Service) do(ctx context.Context, action string, f func(initsystem.ServiceManager) error) error {
	m, err := s.host.manager()
	if err != nil {
		return err
	}
	err = plain(f(m))
	if err == nil {
		return nil
	}
	var failed *CommandError
	if logs, ok := m.(initsystem.ServiceManagerLogReader); ok && errors.As(err, &failed) {
		if lines, logErr := logs.ServiceLogs(ctx, s.host.runner(endOnCancel), s.name, failureLogLines); logErr == nil {
			if log := strings.TrimSpace(strings.Join(lines, "\n")); log != "" {
				return fmt.Errorf("%s service %s: %w; its log ends with:\n%s", action, s.name, err, log)
			}
		}
	}
	return fmt.Errorf("%s service %s: %w", action, s.name, err)
}
