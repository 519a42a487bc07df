// Package supervise keeps a component's process running.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// managed marks the environment of every process started here, so that a pid
// file never leads to killing someone else's process.
const managed = "_K0S_MANAGED=yes"

// Process is a program that is started again whenever it ends.
type Process struct {
	Name, Path, Dir, PIDFile string
	Args                     []string
	// StopTimeout is how long the process may take to end after SIGTERM before
	// it is killed.
	StopTimeout time.Duration
	// Respawn is the wait before the process is started again.
	Respawn time.Duration
	Log     *slog.Logger

	cancel context.CancelFunc
	done   chan struct{}
	// graceful delays SIGTERM until it is closed.
	mu       sync.Mutex
	deferred <-chan struct{}
}

// Start ends a process left behind by an earlier k0s and starts this one.
func (p *Process) Start() error {
	if p.StopTimeout == 0 {
		p.StopTimeout = 5 * time.Second
	}
	if p.Respawn == 0 {
		p.Respawn = 5 * time.Second
	}
	if err := endOrphan(p.PIDFile, p.StopTimeout); err != nil {
		return fmt.Errorf("ending the earlier %s: %w", p.Name, err)
	}
	cmd, err := p.spawn()
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan struct{})
	go p.keep(ctx, cmd)
	return nil
}

// Stop ends the process with SIGTERM and, after StopTimeout, SIGKILL.
func (p *Process) Stop() error { return p.StopAfter(nil) }

// StopAfter is Stop, but waits for the process to end by itself until the
// channel is closed.
func (p *Process) StopAfter(deferred <-chan struct{}) error {
	if p.cancel == nil {
		return nil
	}
	p.mu.Lock()
	p.deferred = deferred
	p.mu.Unlock()
	p.cancel()
	<-p.done
	p.cancel = nil
	return nil
}

func (p *Process) spawn() (*exec.Cmd, error) {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), managed)
	// A group of its own: a signal for k0s from a terminal is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout = &lines{log: p.Log}
	cmd.Stderr = cmd.Stdout
	// A child of the process may hold its output open for longer than it lives.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.Log.Info("started", "pid", cmd.Process.Pid)
	return cmd, os.WriteFile(p.PIDFile, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644)
}

func (p *Process) keep(ctx context.Context, cmd *exec.Cmd) {
	defer close(p.done)
	for {
		if cmd != nil {
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-ctx.Done():
				p.end(cmd, ended)
				_ = os.Remove(p.PIDFile)
				return
			case err := <-ended:
				_ = os.Remove(p.PIDFile)
				p.Log.Error("ended unexpectedly", "state", cmd.ProcessState, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.Respawn):
		}
		var err error
		if cmd, err = p.spawn(); err != nil {
			p.Log.Error("starting again", "err", err)
			cmd = nil
		}
	}
}

func (p *Process) end(cmd *exec.Cmd, ended <-chan error) {
	p.mu.Lock()
	deferred := p.deferred
	p.mu.Unlock()
	if deferred != nil {
		select {
		case <-ended:
			p.Log.Info("ended by itself")
			return
		case <-deferred:
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.Log.Error("sending SIGTERM", "err", err)
	}
	began := time.Now()
	select {
	case <-ended:
		p.Log.Info("ended", "after", time.Since(began).Round(time.Millisecond))
	case <-time.After(p.StopTimeout):
		p.Log.Error("killed: did not end in time", "timeout", p.StopTimeout)
		_ = cmd.Process.Kill()
		<-ended
	}
}
