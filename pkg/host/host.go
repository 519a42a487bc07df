package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/k0sproject/rig/v2/initsystem"
	"github.com/k0sproject/rig/v2/packagemanager"
)

// Host is a connected machine. Every command runs as root, directly or by passwordless sudo. Its methods may be called
// concurrently.
type Host struct {
	name   string
	wire   wire
	holder string // who we are, for lock files

	elevate string // what makes a command run as root: empty or "sudo -n "

	// sessions bounds the commands that run at a time: sshd allows 10 sessions per connection (MaxSessions) by
	// default, and ending a command takes one more.
	sessions chan struct{}
	// ending are commands that are being ended on the host after their context was cancelled.
	ending sync.WaitGroup

	mu       sync.Mutex
	services initsystem.ServiceManager
	packages packagemanager.PackageManager
}

const maxSessions = 8

// ErrDisconnected says that the connection to a host ended, so that nobody knows whether the command that ran did.
var ErrDisconnected = errors.New("connection lost")

func newHost(name string, w wire, holder string) *Host {
	return &Host{name: name, wire: w, holder: holder, sessions: make(chan struct{}, maxSessions)}
}

// Name returns "user@address:port".
func (h *Host) Name() string { return h.name }

// becomeRoot finds out whether commands need sudo and whether sudo works without a password.
func (h *Host) becomeRoot(ctx context.Context) error {
	uid, err := h.Output(ctx, "id -u", nil)
	var failed *CommandError
	if errors.As(err, &failed) {
		return fmt.Errorf("%w: may the user run commands there?", err)
	}
	if err != nil {
		return err
	}
	if strings.TrimSpace(uid) == "0" {
		return nil
	}
	h.elevate = "sudo -n "
	_, err = h.Output(ctx, "id -u", nil)
	if errors.As(err, &failed) {
		user, address, _ := strings.Cut(h.name, "@")
		if address == "" {
			user, address = "uid "+strings.TrimSpace(uid), h.name
		}
		return fmt.Errorf("user %q on %s needs passwordless sudo: %s: log in as root, or add a file to /etc/sudoers.d "+
			"with: %s ALL=(ALL) NOPASSWD: ALL", user, address, failed.said(), user)
	}
	return err
}

// DialContext connects from the host: network "tcp" to "host:port" as seen there, "unix" to the path of a socket that
// the SSH user may open. Deadlines work on the connection.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := h.wire.dial(ctx, network, address)
	if err != nil {
		if cause := h.wire.lost(); cause != nil {
			err = fmt.Errorf("%w: %w", ErrDisconnected, cause)
		}
		return nil, fmt.Errorf("dialing %s from %s: %w", address, h.name, err)
	}
	return conn, nil
}

// Close ends the connection, once the commands whose contexts were cancelled have been told to end.
func (h *Host) Close() error {
	h.ending.Wait()
	if err := h.wire.Close(); err != nil {
		return fmt.Errorf("closing the connection to %s: %w", h.name, err)
	}
	return nil
}
