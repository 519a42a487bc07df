package lbsession

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"
)

// forgetful is the client's end of a connection that has ended at the very moment at which a session was asked for: x/crypto's
// mux has dropped its channels by then, and nobody answers.
type forgetful struct {
	ssh.Conn
	asked, closed chan struct{}
}

func (f forgetful) OpenChannel(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	close(f.asked)
	select {}
}

func (f forgetful) Close() error {
	close(f.closed)
	return nil
}

func TestASessionThatNeverOpensIsGivenUp(t *testing.T) {
	conn := forgetful{asked: make(chan struct{}), closed: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Open(ctx, &ssh.Client{Conn: conn})
		done <- err
	}()
	<-conn.asked
	cause := errors.New("the time is over")
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	<-conn.closed
}
