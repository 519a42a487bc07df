package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/k0sproject/rig/v2/cmd"
	"github.com/k0sproject/rig/v2/protocol"
)

// runner is what rig's init systems and package managers run their commands with: as root, like all of ours.
func (h *Host) runner(cancel onCancel) cmd.ContextRunner {
	return cmd.NewExecutor(&rootStarter{host: h, cancel: cancel})
}

// rootStarter runs commands as root for rig.
type rootStarter struct {
	host   *Host
	cancel onCancel
}

// StartProcess starts a command; Wait returns our kind of error.
func (r *rootStarter) StartProcess(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) (protocol.Waiter, error) {
	if r.cancel == leaveOnCancel {
		command = fmt.Sprintf(outliveScript, command)
	}
	ended := make(chan error, 1)
	go func() {
		err := r.host.run(ctx, command, stdin, stdout, r.cancel)
		var failed *CommandError
		if errors.As(err, &failed) && stderr != nil {
			_, _ = io.WriteString(stderr, failed.Stderr)
		}
		ended <- err
	}()
	return waiter(sync.OnceValue(func() error { return <-ended })), nil
}

// outliveScript lets a command outlive the SSH session, whose output streams end then.
const outliveScript = `log=$(mktemp) && trap 'rm -f "$log"' EXIT || exit
( %s
) >"$log" 2>&1 </dev/null
code=$?
cat "$log" >&2
exit $code`

// IsWindows keeps rig from finding out: k0s controllers run on Linux.
func (r *rootStarter) IsWindows() bool { return false }

// String names the host.
func (r *rootStarter) String() string { return r.host.name }

type waiter func() error

func (w waiter) Wait() error { return w() }

// plain takes rig's words off an error of ours: what a command said is said once.
func plain(err error) error {
	var failed *CommandError
	if errors.As(err, &failed) {
		return failed
	}
	return err
}
