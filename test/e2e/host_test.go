//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
)

// connector knows the keys of the lab's hosts and has nobody to ask.
func (s *site) connector() *host.Connector {
	empty := s.path("ssh_config")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return &host.Connector{KnownHosts: []string{s.KnownHosts()}, SSHConfig: empty}
}

// ssh is a connection by the built-in client, openSSH the same by the ssh program.
func (s *site) ssh(user, name string) config.Connection {
	return config.Connection{SSH: &config.SSH{Address: s.host(name).Address().String(), User: user, Port: 22, KeyPath: s.KeyPath()}}
}

func (s *site) openSSH(user, name string) config.Connection {
	c := s.ssh(user, name).SSH
	return config.Connection{OpenSSH: &config.OpenSSH{Address: c.Address, User: c.User, KeyPath: c.KeyPath}}
}

func (s *site) connect(connector *host.Connector, conn config.Connection) *host.Host {
	s.t.Helper()
	h, err := connector.Connect(s.t.Context(), conn)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { h.Close() })
	return h
}

func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func TestHostsOverSSH(t *testing.T) {
	t.Parallel()
	s := bareSite(t, "a=7.2", "b=7.3:haproxy", "hidden=7.4:private")
	connector := s.connector()
	ctx := t.Context()

	for name, conn := range map[string]config.Connection{
		"root":            s.ssh("root", "a"),
		"sudo":            s.ssh("ops", "a"),
		"root by openSSH": s.openSSH("root", "a"),
		"sudo by openSSH": s.openSSH("ops", "a"),
	} {
		t.Run(name, func(t *testing.T) { s.checkRoot(t, s.connect(connector, conn)) })
	}
	single := s.openSSH("ops", "a")
	single.OpenSSH.DisableMultiplexing = true
	t.Run("sudo by openSSH without multiplexing", func(t *testing.T) { s.checkRoot(t, s.connect(connector, single)) })

	t.Run("no sudo", func(t *testing.T) {
		for _, conn := range []config.Connection{s.ssh("nosudo", "a"), s.openSSH("nosudo", "a")} {
			_, err := connector.Connect(ctx, conn)
			wantWords(t, err, `user "nosudo"`, "needs passwordless sudo", "password is required")
		}
	})
	t.Run("no login", func(t *testing.T) {
		for user, words := range map[string]string{"stranger": "accepts none of the keys", "games": "may the user run commands"} {
			for _, conn := range []config.Connection{s.ssh(user, "a"), s.openSSH(user, "a")} {
				_, err := connector.Connect(ctx, conn)
				wantWords(t, err, words)
			}
		}
	})
	t.Run("bastion", func(t *testing.T) {
		conn := s.ssh("ops", "hidden")
		conn.SSH.Bastion = s.ssh("nosudo", "a").SSH
		s.checkRoot(t, s.connect(connector, conn))
	})
	t.Run("ProxyJump of ssh_config", func(t *testing.T) {
		c := s.connector()
		c.SSHConfig = s.SSHConfig()
		for _, conn := range []config.Connection{s.ssh("root", "hidden"), s.openSSH("root", "hidden")} {
			s.checkRoot(t, s.connect(c, conn))
		}
	})
	t.Run("host keys", s.checkHostKeys)
	t.Run("HAProxy", s.checkHAProxyHost)
	t.Run("package", func(t *testing.T) {
		h := s.connect(connector, s.ssh("ops", "a"))
		for range 2 {
			if err := h.InstallPackages(ctx, "haproxy"); err != nil {
				t.Fatal(err)
			}
		}
		if running, err := h.Service("haproxy").Running(ctx); err != nil || !running {
			t.Errorf("it runs: %v, %v", running, err)
		}
		for name, want := range map[string]bool{"haproxy": true, "no-such-package": false} {
			if available, err := h.PackageAvailable(ctx, name); err != nil || available != want {
				t.Errorf("%s is available: %v, %v; want %v", name, available, err, want)
			}
		}
		err := h.InstallPackages(ctx, "no-such-package")
		wantWords(t, err, "installing no-such-package", "Unable to locate package")
	})
	t.Run("frozen", func(t *testing.T) {
		c := s.connector()
		c.KeepAlive = 500 * time.Millisecond
		h := s.connect(c, s.ssh("root", "a"))
		frozen := s.host("a")
		if err := frozen.Freeze(ctx); err != nil {
			t.Fatal(err)
		}
		defer frozen.Thaw(context.Background())
		start := time.Now()
		_, err := h.Output(ctx, "true", nil)
		if !errors.Is(err, host.ErrDisconnected) || time.Since(start) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		c.Timeout = time.Second
		_, err = c.Connect(ctx, s.ssh("root", "a"))
		wantWords(t, err, "no answer within 1s")
	})
}

