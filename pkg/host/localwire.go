package host

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/k0sproject/rig/v2/protocol"
	"github.com/k0sproject/rig/v2/protocol/localhost"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// localWire is the machine that this process runs on.
type localWire struct{ conn *localhost.Connection }

func newLocalWire() (*localWire, error) {
	conn, err := localhost.NewConnection()
	if err != nil {
		return nil, err
	}
	return &localWire{conn}, nil
}

// StartProcess gives the command a session and with it a process group of its own, as sshd does, so that ending the
// command does not end this process.
func (w *localWire) StartProcess(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) (protocol.Waiter, error) {
	process, err := startWithPipe(stdin, func(stdin io.Reader) (protocol.Waiter, error) {
		return w.conn.StartProcess(context.WithoutCancel(ctx), "exec setsid sh -c "+shell.Quote(command), stdin, stdout, stderr)
	})
	if err != nil {
		return nil, fmt.Errorf("starting a command: %w", err)
	}
	return process, nil
}

func (w *localWire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (w *localWire) lost() error { return nil }

func (w *localWire) Close() error { return nil }
