package haproxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// OperationLock is locked, on an HAProxy host, for as long as a command changes the control plane. Whoever changes HAProxy
// by itself leaves it alone meanwhile: Options.LockPath is held for one change only.
const OperationLock = "/run/kubectl-ha-operation.lock"

// Options of a Balancer; the zero value has sensible defaults.
type Options struct {
	// LockPath is the lock file, on the HAProxy host, of whoever changes that HAProxy.
	LockPath string
	// Executable is HAProxy's, for the validation of a file.
	Executable string
	// Unit is the systemd unit, whose arguments and log are looked at.
	Unit string
	// Interval between two looks at something that is waited for.
	Interval time.Duration
	// CheckTimeout is how long new servers may take to pass their health check, all together.
	CheckTimeout time.Duration
	// ReloadTimeout is how long HAProxy may take to run with a new file.
	ReloadTimeout time.Duration
	// Now is the clock, for the names of backups.
	Now func() time.Time
	// Observe, when not nil, is called before each action.
	Observe func(Action)
}

func (o Options) withDefaults() Options {
	setDuration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	setString := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	setString(&o.LockPath, "/run/kubectl-ha-haproxy.lock")
	setString(&o.Executable, "haproxy")
	setString(&o.Unit, "haproxy")
	setDuration(&o.Interval, 200*time.Millisecond)
	setDuration(&o.CheckTimeout, 30*time.Second)
	setDuration(&o.ReloadTimeout, 15*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(Action) {}
	}
	return o
}

// Balancer reads and changes one HAProxy. It is not for concurrent use; several may work on the same HAProxy, which
// the lock on its host keeps apart.
type Balancer struct {
	machine Machine
	service Service
	spec    Spec
	options Options
	socket  *runtimeSocket
	// config is the path of the file, symbolic links resolved; empty until it was needed.
	config string
	// valid is the hash of the content that Validate last saw HAProxy accept.
	valid [sha256.Size]byte
}

// NewBalancer makes a Balancer for the HAProxy of that machine and service, which shall be as spec says.
func NewBalancer(machine Machine, service Service, spec Spec, options Options) *Balancer {
	spec = spec.WithDefaults()
	return &Balancer{
		machine: machine, service: service, spec: spec, options: options.withDefaults(),
		socket: &runtimeSocket{machine: machine, path: spec.SocketPath, timeout: exchangeTimeout},
	}
}

// locked runs f while nobody else changes this HAProxy.
func (b *Balancer) locked(ctx context.Context, f func() error) (err error) {
	unlock, err := b.machine.Lock(ctx, b.options.LockPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return f()
}

// errTimeout says that what was waited for did not come.
var errTimeout = errors.New("timed out")

// poll calls done, at once and then at intervals, until it says true or fails, or until the deadline has passed.
func (b *Balancer) poll(ctx context.Context, deadline time.Time, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if !time.Now().Add(b.options.Interval).Before(deadline) {
			return errTimeout
		}
		timer := time.NewTimer(b.options.Interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
