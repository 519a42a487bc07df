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
)

// errNoSocket says that nobody listens on the runtime socket: HAProxy does not run, or runs without our block.
var errNoSocket = errors.New("no HAProxy answers on the runtime socket")

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
}

// exchange runs the commands in order and returns an answer for each, without surrounding newlines. HAProxy runs all
// of them, whatever the earlier ones answered.
func (s *runtimeSocket) exchange(ctx context.Context, commands ...string) ([]string, error) {
	for _, command := range commands {
		if strings.ContainsAny(command, ";\n\\") {
			return nil, fmt.Errorf("runtime command %q: holds a separator", command)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	// The prompt tells an empty answer from a missing one.
	request := "prompt\n" + strings.Join(commands, "\n") + "\nquit\n"
	answer, err := s.send(ctx, request)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(answer, prompt)
	if len(parts) != len(commands)+2 {
		return nil, fmt.Errorf("runtime socket %s: %d answers to %d commands, the last was %q",
			s.path, len(parts)-2, len(commands), parts[len(parts)-1])
	}
	answers := parts[1 : len(parts)-1]
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
		return "", true, fmt.Errorf("writing to runtime socket %s: %w", s.path, errors.Join(ctx.Err(), err))
	}
	var buf bytes.Buffer
	if _, err = io.Copy(&buf, io.LimitReader(conn, maxAnswer)); err != nil {
		return "", true, fmt.Errorf("reading from runtime socket %s: %w", s.path, errors.Join(ctx.Err(), err))
	}
	return buf.String(), true, nil
}

// Answers of the script of sendByCommand, which no answer of HAProxy begins with.
const (
	scriptNoSocket = "kubectl-ha: no socket"
	scriptNoSocat  = "kubectl-ha: no socat"
)

func (s *runtimeSocket) sendByCommand(ctx context.Context, request string) (string, error) {
	// The trailing dot keeps the last newline, which is part of the last prompt, from being trimmed.
	script := `PATH=$PATH:/usr/sbin:/sbin:/usr/local/bin; s=` + shellQuote(s.path) + `
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

// shellQuote makes one word for a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
