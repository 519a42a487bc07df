package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// record makes a program that writes down its arguments, and then does what the script says.
func (s *server) record(t *testing.T, name, script string) (calls func() []string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), name)
	s.program(name, `echo "$*" >>`+log+"\n"+script)
	return func() []string {
		data, _ := os.ReadFile(log)
		return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
}

func withSystemd(t *testing.T, systemctl string) (h *Host, calls func() []string) {
	h, server := connected(t)
	server.program("stat", `[ "$1" = /run/systemd/system ]`)
	server.program("journalctl", "echo 'Nov 01 k0s[1]: no space left on device'")
	return h, server.record(t, "systemctl", systemctl)
}

func withOpenRC(t *testing.T, rcService string) (h *Host, calls func() []string) {
	h, server := connected(t)
	server.program("stat", "exit 1")
	server.program("openrc-init", "")
	return h, server.record(t, "rc-service", rcService)
}

func wantCalls(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("calls were\n%q, want\n%q", got, want)
	}
}

func TestServiceOfSystemd(t *testing.T) {
	h, calls := withSystemd(t, "exit 0")
	s := h.Service("haproxy")
	ctx := context.Background()
	for _, action := range []func(context.Context) error{s.Start, s.Stop, s.Restart, s.Reload, s.Enable, s.Disable, s.DaemonReload} {
		if err := action(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if running, err := s.Running(ctx); err != nil || !running {
		t.Errorf("running %v, %v", running, err)
	}
	wantCalls(t, calls(), "start haproxy", "stop haproxy", "restart haproxy", "reload -- haproxy", "enable haproxy",
		"disable haproxy", "daemon-reload", "is-active --quiet -- haproxy")
}

func TestServiceOfOpenRC(t *testing.T) {
	h, calls := withOpenRC(t, "exit 0")
	s := h.Service("haproxy")
	ctx := context.Background()
	for _, action := range []func(context.Context) error{s.Start, s.Stop, s.Restart, s.Reload, s.DaemonReload} {
		if err := action(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if running, err := s.Running(ctx); err != nil || !running {
		t.Errorf("running %v, %v", running, err)
	}
	wantCalls(t, calls(), "haproxy start", "haproxy stop", "haproxy restart", "-- haproxy reload", "-- haproxy status")
}

func TestStoppedServiceDoesNotRun(t *testing.T) {
	systemd, _ := withSystemd(t, `[ "$1" = is-active ] && exit 3`)
	openrc, _ := withOpenRC(t, "exit 3")
	for _, h := range []*Host{systemd, openrc} {
		if running, err := h.Service("haproxy").Running(context.Background()); err != nil || running {
			t.Errorf("running %v, %v", running, err)
		}
	}
}

func TestBrokenConnectionIsNotAStoppedService(t *testing.T) {
	h, server := connected(t)
	server.program("stat", "exit 0")
	server.program("systemctl", "exit 0")
	s := h.Service("haproxy")
	if _, err := s.Running(context.Background()); err != nil {
		t.Fatal(err)
	}
	server.disconnectAll()
	if _, err := s.Running(context.Background()); !errors.Is(err, ErrDisconnected) {
		t.Errorf("error is %v, want ErrDisconnected", err)
	}
	if err := s.Start(context.Background()); !errors.Is(err, ErrDisconnected) {
		t.Errorf("error is %v, want ErrDisconnected", err)
	}
}

func TestServiceThatFailsToStartShowsItsLog(t *testing.T) {
	h, _ := withSystemd(t, "echo 'Job for haproxy.service failed because the control process exited with error code.' >&2; exit 1")
	err := h.Service("haproxy").Start(context.Background())
	wantError(t, err, "starting service haproxy", h.Name(), "Job for haproxy.service failed because the control process exited with error code.",
		"no space left on device")
	if n := strings.Count(err.Error(), "Job for"); n != 1 {
		t.Errorf("error %q says it %d times", err, n)
	}
}

func aptHost(t *testing.T, installed, candidate string) (h *Host, calls func() []string) {
	h, server := connected(t)
	server.program("dpkg-query", "echo "+installed)
	server.program("apt-cache", "echo 'haproxy:'; echo '  Candidate: "+candidate+"'")
	return h, server.record(t, "apt-get", `[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9`)
}

func TestPackagesOfApt(t *testing.T) {
	h, calls := aptHost(t, "not-installed", "2.6.12-1")
	if err := h.InstallPackages(context.Background(), "haproxy"); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, calls(), "update", "install -y --no-install-recommends -o Dpkg::Options::=--force-confdef "+
		"-o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 haproxy")
	if available, err := h.PackageAvailable(context.Background(), "haproxy"); err != nil || !available {
		t.Errorf("available %v, %v", available, err)
	}
}

func TestInstalledPackagesAreLeftAlone(t *testing.T) {
	h, calls := aptHost(t, "installed", "(none)")
	if err := h.InstallPackages(context.Background(), "haproxy"); err != nil {
		t.Fatal(err)
	}
	if available, err := h.PackageAvailable(context.Background(), "haproxy"); err != nil || !available {
		t.Errorf("available %v, %v", available, err)
	}
	wantCalls(t, calls(), "")
}

func TestUnknownPackageIsNotAvailableAfterAnUpdate(t *testing.T) {
	h, calls := aptHost(t, "not-installed", "(none)")
	if available, err := h.PackageAvailable(context.Background(), "haproxy"); err != nil || available {
		t.Errorf("available %v, %v", available, err)
	}
	wantCalls(t, calls(), "update")
}

func TestFailedInstallSaysWhy(t *testing.T) {
	h, server := connected(t)
	server.program("dpkg-query", "exit 1")
	server.program("apt-get", `case $1 in update) echo "E: Could not get lock" >&2; exit 100;; esac
echo "Reading package lists..."
echo "E: Unable to locate package haproxy" >&2
exit 100`)
	err := h.InstallPackages(context.Background(), "haproxy")
	wantError(t, err, "installing haproxy on "+h.Name(), "Unable to locate package haproxy", "Could not get lock")
}

func TestInstallOutlivesItsContextAndItsConnection(t *testing.T) {
	h, server := connected(t)
	dir := t.TempDir()
	started, finish, finished := filepath.Join(dir, "started"), filepath.Join(dir, "finish"), filepath.Join(dir, "finished")
	server.program("dpkg-query", "exit 1")
	server.program("apt-get", "[ $1 = update ] && exit; : >"+started+"; while [ ! -e "+finish+" ]; do sleep 0.05; echo working; done; : >"+finished)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.InstallPackages(ctx, "haproxy") }()
	eventually(t, "the install runs", func() bool { _, err := os.Stat(started); return err == nil })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	server.disconnectAll()
	if err := os.WriteFile(finish, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the install finishes", func() bool { _, err := os.Stat(finished); return err == nil })
}

func TestCommandsOfPackageManagers(t *testing.T) {
	for _, manager := range []string{"apt", "dnf", "yum", "zypper", "apk", "pacman"} {
		commands, ok := commandsOf(manager)
		if !ok || strings.Count(commands.installed, "%s") != 1 || strings.Count(commands.available, "%s") != 1 {
			t.Errorf("%s: %+v", manager, commands)
		}
	}
	if _, ok := commandsOf("scoop"); ok {
		t.Error("scoop is known")
	}
}
