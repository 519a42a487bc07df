//go:build haproxy

package lbhelper

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// real is an HAProxy on this machine, in front of controllers on 127.0.1.N, and a session with its helper.
type real struct {
	t      *testing.T
	policy *Policy
	*wire.Client

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	logged []string
}

// newReal starts an HAProxy whose file has the managed block for these controllers.
func newReal(t *testing.T, numbers ...int) *real {
	t.Helper()
	h := prepareReal(t)
	certificate := selfSigned(t)
	for n := 1; n <= 5; n++ {
		for _, port := range []int{h.policy.Ports.KubeAPI, h.policy.Ports.Konnectivity, h.policy.Ports.ControllerJoin} {
			serveTLS(t, netip.AddrPortFrom(controller(n).Address, uint16(port)), certificate)
		}
	}
	h.launch(numbers...)
	return h
}

// prepareReal makes a folder and a policy for an HAProxy.
func prepareReal(t *testing.T) *real {
	t.Helper()
	dir, err := os.MkdirTemp("", "kubectl-ha") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &real{t: t, policy: testPolicy(t)}
	h.policy.ConfigPath, h.policy.SocketPath = filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "s")
	h.policy.Bind, h.policy.Check = netip.MustParseAddr("127.0.0.1"), haproxy.CheckTLS
	h.policy.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.1.0/24")}
	h.policy.Ports = freePorts(t)
	return h
}

// launch writes the file, starts HAProxy and opens a session.
func (h *real) launch(numbers ...int) {
	h.t.Helper()
	var servers []haproxy.Server
	for _, n := range numbers {
		servers = append(servers, haproxy.Server(controller(n)))
	}
	spec, err := h.policy.Spec().FitTo(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	block := haproxy.Render(spec, haproxy.NewSlots(servers, h.policy.Spares))
	if err := os.WriteFile(h.policy.ConfigPath, block, 0o640); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(h.stop)
	h.connect()
}

func controller(n int) wire.Server {
	return wire.Server{Name: fmt.Sprintf("cp%d", n), Address: netip.AddrFrom4([4]byte{127, 0, 1, byte(n)}), Active: true}
}

func controllers(numbers ...int) []wire.Server {
	servers := make([]wire.Server, len(numbers))
	for i, n := range numbers {
		servers[i] = controller(n)
	}
	return servers
}

// connect opens a session with a helper.
func (h *real) connect() {
	h.t.Helper()
	near, far := net.Pipe()
	config := Config{
		Version: "test", Caller: "the test", Log: h.log,
		OperationLock: h.policy.ConfigPath + ".operation", HAProxy: haproxy.Options{LockPath: h.policy.ConfigPath + ".lock"},
	}
	config = config.withDefaults()
	local := &machine{holder: "the test", lockWait: config.LockWait}
	server := newServer(h.policy, config, local, h)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(h.t.Context(), far, far) }()
	h.Client = wire.NewClient(near)
	h.t.Cleanup(func() {
		_ = near.Close()
		<-ended
	})
	if _, err := h.Hello(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *real) log(line string) {
	h.t.Log(line)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logged = append(h.logged, line)
}

// Running, Start, Reload and Enable make it the service, in the manner of the systemd units.
func (h *real) Running(context.Context) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.exited:
		return false, nil
	default:
		return true, nil
	}
}

