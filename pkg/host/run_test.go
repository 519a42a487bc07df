package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/k0sproject/rig/v2/protocol"
)

func TestOutput(t *testing.T) {
	h, _ := connected(t)
	for _, c := range []struct{ command, stdin, want string }{
		{"echo hello", "", "hello"},
		{"printf 'a\\n\\n'", "", "a\n"},
		{"printf '  spaces  '", "", "  spaces  "},
		{"cat", "in put\n", "in put"},
		{`echo "it's $((1 + 1)) \"quoted\" words" '$HOME' \\`, "", `it's 2 "quoted" words $HOME \`},
		{"echo $LC_ALL", "", "C"},
		{"true", "", ""},
		{"echo noise >&2; echo result", "", "result"},
		{"head -c 3", strings.Repeat("x", 10<<20), "xxx"}, // does not read all of its input
		{"set -- a b\necho $2\n# comment", "", "b"},
	} {
		var stdin io.Reader
		if c.stdin != "" {
			stdin = strings.NewReader(c.stdin)
		}
		out, err := h.Output(context.Background(), c.command, stdin)
		if err != nil || out != c.want {
			t.Errorf("%q: %q, %v; want %q", c.command, out, err, c.want)
		}
	}
}

func TestFailedCommandSaysWhatAndWhere(t *testing.T) {
	h, _ := connected(t)
	_, err := h.Output(context.Background(), "echo \"cannot open pod bay doors\" >&2; exit 7", nil)
	var failed *CommandError
	if !errors.As(err, &failed) || failed.ExitCode != 7 || failed.Stderr != "cannot open pod bay doors\n" {
		t.Fatalf("error is %#v", err)
	}
	wantError(t, err, h.Name(), "pod bay doors", "exit code 7")
	if strings.Contains(err.Error(), pidMark) {
		t.Errorf("error %q shows our own line", err)
	}

	_, err = h.Output(context.Background(), "kill -KILL $$", nil)
	if !errors.As(err, &failed) || failed.ExitCode != 137 {
		t.Errorf("error is %#v, want exit code 137", err)
	}
	_, err = h.Output(context.Background(), "no-such-command-here", nil)
	if !errors.As(err, &failed) || failed.ExitCode != 127 {
		t.Errorf("error is %#v, want exit code 127", err)
	}
}

func TestErrorKeepsTheEndOfLongStandardError(t *testing.T) {
	h, _ := connected(t)
	_, err := h.Output(context.Background(), "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1", nil)
	var failed *CommandError
	if !errors.As(err, &failed) || len(failed.Stderr) > maxStderr || !strings.HasSuffix(failed.Stderr, "line 19999\n") {
		t.Errorf("kept %d bytes", len(failed.Stderr))
	}
}

func TestStderrTail(t *testing.T) {
	for name, c := range map[string]struct {
		writes    []string
		pid, text string
	}{
		"at once":           {[]string{"kubectl-ha-pid 12\nerror\n"}, "12", "error\n"},
		"in pieces":         {[]string{"kubectl-", "ha-pid 1", "2", "\ner", "ror\n"}, "12", "error\n"},
		"after a greeting":  {[]string{"hello\nkubectl-ha-pid 12\nerror\n"}, "12", "hello\nerror\n"},
		"never":             {[]string{"sh: not found\n"}, "", "sh: not found\n"},
		"something strange": {[]string{"kubectl-ha-pid 1; reboot\n"}, "", ""},
	} {
		tail := newStderrTail()
		for _, w := range c.writes {
			_, _ = tail.Write([]byte(w))
		}
		if tail.processID() != c.pid || tail.text() != c.text {
			t.Errorf("%s: pid %q and %q, want %q and %q", name, tail.processID(), tail.text(), c.pid, c.text)
		}
	}
}

func TestStreamPassesLargeOutputOn(t *testing.T) {
	h, _ := connected(t)
	var count counter
	if err := h.Stream(context.Background(), "head -c 67108864 /dev/zero", nil, &count); err != nil || count != 64<<20 {
		t.Errorf("got %d bytes, %v", count, err)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func TestErrorsOfTheStreamsAreReported(t *testing.T) {
	h, _ := connected(t)
	broken := errors.New("broken")
	_, err := h.Output(context.Background(), "cat", iotest.ErrReader(broken))
	if !errors.Is(err, broken) {
		t.Errorf("reading the input: error is %v", err)
	}
	r, w := io.Pipe()
	r.CloseWithError(broken)
	err = h.Stream(context.Background(), "echo hello", nil, w)
	if !errors.Is(err, broken) {
		t.Errorf("writing the output: error is %v", err)
	}
}

func TestCancelEndsTheCommandAndItsChildren(t *testing.T) {
	for name, options := range map[string]serverOptions{"root": {}, "sudo": {uid: 1000}} {
		t.Run(name, func(t *testing.T) {
			h := newWorld(t, options).connect()
			dir := t.TempDir()
			pids := filepath.Join(dir, "pids")
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() {
				_, err := h.Output(ctx, fmt.Sprintf("trap '' HUP; sleep 1000 & echo $! >%[1]s; echo $$ >>%[1]s; wait; sleep 1000", pids), nil)
				done <- err
			}()
			var parent, child int
			eventually(t, "the command runs", func() bool {
				data, _ := os.ReadFile(pids)
				n, _ := fmt.Sscan(string(data), &child, &parent)
				return n == 2
			})
			cancelled := time.Now()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want context.Canceled", err)
			}
			if took := time.Since(cancelled); took > time.Second {
				t.Errorf("returned after %v", took)
			}
			eventually(t, "the processes end", func() bool { return !alive(parent) && !alive(child) })
			if out, err := h.Output(context.Background(), "echo still here", nil); err != nil || out != "still here" {
				t.Errorf("afterwards: %q, %v", out, err)
			}
		})
	}
}

// lateWire holds back what commands write to standard error until it is released.
type lateWire struct {
	wire
	released chan struct{}
}

func (w *lateWire) StartProcess(ctx context.Context, command string, in io.Reader, out, stderr io.Writer) (protocol.Waiter, error) {
	return w.wire.StartProcess(ctx, command, in, out, lateWriter{stderr, w.released})
}

type lateWriter struct {
	io.Writer
	released chan struct{}
}

func (w lateWriter) Write(p []byte) (int, error) {
	<-w.released
	return w.Writer.Write(p)
}

func TestCancelEndsACommandWhoseProcessIDComesLate(t *testing.T) {
	h, _ := connected(t)
	late := &lateWire{h.wire, make(chan struct{})}
	h.wire = late
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := h.Output(ctx, "trap '' HUP; echo $$ >"+pidFile+"; while :; do sleep 0.1; done", nil)
		done <- err
	}()
	var pid int
	eventually(t, "the command runs", func() bool {
		data, _ := os.ReadFile(pidFile)
		n, _ := fmt.Sscan(string(data), &pid)
		return n == 1
	})
	cancel()
	<-done
	close(late.released)
	if err := h.Close(); err != nil { // waits for it
		t.Error(err)
	}
	eventually(t, "the command is dead", func() bool { return !alive(pid) })
}

// slowWire tells of its first command that it has started only when it is told to.
type slowWire struct {
	wire
	commands atomic.Int32
	begun    chan struct{} // closed once the host has begun the first one
	tell     chan struct{}
	err      error // told instead
}

func (w *slowWire) StartProcess(ctx context.Context, command string, in io.Reader, out, stderr io.Writer) (protocol.Waiter, error) {
	process, err := w.wire.StartProcess(ctx, command, in, out, stderr)
	if w.commands.Add(1) > 1 {
		return process, err
	}
	close(w.begun)
	<-w.tell
	if w.err != nil {
		return nil, w.err
	}
	return process, err
}

func TestCommandThatIsCancelledWhileItStarts(t *testing.T) {
	for name, c := range map[string]struct {
		cancel   onCancel
		err      error
		commands int32
	}{
		"is ended once it has started":    {endOnCancel, nil, 2},
		"is left to run if it is to be":   {leaveOnCancel, nil, 1},
		"is forgotten if it cannot start": {endOnCancel, errors.New("no session"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := connected(t)
			slow := &slowWire{wire: h.wire, begun: make(chan struct{}), tell: make(chan struct{}), err: c.err}
			h.wire = slow
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- h.run(ctx, "trap '' HUP; while :; do sleep 0.1; done", nil, nil, c.cancel) }()
			<-slow.begun
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want context.Canceled", err)
			}
			closed := make(chan error, 1)
			go func() { closed <- h.Close() }()
			select {
			case <-closed:
				t.Error("the connection was closed while the command started")
			case <-time.After(50 * time.Millisecond):
			}
			close(slow.tell)
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if n := slow.commands.Load(); n != c.commands {
				t.Errorf("%d commands were started, want %d", n, c.commands)
			}
		})
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	return !bytes.Contains(stat, []byte(") Z "))
}

func TestCancelReturnsWhenNobodyReadsTheOutput(t *testing.T) {
	h, server := connected(t)
	ctx, cancel := context.WithCancel(context.Background())
	_, nobodyReads := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- h.Stream(ctx, "echo hello; sleep 1000", nil, nobodyReads) }()
	eventually(t, "the command runs", func() bool { return server.sessions.Load() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

func TestStubbornCommandIsKilled(t *testing.T) {
	h, _ := connected(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := h.Output(ctx, "trap '' TERM; echo $$ >"+pidFile+"; while :; do sleep 0.1; done", nil)
		done <- err
	}()
	var pid int
	eventually(t, "the command runs", func() bool {
		data, _ := os.ReadFile(pidFile)
		n, _ := fmt.Sscan(string(data), &pid)
		return n == 1
	})
	cancel()
	<-done
	if err := h.Close(); err != nil { // waits for it
		t.Error(err)
	}
	eventually(t, "the command is dead", func() bool { return !alive(pid) })
}

func TestFrozenConnectionIsNoticed(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.connector.KeepAlive = 50 * time.Millisecond
	h := w.connect()
	done := make(chan error, 1)
	go func() {
		_, err := h.Output(context.Background(), "sleep 1000", nil)
		done <- err
	}()
	eventually(t, "the command runs", func() bool { return w.server.sessions.Load() == 1 })
	w.server.freeze()
	err := <-done
	if !errors.Is(err, ErrDisconnected) {
		t.Errorf("error is %v, want ErrDisconnected", err)
	}
	wantError(t, err, h.Name(), "has not answered for 150ms")
	if _, err := h.Output(context.Background(), "true", nil); !errors.Is(err, ErrDisconnected) {
		t.Errorf("afterwards: error is %v, want ErrDisconnected", err)
	}
	if _, err := h.DialContext(context.Background(), "tcp", "127.0.0.1:1"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("dialing: error is %v, want ErrDisconnected", err)
	}
}

func TestIdleConnectionStaysUp(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.connector.KeepAlive = time.Second // three of them without an answer end it
	h := w.connect()
	if _, err := h.Output(context.Background(), "sleep 3.5", nil); err != nil {
		t.Error(err)
	}
}

func TestBrokenConnectionIsNoCommandError(t *testing.T) {
	h, server := connected(t)
	done := make(chan error, 1)
	go func() {
		_, err := h.Output(context.Background(), "sleep 1000", nil)
		done <- err
	}()
	eventually(t, "the command runs", func() bool { return server.sessions.Load() == 1 })
	server.disconnectAll()
	err := <-done
	var failed *CommandError
	if !errors.Is(err, ErrDisconnected) || errors.As(err, &failed) {
		t.Errorf("error is %v, want ErrDisconnected alone", err)
	}
}

func TestCancelOnAFrozenConnectionReturnsAtOnce(t *testing.T) {
	h, server := connected(t)
	server.freeze()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := h.Output(ctx, "true", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want DeadlineExceeded", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
	server.disconnectAll()
}

func TestManyCommandsShareTheSessionsThatSSHDAllows(t *testing.T) {
	w := newWorld(t, serverOptions{cap: 10})
	h := w.connect()
	var running sync.WaitGroup
	for i := range 40 {
		running.Go(func() {
			if out, err := h.Output(context.Background(), fmt.Sprintf("sleep 0.02; echo %d", i), nil); err != nil || out != fmt.Sprint(i) {
				t.Errorf("command %d: %q, %v", i, out, err)
			}
		})
	}
	running.Wait()
	if most := w.server.maxSessions.Load(); most > 10 || most < 2 {
		t.Errorf("%d sessions at a time, want a few and at most 10", most)
	}
}

func TestDialContextReachesTCPAndSocketsOfTheHost(t *testing.T) {
	h, _ := connected(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	socket := filepath.Join(t.TempDir(), "sock")
	for _, c := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"unix", socket}} {
		listener, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(listener) }()
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return h.DialContext(ctx, c.network, listener.Addr().String())
		}}}
		response, err := client.Get("http://host/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != "hello" {
			t.Errorf("%s: %q, %v", c.network, body, err)
		}
		client.CloseIdleConnections()
		server.Close()
	}
	_, err := h.DialContext(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", closedPort(t)))
	wantError(t, err, "dialing 127.0.0.1:", "from "+h.Name(), "refused")
}

func TestDeadlinesWorkOnDialedConnections(t *testing.T) {
	h, _ := connected(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := h.DialContext(context.Background(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error is %v, want a timeout", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	// What is written before Close arrives.
	message := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		_, _ = conn.Write(message)
		conn.Close()
	}()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, message) {
		t.Errorf("got %d of %d bytes, %v", len(got), len(message), err)
	}
}

func TestEachRunsAllWithinTheLimitAndJoinsErrors(t *testing.T) {
	var running, most atomic.Int32
	items := []int{1, 2, 3, 4, 5, 6, 7, 8}
	err := Each(context.Background(), items, 3, func(_ context.Context, i int) error {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		time.Sleep(time.Millisecond)
		if i%3 == 0 {
			return fmt.Errorf("host %d", i)
		}
		return nil
	})
	if err == nil || err.Error() != "host 3\nhost 6" {
		t.Errorf("error is %v", err)
	}
	if most.Load() > 3 {
		t.Errorf("%d at a time, want at most 3", most.Load())
	}
	if err := Each(context.Background(), nil, 0, func(context.Context, int) error { return io.EOF }); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}

func TestEachStopsBeginningWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var began atomic.Int32
	err := Each(ctx, []int{1, 2, 3, 4}, 1, func(context.Context, int) error {
		began.Add(1)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || began.Load() != 1 {
		t.Errorf("began %d, error %v", began.Load(), err)
	}
}
