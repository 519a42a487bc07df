package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/k0sproject/rig/v2/protocol"
	"golang.org/x/crypto/ssh"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// CommandError says that a command ran on a host and failed there.
type CommandError struct {
	Host     string
	Command  string // empty when it is a script of this package, whose failure is said in other words
	ExitCode int    // 128 and more when it was ended by a signal
	Stderr   string // the last few kilobytes
}

// Error names the host, the command's first line and what it said.
func (e *CommandError) Error() string {
	if e.Command == "" {
		return e.said()
	}
	line, rest, _ := strings.Cut(strings.TrimSpace(e.Command), "\n")
	if len(line) > 100 || rest != "" {
		line = truncate(line, 100) + "…"
	}
	return fmt.Sprintf("running `%s` on %s: %s", line, e.Host, e.said())
}

// said is the standard error, and the exit code where that adds something.
func (e *CommandError) said() string {
	stderr := strings.TrimSpace(e.Stderr)
	if stderr == "" {
		return fmt.Sprintf("exit code %d", e.ExitCode)
	}
	return fmt.Sprintf("%s (exit code %d)", stderr, e.ExitCode)
}

// ofScript takes the text of our own script off an error.
func ofScript(err error) error {
	var failed *CommandError
	if errors.As(err, &failed) {
		return &CommandError{Host: failed.Host, ExitCode: failed.ExitCode, Stderr: failed.Stderr}
	}
	return err
}

func truncate(s string, length int) string {
	if len(s) <= length {
		return s
	}
	return strings.ToValidUTF8(s[:length], "")
}

