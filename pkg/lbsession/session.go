// Package lbsession opens sessions with ha-lb-helper through SSH: of the syncer, and of the plugins, which try the syncer's key.
package lbsession

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// command is what is asked for. The key is bound to a command on the HAProxy host, which runs instead.
const command = "ha-lb-helper"

const (
	// A host that answers no keepalive for that long is taken for dead, and its session for over.
	keepaliveInterval = 3 * time.Second
	keepaliveMisses   = 3
)

// Open starts the helper through a connection and greets it. The connection is the session's from then on: it is closed with
// it, and when this fails. The error is that of ctx when it ends first, or has what the helper, or a shell in its place, said.
func Open(ctx context.Context, client *ssh.Client) (*wire.Client, error) {
	s, err := startWithin(ctx, client)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("starting the helper: %w", err)
	}
	go s.keepAlive()
	speaker := wire.NewClient(s)
	welcome, err := speaker.Hello(ctx)
	if err != nil {
		_ = speaker.Close() // it is given up
		return nil, fmt.Errorf("speaking to the helper: %w", s.explain(err))
	}
	if welcome.Protocol != wire.Protocol {
		_ = speaker.Close() // it is given up
		return nil, fmt.Errorf("the helper speaks protocol %d, not %d", welcome.Protocol, wire.Protocol)
	}
	return speaker, nil
}

// startWithin starts the helper before ctx ends. x/crypto's client never answers who asks for a session at the very moment at
// which the connection ends (mux.openChannel after mux.loop has dropped all channels).
func startWithin(ctx context.Context, client *ssh.Client) (*session, error) {
	type started struct {
		session *session
		err     error
	}
	result := make(chan started, 1)
	go func() {
		s, err := start(client)
		result <- started{s, err}
	}()
	select {
	case r := <-result:
		return r.session, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// session is a running helper as a stream.
type session struct {
	client *ssh.Client
	in     io.WriteCloser
	out    io.Reader
	stderr *boundedBuffer
	// exited is closed when the helper has ended and all that it said is there, ended when the session is given up.
	exited, ended chan struct{}
	once          sync.Once
}

func start(client *ssh.Client) (*session, error) {
	process, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	s := &session{client: client, stderr: &boundedBuffer{}, exited: make(chan struct{}), ended: make(chan struct{})}
	process.Stderr = s.stderr
	if s.in, err = process.StdinPipe(); err != nil {
		return nil, err
	}
	if s.out, err = process.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := process.Start(command); err != nil {
		return nil, err
	}
	go func() {
		_ = process.Wait() // what is wrong shows in what it said
		close(s.exited)
	}()
	return s, nil
}

// lastWords is how long a helper that has closed its output may take to say why.
const lastWords = time.Second

// awaitExit waits until what the helper said at its end is there.
func (s *session) awaitExit() {
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-s.exited:
	case <-timer.C:
	}
}

// Read ends when the helper has ended: whoever gets that end closes the connection.
func (s *session) Read(p []byte) (int, error) {
	n, err := s.out.Read(p)
	if errors.Is(err, io.EOF) {
		s.awaitExit()
	}
	return n, err
}

func (s *session) Write(p []byte) (int, error) { return s.in.Write(p) }

// Close ends the connection, and the helper with it.
func (s *session) Close() error {
	s.once.Do(func() { close(s.ended) })
	return s.client.Close()
}

// explain adds what the helper, or the shell in its place, said.
func (s *session) explain(err error) error {
	s.awaitExit()
	if said := strings.TrimSpace(s.stderr.String()); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// keepAlive closes the session when the host does not answer any more, so that a request does not wait for its end.
func (s *session) keepAlive() {
	ticker := time.NewTicker(keepaliveInterval)
	defer ticker.Stop()
	answers := make(chan error, keepaliveMisses)
	for unanswered := 0; ; {
		select {
		case <-s.ended:
			return
		case err := <-answers:
			if err != nil {
				_ = s.Close() // it is given up
				return
			}
			unanswered = 0
		case <-ticker.C:
			if unanswered == keepaliveMisses {
				_ = s.Close() // it is given up
				return
			}
			if unanswered++; unanswered == 1 {
				go func() {
					_, _, err := s.client.SendRequest("keepalive@openssh.com", true, nil)
					answers <- err
				}()
			}
		}
	}
}

// maxSaid is how much of a helper's standard error is kept.
const maxSaid = 1 << 10

// boundedBuffer keeps the beginning of what is written to it.
type boundedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buffer.Write(p[:min(len(p), maxSaid-b.buffer.Len())])
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
