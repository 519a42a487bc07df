// Package unit installs k0s as a systemd service and drives it.
package unit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// directory is where systemd reads an administrator's units from.
const directory = "/etc/systemd/system"

// Name is the name of the service of a role.
func Name(role string) string { return "k0s" + role }

func path(role string) string { return directory + "/" + Name(role) + ".service" }

// Render writes the unit that runs a program: k0s's own settings, of which
// KillMode=process matters to tests (components outlive a killed k0s).
func Render(program string, args, environment []string) string {
	var b strings.Builder
	b.WriteString("[Unit]\n" +
		"Description=k0s - Zero Friction Kubernetes (the lab's stand-in)\n" +
		"ConditionFileIsExecutable=" + escape(program) + "\n" +
		"After=network-online.target\n" +
		"Wants=network-online.target\n\n" +
		"[Service]\n" +
		"StartLimitInterval=5\n" +
		"StartLimitBurst=10\n" +
		"ExecStart=" + escape(program))
	for _, arg := range args {
		b.WriteString(" " + escape(arg))
	}
	b.WriteString("\n")
	for _, variable := range environment {
		b.WriteString("Environment=\"" + variable + "\"\n")
	}
	b.WriteString("\nRestartSec=10\n" +
		"Delegate=yes\n" +
		"KillMode=process\n" +
		"LimitCORE=infinity\n" +
		"TasksMax=infinity\n" +
		"TimeoutStartSec=0\n" +
		"LimitNOFILE=999999\n" +
		"Restart=always\n\n" +
		"[Install]\n" +
		"WantedBy=multi-user.target\n")
	return b.String()
}

// escape protects blanks as systemd reads them.
func escape(s string) string { return strings.ReplaceAll(s, " ", `\x20`) }

// Install writes and enables the unit of a role. An existing unit is an error
// unless forced.
func Install(role string, args, environment []string, force bool) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path(role)); err == nil {
		if !force {
			return fmt.Errorf("Init already exists: %s", path(role)) //nolint:staticcheck // k0s's own words
		}
		if err := Uninstall(role); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path(role), []byte(Render(program, args, environment)), 0o644); err != nil {
		return err
	}
	return errors.Join(systemctl("enable", Name(role)+".service"), systemctl("daemon-reload"))
}

// Uninstall disables and removes the unit of a role.
func Uninstall(role string) error {
	if err := systemctl("disable", Name(role)+".service"); err != nil {
		return err
	}
	if err := os.Remove(path(role)); err != nil {
		return err
	}
	return systemctl("daemon-reload")
}

// Installed returns the role whose unit is on this host.
func Installed() (string, error) {
	for _, role := range []string{"controller", "worker"} {
		if _, err := os.Stat(path(role)); err == nil {
			return role, nil
		}
	}
	return "", errors.New("k0s has not been installed as a service")
}

// Running reports whether the service of a role runs.
func Running(role string) (bool, error) {
	out, err := exec.Command("systemctl", "is-active", Name(role)).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return false, fmt.Errorf("asking systemd: %w", err)
	}
	switch state := strings.TrimSpace(string(out)); state {
	case "active", "activating", "reloading":
		return true, nil
	case "failed":
		return false, errors.New("service in failed state")
	default:
		return false, nil
	}
}

// Start starts the service of a role.
func Start(role string) error { return systemctl("start", Name(role)+".service") }

// Restart restarts the service of a role.
func Restart(role string) error { return systemctl("restart", Name(role)+".service") }

// Stop stops the service of a role.
func Stop(role string) error { return systemctl("stop", Name(role)+".service") }

func systemctl(args ...string) error {
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