// Output runs a shell command as root and returns its standard output without the final newline. An exit code other
// than 0 is a *CommandError. When ctx ends, the command is ended on the host too.
//
// The command runs in `sh -c` with LC_ALL=C and with the usual directories on PATH. It shows in the host's process
// list and in sudo's log: secrets go by stdin.
func (h *Host) Output(ctx context.Context, command string, stdin io.Reader) (string, error) {
	var stdout bytes.Buffer
	if err := h.Stream(ctx, command, stdin, &stdout); err != nil {
		return "", err
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// Stream is Output for large or long outputs: stdout gets them as they come. A nil stdout discards them.
func (h *Host) Stream(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error {
	return h.run(ctx, command, stdin, stdout, endOnCancel)
}

// onCancel says what happens on the host to a command whose context ends.
type onCancel bool

const (
	endOnCancel   onCancel = true
	leaveOnCancel onCancel = false // it runs on, since half of its work is worse than all
)

// pidMark precedes the process id in the first line that each command writes to standard error.
const pidMark = "kubectl-ha-pid "

// prologue starts every command. PATH is completed because sudo's secure_path lacks /usr/local/bin on some systems.
const prologue = `echo "` + pidMark + `$$" >&2; export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"` + "\n"

// process is a command on its way on a host: it starts and then ends, or cannot start and has ended.
type process struct {
	started chan struct{}   // closed once waiter is known
	waiter  protocol.Waiter // nil when it could not start
	ended   chan struct{}   // closed once err is known
	err     error           // how it ended, or why it could not start
}

func newProcess() *process {
	return &process{started: make(chan struct{}), ended: make(chan struct{})}
}

// run starts the command and waits for its end.
func (p *process) run(start func() (protocol.Waiter, error)) {
	defer close(p.ended)
	p.waiter, p.err = start()
	close(p.started)
	if p.err == nil {
		p.err = p.waiter.Wait()
	}
}

func (h *Host) run(ctx context.Context, command string, stdin io.Reader, stdout io.Writer, cancel onCancel) error {
	select {
	case h.sessions <- struct{}{}:
	case <-ctx.Done():
		return h.interrupted(ctx, command)
	}
	if stdout == nil {
		stdout = io.Discard
	}
	out, stderr := &gate{w: stdout}, newStderrTail()
	var input *inputReader
	var in io.Reader
	if stdin != nil {
		input = &inputReader{r: stdin}
		in = input
	}
	p := newProcess()
	go func() {
		defer func() { <-h.sessions }()
		p.run(func() (protocol.Waiter, error) {
			return h.wire.StartProcess(ctx, h.asRoot(prologue+command), in, out, stderr)
		})
	}()
	select {
	case <-p.ended:
	case <-ctx.Done():
		out.close()
		h.abandon(p, stderr, cancel)
		return h.interrupted(ctx, command)
	}
	if p.err != nil {
		return h.failed(ctx, command, p.err, stderr.text())
	}
	if err := input.failed(); err != nil {
		return fmt.Errorf("running a command on %s: reading its input: %w", h.name, err)
	}
	return out.failed()
}

// asRoot makes a script into a command line. exec saves a process and makes $$ the leader of the session's process
// group.
func (h *Host) asRoot(script string) string {
	return "exec " + h.elevate + "sh -c " + shell.Quote(script)
}

func (h *Host) interrupted(ctx context.Context, command string) error {
	line, _, _ := strings.Cut(strings.TrimSpace(command), "\n")
	return fmt.Errorf("running `%s` on %s: %w", truncate(line, 100), h.name, context.Cause(ctx))
}

// failed turns the end of a process into an error that says whether the command or the connection failed.
func (h *Host) failed(ctx context.Context, command string, err error, stderr string) error {
	if code, ok := exitCode(err); ok && !(code == sshFailed && h.throughSSHProgram()) {
		return &CommandError{Host: h.name, Command: command, ExitCode: code, Stderr: stderr}
	}
	if ctx.Err() != nil {
		return h.interrupted(ctx, command)
	}
	cause := h.wire.lost()
	if cause == nil {
		cause = err
		if said := strings.TrimSpace(stderr); said != "" {
			cause = fmt.Errorf("%s: %w", said, err)
		}
	}
	return fmt.Errorf("%s: %w: %w", h.name, ErrDisconnected, cause)
}

// sshFailed is how the ssh program says that it, not the command, failed.
const sshFailed = 255

func (h *Host) throughSSHProgram() bool {
	_, ok := h.wire.(*opensshWire)
	return ok
}

func exitCode(err error) (int, bool) {
	var remote *ssh.ExitError
	if errors.As(err, &remote) {
		return remote.ExitStatus(), true
	}
	var local *exec.ExitError
	if errors.As(err, &local) {
		if local.ExitCode() < 0 {
			return 128, true
		}
		return local.ExitCode(), true
	}
	return 0, false
}

// endTimeout bounds how long Close waits for a cancelled command to start, and then for it to be ended on its host.
const endTimeout = 4 * time.Second

// abandon stops waiting for a process. What runs on the host is ended in the background, for which the connection is
// kept by Close. One that is only about to start may run there already: it is waited for first.
func (h *Host) abandon(p *process, stderr *stderrTail, cancel onCancel) {
	h.ending.Go(func() {
		select {
		case <-p.started:
		case <-time.After(endTimeout):
			return
		}
		if cancel == endOnCancel && p.waiter != nil {
			h.end(p, stderr)
		}
	})
}

// end ends a process that has started, on the host and here.
func (h *Host) end(p *process, stderr *stderrTail) {
	ctx, stop := context.WithTimeout(context.Background(), endTimeout)
	defer stop()
	// It may have been cancelled before it has said who it is: what it wrote may still be under way.
	select {
	case <-stderr.announced:
	case <-p.ended:
		return
	case <-ctx.Done():
	}
	if pid := stderr.processID(); pid != "" && h.wire.lost() == nil {
		kill := newProcess()
		go kill.run(func() (protocol.Waiter, error) {
			return h.wire.StartProcess(ctx, h.asRoot("pid="+pid+"\n"+endScript), nil, io.Discard, io.Discard)
		})
		kill.wait(ctx)
	}
	if closer, ok := p.waiter.(io.Closer); ok {
		_ = closer.Close() // it is given up
	}
	p.wait(ctx)
}

// wait waits for the end of the process, but no longer than ctx.
func (p *process) wait(ctx context.Context) {
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
}

// endScript ends the process $pid and its process group. sshd makes each session a process group, whose leader is our
// shell or the sudo around it; any other leader means that the group is not ours alone.
const endScript = `
read -r stat </proc/$pid/stat || exit 0
set -- ${stat##*) }
group=$3
[ "$group" = "$pid" ] || [ "$(cat /proc/$group/comm)" = sudo ] || group=
target=${group:+-$group}
target=${target:-$pid}
kill -TERM $target
for i in 1 2 3 4 5 6 7 8 9 10; do
	kill -0 $target 2>/dev/null || exit 0
	sleep 0.2 2>/dev/null || sleep 1
done
kill -KILL $target
`

// gate passes writes on until it is closed, so that nothing is written to a caller's buffer that has it back.
type gate struct {
	mu     sync.Mutex
	w      io.Writer
	err    error
	closed bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.err != nil {
		return len(p), nil // the command must not hang or die because its output is no longer wanted
	}
	if _, err := g.w.Write(p); err != nil {
		g.err = err
	}
	return len(p), nil
}

// close waits for a write in progress, unless the caller's writer hangs: then the caller waits for nothing.
func (g *gate) close() {
	closed := make(chan struct{})
	go func() {
		g.mu.Lock()
		g.closed = true
		g.mu.Unlock()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(hangingWriter):
	}
}

// hangingWriter is how long a caller's writer may take to end a write once the context has ended.
const hangingWriter = 500 * time.Millisecond

func (g *gate) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// inputReader remembers why reading the input failed: the command just sees its end.
type inputReader struct {
	mu  sync.Mutex
	r   io.Reader
	err error
}

func (i *inputReader) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		i.mu.Lock()
		i.err = err
		i.mu.Unlock()
	}
	return n, err
}

func (i *inputReader) failed() error {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// maxStderr is how much of the end of standard error is kept.
const maxStderr = 4 << 10

// stderrTail keeps the end of standard error and the process id that the prologue announces in it.
type stderrTail struct {
	announced chan struct{} // closed once the process id is known

	mu   sync.Mutex
	tail []byte
	pid  string
}

func newStderrTail() *stderrTail { return &stderrTail{announced: make(chan struct{})} }

func (s *stderrTail) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, p...)
	if s.pid == "" {
		s.takePid()
	}
	if over := len(s.tail) - maxStderr; over > 0 && s.pid != "" || over > maxStderr {
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
	return len(p), nil
}

// takePid removes the line of the prologue, before which a login shell may have said something.
func (s *stderrTail) takePid() {
	at := bytes.Index(s.tail, []byte(pidMark))
	if at < 0 {
		return
	}
	line, rest, complete := bytes.Cut(s.tail[at+len(pidMark):], []byte("\n"))
	if !complete {
		return
	}
	s.pid = string(line)
	close(s.announced)
	s.tail = append(s.tail[:at:at], rest...)
}

func (s *stderrTail) processID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Trim(s.pid, "0123456789") != "" {
		return ""
	}
	return s.pid
}

func (s *stderrTail) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.tail)
}
