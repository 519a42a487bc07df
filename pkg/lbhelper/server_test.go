package lbhelper

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// stoppedService is an HAProxy that does not run, and must not be started by anybody here.
type stoppedService struct{ t *testing.T }

func (stoppedService) Running(context.Context) (bool, error) { return false, nil }

func (s stoppedService) Start(context.Context) error {
	s.t.Error("HAProxy was started")
	return nil
}

func (s stoppedService) Reload(context.Context) error {
	s.t.Error("HAProxy was reloaded")
	return nil
}

func (s stoppedService) Enable(context.Context) error {
	s.t.Error("HAProxy was enabled")
	return nil
}

// session is a helper on a host whose HAProxy does not run.
type session struct {
	t      *testing.T
	policy *Policy
	lock   string // of a command that changes the control plane
	in     io.WriteCloser
	out    *bufio.Scanner
	ended  chan error
	log    []string
}

func newSession(t *testing.T, file string) *session {
	t.Helper()
	dir := t.TempDir()
	s := &session{t: t, policy: testPolicy(t), lock: filepath.Join(dir, "operation"), ended: make(chan error, 1)}
	s.policy.ConfigPath, s.policy.SocketPath = filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "s")
	if err := os.WriteFile(s.policy.ConfigPath, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	config := Config{
		Version: "test", Caller: "the test", Log: func(line string) { s.log = append(s.log, line) },
		OperationLock: s.lock,
		HAProxy:       haproxy.Options{LockPath: filepath.Join(dir, "lock"), Executable: "true"},
	}
	server := newServer(s.policy, config.withDefaults(), &machine{}, stoppedService{t})
	in, input := io.Pipe()
	output, out := io.Pipe()
	s.in, s.out = input, bufio.NewScanner(output)
	go func() {
		s.ended <- server.Serve(t.Context(), in, out)
		out.Close()
	}()
	t.Cleanup(func() { input.Close() })
	return s
}

// ask sends a line as it is.
func (s *session) ask(line string) wire.Response {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
	if !s.out.Scan() {
		s.t.Fatalf("no answer to %s: %v", line, s.out.Err())
	}
	var response wire.Response
	if err := json.Unmarshal(s.out.Bytes(), &response); err != nil {
		s.t.Fatal(err)
	}
	return response
}

// refuses fails the test unless the line is answered by an error of that kind.
func (s *session) refuses(line string, kind wire.Kind, text string) {
	s.t.Helper()
	response := s.ask(line)
	if response.Error == nil || response.Error.Kind != kind || !strings.Contains(response.Error.Message, text) {
		s.t.Errorf("%s: %+v; want %s with %q", line, response.Error, kind, text)
	}
}

const hello = `{"id":1,"hello":{"protocol":1}}`

