//go:build haproxy

package haproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// realHAProxy is an HAProxy with its master and worker, on this machine, in front of controllers on 127.0.1.N.
type realHAProxy struct {
	t           *testing.T
	spec        Spec
	files       *certificates
	controllers map[string]*fakeController
	*Balancer

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	log    timedLog
}

// stoodStill finds a controller of the test that did not shake hands within the second that a health check waits.
var stoodStill = regexp.MustCompile(`Server kubeAPI_open/\S+ is DOWN, reason: Layer\d timeout`)

// timedLog keeps what is written to it with the times, for a test that fails.
type timedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *timedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, "%s %s", time.Now().Format("05.000"), p)
	return len(p), nil
}

func (l *timedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func realHost(n int) Server {
	return Server{Name: fmt.Sprintf("cp%d", n), Address: addr(fmt.Sprintf("127.0.1.%d", n)), Active: true}
}

func realHosts(numbers ...int) []Server {
	var servers []Server
	for _, n := range numbers {
		servers = append(servers, realHost(n))
	}
	return servers
}

// newReal prepares an HAProxy that does not run yet, and three controllers.
func newReal(t *testing.T) *realHAProxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "kubectl-ha") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &realHAProxy{t: t, files: newCertificates(t), controllers: map[string]*fakeController{}}
	h.spec = h.files.withFiles(planSpec())
	h.spec.Ports, h.spec.Bind, h.spec.StatsListen = freePorts(t), addr("127.0.0.1"), ""
	h.spec.ConfigPath, h.spec.SocketPath = filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "s")
	for n := 1; n <= 3; n++ {
		address := realHost(n).Address.String()
		h.controllers[address] = startFakeController(t, h.files, address, h.spec.Ports)
	}
	h.use(h.spec)
	t.Cleanup(func() {
		h.stop()
		if t.Failed() {
			t.Logf("haproxy: %s", &h.log)
		}
	})
	return h
}

// use works with another spec from now on.
func (h *realHAProxy) use(spec Spec) {
	h.spec = spec
	h.Balancer = NewBalancer(&localMachine{}, h, spec, Options{
		LockPath: spec.ConfigPath + ".lock", Executable: haproxyPath(), Interval: 20 * time.Millisecond,
	})
}

// Running, Start, Reload and Enable make it a Service, in the manner of the systemd units.
func (h *realHAProxy) Running(context.Context) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.exited == nil {
		return false, nil
	}
	select {
	case <-h.exited:
		return false, nil
	default:
		return true, nil
	}
}

func (h *realHAProxy) Start(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cmd, h.exited = exec.Command(haproxyPath(), "-W", "-db", "-f", h.spec.ConfigPath), make(chan struct{})
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	// A group of its own keeps the signals it sends to its former workers from the test.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := h.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(h.cmd, h.exited)
	return nil
}

func (h *realHAProxy) Reload(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, haproxyPath(), "-c", "-W", "-f", h.spec.ConfigPath).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return h.cmd.Process.Signal(syscall.SIGUSR2)
}

func (h *realHAProxy) Enable(context.Context) error { return nil }

// stop ends master and workers.
func (h *realHAProxy) stop() {
	if h.exited == nil {
		return
	}
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	<-h.exited
}

func (h *realHAProxy) apply(servers []Server) {
	h.t.Helper()
	if err := h.Apply(h.t.Context(), makePlan(h.t, h.Balancer, servers)); err != nil {
		h.t.Fatal(err)
	}
	h.check(servers)
}

