//go:build linux

package lbhelper

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
)

// service is HAProxy in the hands of this host's service manager, systemd or OpenRC.
type service struct{ machine haproxy.Machine }

// systemdRuns tells whether systemd is the init system (sd_booted(3)).
func systemdRuns() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// Running tells whether the service runs.
func (s service) Running(ctx context.Context) (bool, error) {
	command := "systemctl is-active --quiet -- haproxy"
	if !systemdRuns() {
		command = "rc-service -- haproxy status >/dev/null"
	}
	_, err := s.machine.Output(ctx, command, nil)
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() != exitNotFound {
		return false, nil
	}
	return err == nil, err
}

// exitNotFound is how a shell says that there is no such command.
const exitNotFound = 127

// Start would start it; the helper refuses before it comes to that.
func (s service) Start(ctx context.Context) error { return s.do(ctx, "start") }

// Reload lets HAProxy read its file.
func (s service) Reload(ctx context.Context) error { return s.do(ctx, "reload") }

// Enable makes it start at boot.
func (s service) Enable(ctx context.Context) error {
	if !systemdRuns() {
		_, err := s.machine.Output(ctx, "rc-update add haproxy default", nil)
		return err
	}
	return s.do(ctx, "enable")
}

func (s service) do(ctx context.Context, action string) error {
	command := "systemctl " + action + " -- haproxy"
	if !systemdRuns() {
		command = "rc-service -- haproxy " + action
	}
	_, err := s.machine.Output(ctx, command, nil)
	return err
}
