package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// errNoSocket says that nobody listens on the runtime socket: HAProxy does not run, or runs without our block.
var errNoSocket = errors.New("no HAProxy answers on the runtime socket")

// errCutOff says that HAProxy went away amid an exchange.
var errCutOff = errors.New("HAProxy broke off the exchange")

// exchangeTimeout bounds one exchange over the socket. HAProxy answers at once; its own limit is `stats timeout`, 10 s.
const exchangeTimeout = 10 * time.Second

// maxAnswer bounds what is read from the socket; a server is about 500 bytes of `show stat`.
const maxAnswer = 16 << 20

// prompt is what HAProxy writes before it reads the next command, once the command `prompt` was given.
const prompt = "\n> "

// runtimeSocket speaks HAProxy's runtime API. Every exchange is one connection with all its commands written at
// once, so that it costs one round trip from afar and leaves no state between exchanges.
type runtimeSocket struct {
	machine Machine
	path    string
	// byCommand is set when dialling was refused once: as a rule because the SSH user is not root, while commands
	// are run as root by sudo.
	byCommand bool
	timeout   time.Duration
}

// exchange runs the commands in order and returns an answer for each, without surrounding newlines. HAProxy runs all
// of them, whatever the earlier ones answered.
func (s *runtimeSocket) exchange(ctx context.Context, commands ...string) ([]string, error) {
	for _, command := range commands {
		if err := checkCommand(command); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// The prompt tells an empty answer from a missing one.
	request := "prompt\n" + strings.Join(commands, "\n") + "\nquit\n"
	answer, err := s.send(ctx, request)
	if err != nil {
		return nil, err
	}
	answers, err := splitAnswers(answer, len(commands))
	if err != nil {
		return nil, fmt.Errorf("runtime socket %s: %w", s.path, err)
	}
	return answers, nil
}

func checkCommand(command string) error {
	if strings.ContainsAny(command, ";\n\\") {
		return fmt.Errorf("runtime command %q: holds a separator", command)
	}
	return nil
}

// upload runs a command with a payload of lines, none of them empty, and returns its answer.
func (s *runtimeSocket) upload(ctx context.Context, command string, payload []byte) (string, error) {
	if err := checkCommand(command); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.send(ctx, command+" <<\n"+string(bytes.TrimSpace(payload))+"\n\n")
}

// splitAnswers cuts what HAProxy wrote after the command `prompt` into the answers to the commands that followed.
func splitAnswers(text string, commands int) ([]string, error) {
	parts := strings.Split(text, prompt)
	last := len(parts) - 1
	if last != commands+1 || parts[last] != "" {
		return nil, fmt.Errorf("%w: %d whole answers to %d commands, at the end %q", errCutOff, max(last-1, 0), commands,
			firstLine(parts[last]))
	}
	answers := parts[1:last]
	for i := range answers {
		answers[i] = strings.Trim(answers[i], "\n")
	}
	return answers, nil
}

func (s *runtimeSocket) send(ctx context.Context, request string) (string, error) {
	if !s.byCommand {
		answer, dialled, err := s.sendByDial(ctx, request)
		if dialled {
			return answer, err
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return "", errNoSocket
		}
		answer, commandErr := s.sendByCommand(ctx, request)
		switch {
		case commandErr == nil:
			s.byCommand = true
			return answer, nil
		case errors.Is(commandErr, errNoSocket):
			return "", commandErr
		}
		return "", errors.Join(err, commandErr)
	}
	return s.sendByCommand(ctx, request)
}

// sendByDial says whether it could dial; over SSH a refused dial does not tell why it was refused.
func (s *runtimeSocket) sendByDial(ctx context.Context, request string) (answer string, dialled bool, err error) {
	conn, err := s.machine.DialContext(ctx, "unix", s.path)
	if err != nil {
		return "", false, fmt.Errorf("dialling runtime socket %s: %w", s.path, err)
	}
	defer conn.Close()
	// Connections through SSH know no deadlines: closing is what ends their reads and writes.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err = io.WriteString(conn, request); err != nil {
		return "", true, s.broken(ctx, err)
	}
	var buf bytes.Buffer
	if _, err = io.Copy(&buf, io.LimitReader(conn, maxAnswer)); err != nil {
		return "", true, s.broken(ctx, err)
	}
	return buf.String(), true, nil
}

// broken is the error of a connection that failed after it was made.
func (s *runtimeSocket) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("waiting for an answer on runtime socket %s: %w", s.path, ctx.Err())
	}
	return fmt.Errorf("runtime socket %s: %w: %w", s.path, errCutOff, err)
}

// Answers of the script of sendByCommand, which no answer of HAProxy begins with.
const (
	scriptNoSocket = "kubectl-ha: no socket"
	scriptNoSocat  = "kubectl-ha: no socat"
)

func (s *runtimeSocket) sendByCommand(ctx context.Context, request string) (string, error) {
	// The trailing dot keeps the last newline, which is part of the last prompt, from being trimmed.
	script := `PATH=$PATH:/usr/sbin:/sbin:/usr/local/bin; s=` + shell.Quote(s.path) + `
if ! [ -S "$s" ]; then echo '` + scriptNoSocket + `'
elif ! command -v socat >/dev/null; then echo '` + scriptNoSocat + `'
else socat -t 10 - "UNIX-CONNECT:$s" || echo '` + scriptNoSocket + `'; echo .; fi`
	out, err := s.machine.Output(ctx, script, strings.NewReader(request))
	switch {
	case err != nil:
		return "", fmt.Errorf("asking runtime socket %s: %w", s.path, err)
	case strings.HasPrefix(out, scriptNoSocket):
		return "", errNoSocket
	case strings.HasPrefix(out, scriptNoSocat):
		return "", fmt.Errorf("asking runtime socket %s: socat is not installed there: "+
			"install it, or let sshd forward Unix sockets to root", s.path)
	}
	return strings.TrimSuffix(out, "."), nil
}
