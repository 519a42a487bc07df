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

// started is a process, and what becomes of it, or why there is none.
type started struct {
	process protocol.Waiter
	done    <-chan error
	err     error
}

func (h *Host) run(ctx context.Context, command string, stdin io.Reader, stdout io.Writer, cancel onCancel) error {
	select {
	case h.sessions <- struct{}{}:
	case <-ctx.Done():
		return h.interrupted(ctx, command)
	}
	release := sync.OnceFunc(func() { <-h.sessions })
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
	// It is not cancelled while it starts: the host may have begun it before that shows here, and it is to be ended then, too.
	start := make(chan started, 1)
	go func() {
		process, err := h.wire.StartProcess(context.WithoutCancel(ctx), h.asRoot(prologue+command), in, out, stderr)
		if err != nil {
			start <- started{err: err}
			release()
			return
		}
		done := make(chan error, 1)
		start <- started{process: process, done: done}
		done <- process.Wait()
		release()
	}()
	var s started
	select {
	case s = <-start:
	case <-ctx.Done():
		out.close()
		h.ending.Go(func() {
			select {
			case s := <-start:
				if s.err == nil {
					h.abandon(s.process, stderr, s.done, cancel)
				}
			case <-time.After(endTimeout):
			}
		})
		return h.interrupted(ctx, command)
	}
	if s.err != nil {
		return h.failed(ctx, command, s.err, "")
	}
	var err error
	select {
	case err = <-s.done:
	case <-ctx.Done():
		out.close()
		h.abandon(s.process, stderr, s.done, cancel)
		return h.interrupted(ctx, command)
	}
	if err != nil {
		return h.failed(ctx, command, err, stderr.text())
	}
	if err := input.failed(); err != nil {
		return fmt.Errorf("running a command on %s: reading its input: %w", h.name, err)
	}
	return out.failed()
}

// asRoot makes a script into a command line. exec saves a process and makes $$ the leader of the session's process
// group.
func (h *Host) asRoot(script string) string {
	return "exec " + h.elevate + "sh -c " + shellQuote(script)
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

// endTimeout bounds how long Close waits for a cancelled command to be ended on its host.
const endTimeout = 4 * time.Second

// abandon stops waiting for a process. What runs on the host is ended in the background, for which the connection is
// kept by Close.
func (h *Host) abandon(process protocol.Waiter, stderr *stderrTail, done <-chan error, cancel onCancel) {
	if cancel == leaveOnCancel {
		return
	}
	h.ending.Go(func() {
		ctx, stop := context.WithTimeout(context.Background(), endTimeout)
		defer stop()
		// A command may be cancelled before it has said who it is: what it wrote may still be under way.
		select {
		case <-stderr.announced:
		case <-done: //nolint:errcheck // how it ended was asked for elsewhere
			return // it has ended already
		case <-ctx.Done():
		}
		if pid := stderr.processID(); pid != "" && h.wire.lost() == nil {
			kill, err := h.wire.StartProcess(ctx, h.asRoot("pid="+pid+"\n"+endScript), nil, io.Discard, io.Discard)
			if err == nil {
				waitFor(ctx, kill)
			}
		}
		if closer, ok := process.(io.Closer); ok {
			_ = closer.Close() // it is given up
		}
		select {
		case <-done: //nolint:errcheck // how it ended was asked for elsewhere
		case <-ctx.Done():
		}
	})
}

func waitFor(ctx context.Context, process protocol.Waiter) {
	ended := make(chan struct{})
	go func() {
		_ = process.Wait()
		close(ended)
	}()
	select {
	case <-ended:
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

// shellQuote makes one word of s for a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

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