// checkRoot does as root what the product does on hosts.
func (s *site) checkRoot(t *testing.T, h *host.Host) {
	ctx := t.Context()
	if out, err := h.Output(ctx, "id -u; cat", strings.NewReader("by stdin")); err != nil || out != "0\nby stdin" {
		t.Fatalf("output %q, %v", out, err)
	}
	var failed *host.CommandError
	if _, err := h.Output(ctx, "echo sorry >&2; exit 3", nil); !errors.As(err, &failed) || failed.ExitCode != 3 || failed.Stderr != "sorry\n" {
		t.Errorf("error %#v", err)
	}
	const path = "/root/secret file"
	if err := h.WriteFile(ctx, path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := h.ReadFile(ctx, path); err != nil || string(data) != "secret" {
		t.Errorf("read %q, %v", data, err)
	}
	facts, err := h.Facts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if facts.InitSystem != "systemd" || facts.PackageManager != "apt" || facts.OSID != "debian" || facts.ListeningTCP[22] != "sshd" ||
		facts.ClockOffset.Abs() > facts.ClockOffsetError {
		t.Errorf("facts %+v", facts)
	}
	conn, err := h.DialContext(ctx, "tcp", "127.0.0.1:22")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Error(err)
	}
	greeting := make([]byte, 4)
	if _, err := io.ReadFull(conn, greeting); err != nil || string(greeting) != "SSH-" {
		t.Errorf("greeting %q, %v", greeting, err)
	}
	unlock, err := h.Lock(ctx, "/run/lock/ha-test.lock")
	if err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var locked *host.LockedError
	if _, err := h.Lock(soon, "/run/lock/ha-test.lock"); !errors.As(err, &locked) {
		t.Errorf("second lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	s.checkCancel(t, h)
}

// checkCancel sees that a command ends on the host when its context does.
func (s *site) checkCancel(t *testing.T, h *host.Host) {
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- h.Stream(ctx, "trap '' HUP; echo ready; sleep 98765 & wait; sleep 98765", nil, write) }()
	if _, err := io.ReadFull(read, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		out, err := h.Output(t.Context(), "pgrep -xf 'sleep 98765' || echo gone", nil)
		if err == nil && out == "gone" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it still runs: %q, %v", out, err)
		}
	}
}