func (h *real) Start(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cmd, h.exited = exec.Command("/usr/sbin/haproxy", "-W", "-db", "-f", h.policy.ConfigPath), make(chan struct{})
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

func (h *real) Reload(context.Context) error { return h.cmd.Process.Signal(syscall.SIGUSR2) }

func (h *real) Enable(context.Context) error { return nil }

func (h *real) stop() {
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	<-h.exited
}

// await asks for the state until it is as wanted.
func (h *real) await(what string, wanted func(*wire.Report) bool) *wire.Report {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		report, err := h.State(h.t.Context())
		if err == nil && wanted(report) {
			return report
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("waiting until %s: %+v, %v", what, report, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// up lists the names of the slots that are checked and get connections in every backend.
func up(report *wire.Report) string {
	counts, backends := map[string]int{}, map[string]bool{}
	for _, s := range report.Servers {
		backends[s.Backend] = true
		if s.Up && s.Status == "UP" && s.Check != "" {
			counts[s.Address.String()]++
		}
	}
	var names []string
	for address, count := range counts {
		if count == len(backends) {
			names = append(names, address)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (h *real) awaitUp(numbers ...int) *wire.Report {
	h.t.Helper()
	var want []string
	for _, n := range numbers {
		want = append(want, controller(n).Address.String())
	}
	return h.await(fmt.Sprint(want, " are up"), func(r *wire.Report) bool { return up(r) == strings.Join(want, " ") })
}

func (h *real) apply(numbers ...int) *wire.Applied {
	h.t.Helper()
	applied, err := h.Apply(h.t.Context(), controllers(numbers...))
	if err != nil {
		h.t.Fatal(err)
	}
	h.awaitUp(numbers...)
	return applied
}

func (h *real) refused(servers []wire.Server, text string) {
	h.t.Helper()
	before, err := os.ReadFile(h.policy.ConfigPath)
	if err != nil {
		h.t.Fatal(err)
	}
	state, err := h.State(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = h.Apply(h.t.Context(), servers)
	if wire.KindOf(err) != wire.Refused || !strings.Contains(err.Error(), text) {
		h.t.Errorf("%v; want a refusal with %q", err, text)
	}
	after, err := os.ReadFile(h.policy.ConfigPath)
	if err != nil || string(after) != string(before) {
		h.t.Errorf("the file was changed: %v", err)
	}
	if again, err := h.State(h.t.Context()); err != nil || admin(again) != admin(state) {
		h.t.Errorf("HAProxy was changed from %s to %s, %v", admin(state), admin(again), err)
	}
}

func admin(report *wire.Report) string {
	var lines []string
	for _, s := range report.Servers {
		lines = append(lines, fmt.Sprint(s.Backend, s.Slot, s.Address, s.Port, s.Admin))
	}
	return strings.Join(lines, ", ")
}

func TestHAProxyFollowsWhatTheCallerAsksFor(t *testing.T) {
	h := newReal(t, 1)
	pid := h.awaitUp(1).Process.PID
	for _, numbers := range [][]int{{1, 2}, {1, 2, 3}, {2, 3}, {3}, {1, 3}} {
		if applied := h.apply(numbers...); len(applied.Actions) == 0 || applied.Reloaded {
			t.Errorf("%+v", applied)
		}
	}
	if applied := h.apply(1, 3); len(applied.Actions) != 0 {
		t.Errorf("what is as desired was changed: %v", applied.Actions)
	}
	report := h.awaitUp(1, 3)
	if report.Process.PID != pid {
		t.Error("HAProxy was reloaded")
	}
	info, err := os.Stat(h.policy.ConfigPath)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("the file's mode became %v, %v", info.Mode(), err)
	}
	aside := controllers(1, 3)
	aside[0].Active = false
	if _, err := h.Apply(t.Context(), aside); err != nil {
		t.Fatal(err)
	}
	report = h.awaitUp(3)
	if !slices.ContainsFunc(report.Slots, func(s wire.Slot) bool { return s.Address == aside[0].Address && !s.Enabled }) {
		t.Errorf("the server that was put aside lost its place: %+v", report.Slots)
	}
	// Five do not fit into the slots: the block grows, and HAProxy is reloaded.
	if applied := h.apply(1, 2, 3, 4, 5); !applied.Reloaded {
		t.Errorf("%+v", applied)
	}
}

func TestHAProxyIsRefusedWhatWouldHarmIt(t *testing.T) {
	h := newReal(t, 1, 2, 3)
	h.awaitUp(1, 2, 3)
	h.refused(nil, "no active server")
	h.refused(controllers(1), "away at once")
	h.refused(controllers(4), "away at once")
	outside := append(controllers(1, 2, 3), wire.Server{Name: "evil", Address: netip.MustParseAddr("192.0.2.1"), Active: true})
	h.refused(outside, "in none of the networks")
	many := controllers(1, 2, 3)
	for n := 4; n <= DefaultMaxServers+1; n++ {
		many = append(many, controller(n))
	}
	h.refused(many, "more than this host's policy allows")

	// A file that somebody has broken is found before anything is changed and when nothing is to be changed, also after it was
	// good in this session.
	present := []int{1, 2, 3}
	for _, next := range [][]int{{1, 2}, {1}} {
		valid, err := os.ReadFile(h.policy.ConfigPath)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.policy.ConfigPath, append([]byte("nonsense\n"), valid...), 0o640); err != nil {
			t.Fatal(err)
		}
		for _, want := range [][]int{next, present, {1, 2, 3, 4}} {
			h.refused(controllers(want...), "nothing was changed: HAProxy would not start with its file as it is")
		}
		h.refused(controllers(present...), "unknown keyword")
		if err := os.WriteFile(h.policy.ConfigPath, valid, 0o640); err != nil {
			t.Fatal(err)
		}
		h.apply(next...)
		present = next
	}
}

func TestHAProxyThatWasRestartedOrEditedIsPutRight(t *testing.T) {
	h := newReal(t, 1, 2)
	first := h.awaitUp(1, 2).Process.PID
	file, err := os.ReadFile(h.policy.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.ReplaceAll(string(file), "127.0.1.2:", "127.0.1.9:")
	if err := os.WriteFile(h.policy.ConfigPath, []byte(edited), 0o640); err != nil {
		t.Fatal(err)
	}
	h.stop()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report := h.awaitUp(1); report.Process.PID == first {
		t.Error("the restart does not show")
	}
	h.apply(1, 2)

	// Every server is wrong: nobody is up who could be missed.
	all := strings.NewReplacer("127.0.1.1:", "127.0.1.8:", "127.0.1.2:", "127.0.1.9:").Replace(string(file))
	if err := os.WriteFile(h.policy.ConfigPath, []byte(all), 0o640); err != nil {
		t.Fatal(err)
	}
	h.stop()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.await("nobody is up", func(r *wire.Report) bool {
		return r.Process != nil && !slices.ContainsFunc(r.Servers, func(s wire.ServerState) bool { return s.Up })
	})
	h.apply(1, 2)

	// The file is empty, as on a host that was set up anew, and HAProxy goes on with what it has.
	if err := os.WriteFile(h.policy.ConfigPath, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if applied := h.apply(1, 2); !applied.Reloaded {
		t.Errorf("%+v", applied)
	}

	h.stop()
	if _, err := h.Apply(t.Context(), controllers(1)); wire.KindOf(err) != wire.Stopped {
		t.Errorf("%v", err)
	}

	// Nobody else can start it with an empty file.
	if err := os.WriteFile(h.policy.ConfigPath, []byte("\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if applied := h.apply(1, 2); !applied.Reloaded {
		t.Errorf("%+v", applied)
	}
	h.awaitUp(1, 2)
}

func TestHAProxyThatSomebodyElseChangesIsWaitedFor(t *testing.T) {
	h := newReal(t, 1, 2)
	h.awaitUp(1, 2)
	other := &machine{holder: "anna@laptop"}
	unlock, err := other.Lock(t.Context(), h.policy.ConfigPath+".lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Apply(t.Context(), controllers(1, 2, 3)); wire.KindOf(err) != wire.Busy || !strings.Contains(err.Error(), "anna@laptop") {
		t.Errorf("%v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	h.apply(1, 2, 3)
}

func TestHAProxyGetsNoServerThatFailsItsCheck(t *testing.T) {
	h := newReal(t, 1)
	h.awaitUp(1)
	dead := wire.Server{Name: "dead", Address: netip.MustParseAddr("127.0.1.77"), Active: true}
	if _, err := h.Apply(t.Context(), append(controllers(1, 2), dead)); wire.KindOf(err) != wire.Unchecked {
		t.Errorf("%v", err)
	}
	report := h.awaitUp(1, 2)
	if slices.ContainsFunc(report.Servers, func(s wire.ServerState) bool { return s.Address == dead.Address && s.Up }) {
		t.Error("a server that fails its check gets connections")
	}
}

// TestProcessAnswersOverItsStandardStreams runs the program as sshd does.
func TestProcessAnswersOverItsStandardStreams(t *testing.T) {
	program := os.Getenv("HA_LB_HELPER")
	if program == "" {
		t.Skip("HA_LB_HELPER names no program")
	}
	h := newReal(t, 1)
	h.awaitUp(1)
	text, err := json.Marshal(h.policy)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(h.policy.ConfigPath), "policy.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-policy", path)
	cmd.Env = []string{"SSH_CONNECTION=192.0.2.7 1 192.0.2.8 22", "SSH_ORIGINAL_COMMAND=cat /etc/shadow"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := wire.NewClient(stream{out, in})
	if welcome, err := client.Hello(t.Context()); err != nil || welcome.LoadBalancer != h.policy.Name {
		t.Fatalf("%+v, %v", welcome, err)
	}
	start := time.Now()
	if report, err := client.State(t.Context()); err != nil || up(report) != "127.0.1.1" {
		t.Errorf("%+v, %v", report, err)
	}
	t.Logf("a look takes %v", time.Since(start))
	start = time.Now()
	if _, err := client.Apply(t.Context(), controllers(1, 2)); err != nil {
		t.Error(err)
	}
	t.Logf("letting one in takes %v", time.Since(start))
	start = time.Now()
	if _, err := client.Apply(t.Context(), controllers(1)); err != nil {
		t.Error(err)
	}
	t.Logf("taking one out takes %v", time.Since(start))
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

type stream struct {
	readCloser
	in interface {
		Write([]byte) (int, error)
		Close() error
	}
}

type readCloser interface {
	Read([]byte) (int, error)
	Close() error
}

func (s stream) Write(p []byte) (int, error) { return s.in.Write(p) }

func (s stream) Close() error {
	s.in.Close()
	return s.readCloser.Close()
}

func freePorts(t *testing.T) Ports {
	t.Helper()
	var ports [3]int
	for i := range ports {
		listener, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return Ports{KubeAPI: ports[0], Konnectivity: ports[1], ControllerJoin: ports[2]}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}
}

// serveTLS shakes hands with whoever comes.
func serveTLS(t *testing.T, address netip.AddrPort, certificate tls.Certificate) {
	t.Helper()
	listener, err := tls.Listen("tcp", address.String(), &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			}()
		}
	}()
}
