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
	command, stopped := "systemctl is-active --quiet -- haproxy", isStoppedUnit
	if !systemdRuns() {
		command, stopped = "rc-service -- haproxy status >/dev/null", isStoppedService
	}
	_, err := s.machine.Output(ctx, command, nil)
	var failed *exec.ExitError
	if errors.As(err, &failed) && stopped(failed.ExitCode()) {
		return false, nil
	}
	return err == nil, err
}

// isStoppedUnit tells whether systemctl has answered that the unit does not run, or that there is none (systemctl(1)): with
// other codes it could not ask.
func isStoppedUnit(exitCode int) bool { return exitCode == 3 || exitCode == 4 }

// isStoppedService tells whether rc-service has answered: a shell ends with 127 when there is no such command.
func isStoppedService(exitCode int) bool { return exitCode != 127 }

// Start starts it; the helper refuses before it comes to that, unless its file is empty.
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