func (s *site) checkHostKeys(t *testing.T) {
	for name, conn := range map[string]config.Connection{"built in": s.ssh("root", "a"), "openSSH": s.openSSH("root", "a")} {
		t.Run(name, func(t *testing.T) {
			known, err := os.ReadFile(s.KnownHosts())
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "known_hosts")
			connector := s.connector()
			connector.KnownHosts = []string{file}
			_, err = connector.Connect(t.Context(), conn)
			if !errors.Is(err, host.ErrUnknownHostKey) {
				t.Errorf("unknown key: %v", err)
			}
			asked := 0
			connector.Confirm = func(_ context.Context, key host.UnknownKey) (bool, error) {
				asked++
				t.Logf("asked about %+v", key)
				return true, nil
			}
			for range 2 {
				s.connect(connector, conn)
			}
			if asked != 1 {
				t.Errorf("asked %d times, want once", asked)
			}
			// The other host's key in this host's place.
			b := s.host("b").Address().String() + " "
			for line := range strings.Lines(string(known)) {
				if rest, ok := strings.CutPrefix(line, b); ok {
					if err := os.WriteFile(file, []byte("# changed\n"+conn.Address()+" "+rest), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			_, err = connector.Connect(t.Context(), conn)
			wantWords(t, err, "changed", file+":2")
			if asked != 1 {
				t.Error("asked about a changed key")
			}
		})
	}
}

// checkHAProxyHost uses a service and its socket.
func (s *site) checkHAProxyHost(t *testing.T) {
	ctx := t.Context()
	h := s.connect(s.connector(), s.ssh("root", "b"))
	haproxy := h.Service("haproxy")
	for name, action := range map[string]func(context.Context) error{"reload": haproxy.Reload, "restart": haproxy.Restart,
		"enable": haproxy.Enable, "daemon-reload": haproxy.DaemonReload} {
		if err := action(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, connection := range []config.Connection{s.ssh("root", "b"), s.openSSH("root", "b")} {
		h := s.connect(s.connector(), connection)
		conn, err := h.DialContext(ctx, "unix", "/run/haproxy/admin.sock")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "show info\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "Name: HAProxy") {
			t.Errorf("the socket of %s says %q, %v", h.Name(), answer, err)
		}
		conn.Close()
	}
	if err := haproxy.Stop(ctx); err != nil {
		t.Error(err)
	}
	if running, err := haproxy.Running(ctx); err != nil || running {
		t.Errorf("stopped: running %v, %v", running, err)
	}
	if err := h.WriteFile(ctx, "/etc/haproxy/haproxy.cfg", []byte("nonsense\n"), 0); err != nil {
		t.Fatal(err)
	}
	wantWords(t, haproxy.Start(ctx), "starting service haproxy", "log ends with")
	if running, err := haproxy.Running(ctx); err != nil || running {
		t.Errorf("failed: running %v, %v", running, err)
	}
}

// A k0s executable goes to three hosts at once, in at most the time of scp, and this process stays small.
func TestUploadToThreeHostsAtOnce(t *testing.T) {
	const size = 280 << 20
	s := bareSite(t, "a=7.2", "b=7.3", "c=7.4")
	source := s.path("k0s")
	sum := makeFile(t, source, size)
	file, err := os.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	connector := s.connector()
	var hosts []*host.Host
	for name, user := range map[string]string{"a": "root", "b": "ops", "c": "root"} {
		hosts = append(hosts, s.connect(connector, s.ssh(user, name)))
	}

	resetPeak(t)
	var told atomic.Int64
	upload := func(wantSkipped bool) time.Duration {
		start := time.Now()
		err := host.Each(t.Context(), hosts, 0, func(ctx context.Context, h *host.Host) error {
			skipped, err := h.Upload(ctx, file, size, sum, "/usr/local/bin/k0s", 0o755, func(int64) { told.Add(1) })
			if err == nil && skipped != wantSkipped {
				err = fmt.Errorf("%s: skipped %v", h.Name(), skipped)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	first := upload(false)
	peak := peakMemory(t, "self")
	again := upload(true)
	scp := s.timeSCP(source)
	t.Logf("280 MiB to three hosts at once: %v with checks (%.0f MB/s in all), memory at most %d MB; again: %v; scp: %v",
		first.Round(time.Millisecond), 3*size/1e6/first.Seconds(), peak/1_000_000, again.Round(time.Millisecond), scp.Round(time.Millisecond))
	if peak > 150_000_000 {
		t.Errorf("memory reached %d MB, want less than 150", peak/1_000_000)
	}
	if told.Load() == 0 {
		t.Error("no progress was told")
	}
}

// timeSCP copies the file to all hosts of the site at once.
func (s *site) timeSCP(source string) time.Duration {
	s.t.Helper()
	start := time.Now()
	err := host.Each(s.t.Context(), []string{"a", "b", "c"}, 0, func(ctx context.Context, name string) error {
		out, err := exec.CommandContext(ctx, "scp", "-q", "-F", s.SSHConfig(), source, name+":/root/k0s").CombinedOutput()
		if err != nil {
			return fmt.Errorf("scp: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return time.Since(start)
}

// makeFile fills a file with bytes that do not compress, and returns their SHA-256.
func makeFile(t *testing.T, path string, size int64) (sum string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(file, digest), rand.NewChaCha8([32]byte{}), size); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// resetPeak lets the kernel measure this process's peak of memory anew.
func resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// peakMemory is the most that a process, by its number or "self", had in memory at a time.
func peakMemory(t *testing.T, process string) (bytes int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); err == nil {
			return bytes << 10
		}
	}
	t.Fatalf("no VmHWM in /proc/%s/status", process)
	return 0
}
