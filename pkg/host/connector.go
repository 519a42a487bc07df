package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// Connector opens connections to hosts. The zero value is for use without a terminal: it refuses unknown host keys
// and private keys that are protected by a passphrase. It may be used concurrently.
type Connector struct {
	// KnownHosts are the files that host keys are verified against; the first one is written.
	// Default: $SSH_KNOWN_HOSTS, else what ssh_config says, which is ~/.ssh/known_hosts when it says nothing.
	KnownHosts []string
	// SSHConfig replaces ~/.ssh/config and /etc/ssh/ssh_config, as ssh -F does.
	SSHConfig string
	// Confirm asks the user about an unknown key; nil refuses it.
	Confirm func(ctx context.Context, key UnknownKey) (bool, error)
	// Passphrase asks the user for the passphrase of a private key file, up to three times; nil refuses the key.
	// Confirm and Passphrase are never called at the same time.
	Passphrase func(ctx context.Context, keyPath string) ([]byte, error)
	// Timeout bounds reaching one host, bastions included and the time for questions aside. Default 10 s.
	Timeout time.Duration
	// KeepAlive is how often a connection is probed; one that leaves three probes unanswered is ended. Default 5 s.
	KeepAlive time.Duration

	asking   sync.Mutex // held while the user is asked and while known_hosts is written
	refused  map[UnknownKey]bool
	unlocked map[string]unlocked
}

const (
	defaultTimeout   = 10 * time.Second
	defaultKeepAlive = 5 * time.Second
	// missedKeepAlives is how many probes may stay unanswered, as ServerAliveCountMax of ssh_config.
	missedKeepAlives = 3
)

func (c *Connector) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return defaultTimeout
}

func (c *Connector) keepAlive() time.Duration {
	if c.KeepAlive > 0 {
		return c.KeepAlive
	}
	return defaultKeepAlive
}

// Connect connects to the machine, verifies its host key and finds out how to become root on it. The caller closes
// the Host.
func (c *Connector) Connect(ctx context.Context, conn config.Connection) (*Host, error) {
	var w wire
	var err error
	switch {
	case conn.SSH != nil:
		w, err = c.connectSSH(ctx, conn.SSH)
	case conn.OpenSSH != nil:
		w, err = c.connectOpenSSH(ctx, conn.OpenSSH)
	case conn.Localhost:
		w, err = newLocalWire()
	default:
		err = errors.New("it says neither ssh, openSSH nor localhost")
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", conn, err)
	}
	h := newHost(conn.String(), w, holder())
	within, cancel := context.WithTimeoutCause(ctx, c.timeout(), fmt.Errorf("no answer to a first command within %v", c.timeout()))
	defer cancel()
	if err := h.becomeRoot(within); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to %s: %w", conn, err), h.Close())
	}
	return h, nil
}

// holder says who this process is, for lock files: "anna@laptop, process 4711".
func holder() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "an unnamed machine"
	}
	return fmt.Sprintf("%s@%s, process %d", strings.TrimSpace(name), machine, os.Getpid())
}