func TestSessionBeginsWithHello(t *testing.T) {
	s := newSession(t, "")
	s.refuses(`{"id":5,"state":{}}`, wire.Malformed, "hello")
	s.refuses(`{"id":5,"hello":{"protocol":2}}`, wire.Malformed, "protocol 1, not 2")
	s.refuses(`{"id":5,"apply":{"servers":[]}}`, wire.Malformed, "hello")
	response := s.ask(hello)
	if w := response.Hello; response.ID != 1 || w == nil || w.LoadBalancer != "control-plane" || len(w.Backends) != 4 {
		t.Errorf("%+v", response)
	}
	response = s.ask(`{"id":6,"state":{}}`)
	if r := response.State; response.ID != 6 || r == nil || r.Managed || r.Running || r.Process != nil {
		t.Errorf("%+v", response)
	}
	s.in.Close()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoRequestIsAnsweredAndChangesNothing(t *testing.T) {
	s := newSession(t, "global\n")
	s.ask(hello)
	s.refuses("id", wire.Malformed, "invalid character")
	s.refuses(`{"id":9,"write":{"path":"/etc/passwd"}}`, wire.Malformed, `unknown field "write"`)
	s.refuses(`{"id":9,"apply":{"servers":[{"name":"a\nprogram x\n command /bin/sh","address":"10.10.0.2","active":true}]}}`, wire.Malformed, "letters, digits")
	s.refuses(`{"id":9,"apply":{"servers":[{"name":"a","address":"10.10.0.2","port":22,"active":true}]}}`, wire.Malformed, `unknown field "port"`)
	s.refuses(`{"id":9,"apply":{"servers":[{"name":"a","address":"192.0.2.1","active":true}]}}`, wire.Refused, "in none of the networks")
	s.refuses(`{"id":9,"apply":{"servers":[]}}`, wire.Refused, "no active server")
	s.refuses(`{"id":9,"apply":{"servers":[{"name":"a","address":"10.10.0.2"}]}}`, wire.Refused, "no active server")
	s.refuses(`{"id":9,"apply":{"servers":[{"name":"a","address":"10.10.0.2","active":true},{"name":"a","address":"10.10.0.3","active":true}]}}`,
		wire.Refused, "name must be of its own")
	s.refuses(`{"id":9,"apply":{"servers":[{"name":"a","address":"10.10.0.2","active":true}]}}`, wire.Stopped, "does not run")
	if file, err := os.ReadFile(s.policy.ConfigPath); err != nil || string(file) != "global\n" {
		t.Errorf("the file became %q, %v", file, err)
	}
	if len(s.log) < 6 {
		t.Errorf("logged: %v", s.log)
	}
}

func TestTooLongARequestEndsTheSession(t *testing.T) {
	s := newSession(t, "")
	s.ask(hello)
	go fmt.Fprintf(s.in, `{"id":2,"apply":{"servers":[],"x":"%s"}}`+"\n", strings.Repeat("x", wire.MaxRequest)) //nolint:errcheck // it is cut off
	if !s.out.Scan() || !strings.Contains(s.out.Text(), "too long") {
		t.Errorf("answered %q", s.out.Text())
	}
	if err := <-s.ended; err == nil {
		t.Error("it ended without an error")
	}
}

func TestSilentSessionEnds(t *testing.T) {
	server := newServer(testPolicy(t), Config{Idle: time.Millisecond}.withDefaults(), &machine{}, stoppedService{t})
	in, input := io.Pipe()
	defer input.Close()
	if err := server.Serve(t.Context(), in, io.Discard); err != nil {
		t.Error(err)
	}
}

// hangingMachine holds a request up until its context ends.
type hangingMachine struct {
	machine
	reached chan struct{}
}

func (m *hangingMachine) ReadFile(ctx context.Context, _ string) ([]byte, error) {
	close(m.reached)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTheCallersEndCutsOffWhatItAskedFor(t *testing.T) {
	m := &hangingMachine{reached: make(chan struct{})}
	server := newServer(testPolicy(t), Config{}.withDefaults(), m, stoppedService{t})
	in, input := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(t.Context(), in, io.Discard) }()
	fmt.Fprintln(input, hello)
	fmt.Fprintln(input, `{"id":2,"state":{}}`)
	<-m.reached
	input.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What was asked for before a command began is not what HAProxy is to be like after it.
func TestACommandThatChangesTheControlPlaneHasHAProxyToItself(t *testing.T) {
	s := newSession(t, "global\n")
	s.ask(hello)
	plugin := &machine{holder: "anna@laptop"}
	unlock, err := plugin.Lock(t.Context(), s.lock)
	if err != nil {
		t.Fatal(err)
	}
	apply := `{"id":2,"apply":{"servers":[{"name":"a","address":"10.10.0.2","active":true}]}}`
	s.refuses(apply, wire.Busy, "anna@laptop")
	if response := s.ask(`{"id":3,"state":{}}`); response.State == nil {
		t.Errorf("%+v", response.Error)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	s.refuses(apply, wire.Stopped, "does not run")
	if unlock, err = plugin.Lock(t.Context(), s.lock); err != nil {
		t.Errorf("the helper keeps it: %v", err)
	} else if err := unlock(); err != nil {
		t.Error(err)
	}
}
