package host

import (
	"context"
	"errors"
	"io"
	"testing"

	"golang.org/x/crypto/ssh"
)

// forgetful is the client's end of a connection that has ended at the very moment at which something was asked for: x/crypto's
// mux has dropped its channels by then, and nobody answers.
type forgetful struct {
	ssh.Conn
	asked chan struct{}
}

func (f forgetful) OpenChannel(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	close(f.asked)
	select {}
}

func (forgetful) Close() error { return io.EOF }

func TestNothingIsAwaitedOnAConnectionThatHasEnded(t *testing.T) {
	for name, ask := range map[string]func(*sshWire) error{
		"a command": func(w *sshWire) error {
			_, err := w.StartProcess(context.Background(), "true", nil, io.Discard, io.Discard)
			return err
		},
		"a connection": func(w *sshWire) error {
			_, err := w.dial(context.Background(), "tcp", "127.0.0.1:2379")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := forgetful{asked: make(chan struct{})}
			w := newSSHWire(&hopClient{Client: &ssh.Client{Conn: conn}})
			done := make(chan error, 1)
			go func() { done <- ask(w) }()
			<-conn.asked
			cause := errors.New("the host closed the connection")
			w.end(cause)
			if err := <-done; err == nil || !errors.Is(w.lost(), cause) {
				t.Errorf("got %v, lost by %v", err, w.lost())
			}
		})
	}
}