// check fails the test when HAProxy is not as desired or not every server is up.
func (h *realHAProxy) check(servers []Server) {
	h.t.Helper()
	if rest := makePlan(h.t, h.Balancer, servers); !rest.Empty() {
		h.t.Errorf("left to do: %s", strings.Join(rest.Lines(), "\n"))
	}
	if err := h.WaitUp(h.t.Context(), servers, 20*time.Second); err != nil {
		h.t.Error(err)
	}
	up, err := h.ServersUp(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, backend := range h.spec.Backends() {
		var got, want []string
		for _, s := range up[backend.Name] {
			got = append(got, fmt.Sprintf("%s:%d", s.Address, s.Port))
		}
		for _, s := range servers {
			want = append(want, fmt.Sprintf("%s:%d", s.Address, backend.Port))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			h.t.Errorf("%s has up %s, not %s", backend.Name, got, want)
		}
	}
	for _, own := range []string{unconfirmedPath(h.spec.ConfigPath), candidatePath(h.spec.ConfigPath)} {
		if _, err := os.Stat(own); !errors.Is(err, os.ErrNotExist) {
			h.t.Errorf("left behind: %s", own)
		}
	}
}

// load makes connections, each for one request, until the returned function is called, which fails the test when any
// of them failed.
func (h *realHAProxy) load() (end func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	var total, failed atomic.Int64
	for range 2 {
		running.Go(func() {
			transport := &http.Transport{
				TLSClientConfig:   &tls.Config{RootCAs: h.files.pool, ServerName: "kubernetes"},
				DisableKeepAlives: true,
			}
			client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-done:
					return
				case <-ticker.C:
				}
				total.Add(1)
				response, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/version", h.spec.Ports.KubeAPI))
				if err != nil {
					failed.Add(1)
					fmt.Fprintf(&h.log, "connection failed: %v\n", err)
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	return sync.OnceFunc(func() {
		close(done)
		running.Wait()
		h.t.Logf("%d connections, %d failed", total.Load(), failed.Load())
		if stoodStill.MatchString(h.log.String()) {
			h.t.Log("the machine stood still for longer than a health check waits: what failed tells nothing")
			return
		}
		if failed.Load() > 0 || total.Load() == 0 {
			h.t.Errorf("%d of %d connections failed", failed.Load(), total.Load())
		}
	})
}

// pid is that of the worker.
func (h *realHAProxy) pid() int {
	h.t.Helper()
	runtime, err := h.runtime(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return runtime.PID
}

func TestHAProxyMembersChangeUnderLoadWithoutReload(t *testing.T) {
	h := newReal(t)
	h.apply(realHosts(1)) // starts it
	pid := h.pid()
	end := h.load()
	defer end()
	for _, servers := range [][]Server{
		realHosts(1, 2), realHosts(1, 2, 3), realHosts(2, 3), realHosts(1), realHosts(3), realHosts(1, 2, 3),
	} {
		h.apply(servers)
	}
	if h.pid() != pid {
		t.Error("HAProxy was reloaded")
	}
}

func TestHAProxyGivesNoConnectionsBeforeTheCheckHasPassed(t *testing.T) {
	h := newReal(t)
	h.apply(realHosts(1))
	end := h.load()
	defer end()
	second := h.controllers[realHost(2).Address.String()]
	second.ready.Store(false)
	h.options.CheckTimeout = 3 * time.Second
	err := h.Apply(t.Context(), makePlan(t, h.Balancer, realHosts(1, 2)))
	if unchecked, ok := errors.AsType[*NotCheckedError](err); !ok || !strings.Contains(err.Error(), "L7STS") {
		t.Errorf("%v %v", err, unchecked)
	}
	if n := second.queries.Load(); n != 0 {
		t.Errorf("a server that is not ready got %d connections", n)
	}
	second.ready.Store(true)
	h.options.CheckTimeout = 30 * time.Second
	h.apply(realHosts(1, 2))
}

func TestHAProxyIsCompletedWhereverItWasCutOff(t *testing.T) {
	h := newReal(t)
	spec := h.spec
	h.apply(realHosts(1, 2))
	end := h.load()
	defer end()
	from, to := realHosts(1, 2), realHosts(2, 3)
	for _, settings := range []bool{false, true} {
		for at, actions := 0, 1; at < actions; at++ {
			if settings {
				spec.Balance = map[string]string{"leastconn": "roundrobin", "roundrobin": "leastconn"}[spec.Balance]
				h.use(spec)
			}
			plan := makePlan(t, h.Balancer, to)
			actions = len(plan.Actions)
			ctx, kill := context.WithCancel(t.Context())
			seen := 0
			h.options.Observe = func(Action) {
				if seen++; seen > at {
					kill()
				}
			}
			if err := h.Apply(ctx, plan); err == nil {
				t.Errorf("not cut off at action %d", at)
			}
			kill()
			h.options.Observe = func(Action) {}
			h.apply(to)
			from, to = to, from
		}
	}
}

func TestHAProxyRestartedAmidAChangeIsNoticed(t *testing.T) {
	h := newReal(t)
	h.apply(realHosts(1, 2))
	for _, kind := range []ActionKind{ActCheck, ActWait, ActReady, ActWrite, ActDrain, ActFree} {
		restarted := false
		h.options.Observe = func(a Action) {
			if a.Kind == kind && !restarted {
				restarted = true
				h.stop()
				if err := h.Start(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		h.apply(realHosts(2, 3))
		h.options.Observe = func(Action) {}
		if !restarted {
			t.Errorf("no action %s", kind)
		}
		h.apply(realHosts(1, 2))
	}
}

func TestHAProxySlotsGrowUnderLoad(t *testing.T) {
	h := newReal(t)
	h.spec.Spares = 0
	h.use(h.spec)
	h.apply(realHosts(1))
	pid := h.pid()
	end := h.load()
	defer end()
	h.apply(realHosts(2, 3))
	if h.pid() == pid {
		t.Error("HAProxy was not reloaded")
	}
}

func TestHAProxyThatDoesNotTakeAFileKeepsTheOldOne(t *testing.T) {
	h := newReal(t)
	h.apply(realHosts(1, 2))
	before, err := os.ReadFile(h.spec.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	spec := h.spec
	end := h.load()
	defer end()

	spec.ClientFile = "/does/not/exist.pem"
	h.use(spec)
	err = h.Apply(t.Context(), makePlan(t, h.Balancer, realHosts(1, 2)))
	if _, ok := errors.AsType[*ValidationError](err); !ok || !strings.Contains(err.Error(), "/does/not/exist.pem") {
		t.Errorf("%v", err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	spec.ClientFile, spec.StatsListen = h.files.clientFile, taken.Addr().String()
	h.use(spec)
	err = h.Apply(t.Context(), makePlan(t, h.Balancer, realHosts(1, 2)))
	if _, ok := errors.AsType[*PortTakenError](err); !ok {
		t.Errorf("%v", err)
	}
	end()

	// This shows only when it is loaded, and HAProxy's old worker lets go of its ports while the new one tries.
	spec.StatsListen = ""
	if err := os.WriteFile(spec.ConfigPath, slices.Concat(before, []byte("\nfrontend mine\n    bind unix@/does/not/exist\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	edited, err := os.ReadFile(spec.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	spec.Balance = "roundrobin"
	h.use(spec)
	h.options.ReloadTimeout = 4 * time.Second
	err = h.Apply(t.Context(), makePlan(t, h.Balancer, realHosts(1, 2)))
	if failed, ok := errors.AsType[*ReloadError](err); !ok || failed.Cause == nil {
		t.Errorf("%v", err)
	}
	after, err := os.ReadFile(spec.ConfigPath)
	if err != nil || string(after) != string(edited) {
		t.Errorf("the old file is not in place: %v", err)
	}
	if err := os.WriteFile(spec.ConfigPath, before, 0o600); err != nil {
		t.Fatal(err)
	}
	h.apply(realHosts(1, 2))
}

func TestHAProxySetUpByHandIsTakenOverUnderLoad(t *testing.T) {
	h := newReal(t)
	guide := strings.NewReplacer(
		"bind :6443", fmt.Sprintf("bind 127.0.0.1:%d", h.spec.Ports.KubeAPI), ":6443", fmt.Sprintf(":%d", h.spec.Ports.KubeAPI),
		"bind :8132", fmt.Sprintf("bind 127.0.0.1:%d", h.spec.Ports.Konnectivity), ":8132", fmt.Sprintf(":%d", h.spec.Ports.Konnectivity),
		"bind :9443", fmt.Sprintf("bind 127.0.0.1:%d", h.spec.Ports.ControllerJoin), ":9443", fmt.Sprintf(":%d", h.spec.Ports.ControllerJoin),
		"*:9000", fmt.Sprintf("127.0.0.1:%d", freePorts(t).KubeAPI),
		"10.10.0.2", "127.0.1.1", "10.10.1.2", "127.0.1.2", "10.10.2.2", "127.0.1.3",
	).Replace(string(fixture(t, "user/guide.cfg")))
	var lines []string
	for line := range strings.Lines(guide) { // what only RHEL has, and what needs root
		switch fields := strings.Fields(line); {
		case len(fields) > 0 && slices.Contains([]string{"chroot", "user", "group", "pidfile", "daemon", "log"}, fields[0]):
		case strings.Contains(line, "PROFILE=SYSTEM"), strings.Contains(line, "stats socket"):
		default:
			lines = append(lines, line)
		}
	}
	guide = strings.Join(lines, "")
	if err := os.WriteFile(h.spec.ConfigPath, []byte(guide), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for { // until it listens
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.spec.Ports.KubeAPI))
		if err == nil {
			_ = conn.Close()
			break
		}
		if running, _ := h.Running(t.Context()); !running {
			t.Fatal("HAProxy does not run")
		}
		time.Sleep(10 * time.Millisecond)
	}
	end := h.load()
	defer end()
	adoption, err := Adopt([]byte(guide), h.spec.Ports)
	if err != nil {
		t.Fatal(err)
	}
	cur, err := h.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := MakePlan(cur, Desired{Servers: adoption.Servers, Adoption: adoption})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	h.check(adoption.Servers)
	copies, err := filepath.Glob(h.spec.ConfigPath + ".kubectl-ha-backup-*")
	if err != nil || len(copies) != 1 {
		t.Errorf("copies: %v %v", copies, err)
	}
}

func TestHAProxyDrainsAServer(t *testing.T) {
	h := newReal(t)
	h.apply(realHosts(1))
	// A watch, say: a connection that stays.
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.spec.Ports.KubeAPI),
		&tls.Config{RootCAs: h.files.pool, ServerName: "kubernetes"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func() error {
		if _, err := io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: kubernetes\r\n\r\n"); err != nil {
			return err
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	const quiet = 5 * time.Second
	if settled, err := h.Settled(t.Context(), realHost(1), quiet); err != nil || settled {
		t.Errorf("settled at once: %v, %v", settled, err)
	}
	h.apply(realHosts(1, 2))
	end := h.load()
	defer end()
	one := h.controllers[realHost(1).Address.String()]

	if err := h.SetServerState(t.Context(), realHost(1), Drain); err != nil {
		t.Fatal(err)
	}
	if left, err := h.WaitDrained(t.Context(), realHost(1), 500*time.Millisecond); err != nil || left != 1 {
		t.Errorf("%d connections left, %v", left, err)
	}
	if err := ask(); err != nil {
		t.Errorf("an open connection goes on: %v", err)
	}
	since := time.Now()
	for settled := false; !settled; time.Sleep(50 * time.Millisecond) {
		if settled, err = h.Settled(t.Context(), realHost(1), quiet); err != nil || time.Since(since) > 2*quiet {
			t.Fatalf("not settled after %s: %v", time.Since(since), err)
		}
	}
	if settled, err := h.Settled(t.Context(), realHost(2), quiet); err != nil || settled {
		t.Errorf("one that gets connections has settled: %v, %v", settled, err)
	}
	before := one.queries.Load()
	if _, err := h.WaitDrained(t.Context(), realHost(1), 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n := one.queries.Load() - before; n != 0 {
		t.Errorf("%d new connections to a server that drains", n)
	}
	if err := h.SetServerState(t.Context(), realHost(2), Drain); err == nil {
		t.Error("the last server was drained")
	}
	if err := h.SetServerState(t.Context(), realHost(1), Maint); err != nil {
		t.Fatal(err)
	}
	if err := h.ShutdownSessions(t.Context(), realHost(1)); err != nil {
		t.Fatal(err)
	}
	if left, err := h.WaitDrained(t.Context(), realHost(1), 10*time.Second); err != nil || left != 0 {
		t.Errorf("%d connections left, %v", left, err)
	}
	if err := ask(); err == nil {
		t.Error("the connection is still open")
	}
	if err := h.SetServerState(t.Context(), realHost(1), Ready); err != nil {
		t.Fatal(err)
	}
	h.check(realHosts(1, 2))
}
