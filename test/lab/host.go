package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// Host is one machine of a lab. Its methods reach it through Docker, so that they work on a host that is cut off.
type Host struct {
	hostRecord
	lab       *Lab
	container string
}

const (
	// bootLimit is how long a host may take from its start until sshd answers.
	bootLimit = 2 * time.Minute
	// answerLimit is how long a host that is on the network takes to answer, at most.
	answerLimit  = 2 * time.Second
	pollInterval = 30 * time.Millisecond
)

// Name is the host's hostname.
func (h *Host) Name() string { return h.hostRecord.Name }

// Address is the host's address in the lab's network.
func (h *Host) Address() netip.Addr { return h.hostRecord.Address }

// Private says whether only other hosts of the lab reach this one.
func (h *Host) Private() bool { return h.hostRecord.Private }

// Flavour says what the host had installed when it was new.
func (h *Host) Flavour() Flavour { return h.hostRecord.Flavour }

// Container is the name of the host's container.
func (h *Host) Container() string { return h.container }

// create makes and starts the host's container and waits for sshd.
func (h *Host) create(ctx context.Context) error {
	keys, err := readKeys(h.lab.dir, h.Name())
	if err != nil {
		return err
	}
	files, err := h.lab.record.hostFiles(h.hostRecord, keys)
	if err != nil {
		return err
	}
	if err := dockerMake(ctx, h.lab.record.createArgs(h.hostRecord)...); err != nil {
		return h.errorf("creating it: %w", err)
	}
	if _, err := docker(ctx, bytes.NewReader(files), "cp", "-", h.container+":/"); err != nil {
		return h.errorf("writing its files: %w", err)
	}
	return h.Start(ctx)
}

func (h *Host) errorf(format string, args ...any) error {
	return fmt.Errorf("host %s: "+format, append([]any{h.Name()}, args...)...)
}

// Start boots a host that was killed, with all that it had on disk, and waits for sshd. A cut outlives it.
func (h *Host) Start(ctx context.Context) error {
	if _, err := docker(ctx, nil, "start", h.container); err != nil {
		return h.errorf("starting it: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("no answer from sshd within %s", bootLimit))
	defer cancel()
	if err := h.waitForSSH(ctx); err != nil {
		logs, _ := docker(context.WithoutCancel(ctx), nil, "logs", "--tail", "20", h.container)
		return h.errorf("waiting for sshd: %w; the last of its console: %s", err, strings.TrimSpace(logs))
	}
	return nil
}

// waitForSSH asks from this machine while the host answers at all, and from within when it is private or cut off.
func (h *Host) waitForSSH(ctx context.Context) error {
	var err error
	for !h.Private() && !errors.Is(err, os.ErrDeadlineExceeded) {
		if err = h.Reachable(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		case <-time.After(pollInterval):
		}
	}
	const wait = `until (exec 3<>/dev/tcp/127.0.0.1/22 && read -r -t 5 banner <&3) 2>/dev/null; do sleep 0.1; done`
	_, err = docker(ctx, nil, "exec", h.container, "bash", "-c", wait)
	return err
}

// Reachable returns nil when the host's sshd answers this machine within two seconds.
func (h *Host) Reachable(ctx context.Context) error {
	dialer := net.Dialer{Timeout: answerLimit}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(h.Address(), 22).String())
	if err != nil {
		return h.errorf("%w", err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(answerLimit)); err != nil {
		return h.errorf("%w", err)
	}
	banner := make([]byte, len("SSH-"))
	if _, err := io.ReadFull(conn, banner); err != nil {
		return h.errorf("waiting for sshd's greeting: %w", err)
	}
	return nil
}

// Kill ends everything on the host at once, as a power failure does.
func (h *Host) Kill(ctx context.Context) error { return h.verb(ctx, "killing it", "kill") }

// Reboot shuts the host down in order, starts it again and waits for sshd.
func (h *Host) Reboot(ctx context.Context) error {
	if err := h.verb(ctx, "stopping it", "stop", "--time", "30"); err != nil {
		return err
	}
	return h.Start(ctx)
}

// Freeze stops every process of the host where it is; its kernel still answers pings and accepts connections.
func (h *Host) Freeze(ctx context.Context) error { return h.verb(ctx, "freezing it", "pause") }

// Thaw lets a frozen host go on.
func (h *Host) Thaw(ctx context.Context) error { return h.verb(ctx, "thawing it", "unpause") }

func (h *Host) verb(ctx context.Context, action string, args ...string) error {
	if _, err := docker(ctx, nil, append(args, h.container)...); err != nil {
		return h.errorf("%s: %w", action, err)
	}
	return nil
}

// Reset wipes the host: a new machine with the same name, address and host keys, and a new machine id.
func (h *Host) Reset(ctx context.Context) error {
	if err := h.verb(ctx, "removing it", "rm", "--force", "--volumes"); err != nil {
		return err
	}
	return h.create(ctx)
}

// Cut takes the host off the network as pulling its cable does: packets vanish in both directions, while its
// addresses and routes stay and its own processes still reach each other. With peers, only the traffic with those is
// cut. A cut lasts until Heal, over a restart of the host too.
func (h *Host) Cut(ctx context.Context, peers ...*Host) error {
	arguments := []string{"all"}
	if len(peers) > 0 {
		arguments = nil
		for _, p := range peers {
			arguments = append(arguments, p.Address().String())
		}
	}
	_, err := h.Exec(ctx, "lab-cut "+strings.Join(arguments, " "), nil)
	return err
}

// Heal ends all cuts of the host.
func (h *Host) Heal(ctx context.Context) error {
	_, err := h.Exec(ctx, "lab-cut heal", nil)
	return err
}

// ShiftClock makes the host's date command tell a time that is off by the given amount, forwards or backwards; 0 ends
// that. It stands in for a wrong clock, which a container cannot have: only what asks the date command is deceived.
func (h *Host) ShiftClock(ctx context.Context, by time.Duration) error {
	const wrapper = "/usr/local/bin/date"
	if by == 0 {
		_, err := h.Exec(ctx, "rm -f "+wrapper, nil)
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\n# The lab's stand-in for a wrong clock.\nexec faketime -f '%+.3fs' /bin/date \"$@\"\n", by.Seconds())
	return h.WriteFile(ctx, wrapper, []byte(script), 0o755)
}

// ExecError is a command that ended on a host with an exit code other than 0.
type ExecError struct {
	Host     string
	Command  string
	ExitCode int
	Stderr   string
}

func (e *ExecError) Error() string {
	return fmt.Sprintf("host %s: %q ended with exit code %d: %s", e.Host, e.Command, e.ExitCode, strings.TrimSpace(e.Stderr))
}

// Exec runs a shell command as root and returns its standard output without the final newline. It fails with an
// *ExecError when the command does. A command that outlives ctx goes on running on the host.
func (h *Host) Exec(ctx context.Context, command string, stdin io.Reader) (string, error) {
	var stdout bytes.Buffer
	err := h.Stream(ctx, command, stdin, &stdout)
	return strings.TrimSuffix(stdout.String(), "\n"), err
}

// Stream is Exec for output that is long or wanted while it comes.
func (h *Host) Stream(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error {
	args := []string{"exec"}
	if stdin != nil {
		args = append(args, "--interactive")
	}
	cmd := exec.CommandContext(ctx, "docker", append(args, h.container, "bash", "-c", command)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return h.errorf("%q: %w", command, context.Cause(ctx))
	case errors.As(err, &exit):
		return &ExecError{Host: h.Name(), Command: command, ExitCode: exit.ExitCode(), Stderr: stderr.String()}
	default:
		return h.errorf("%q: %w", command, err)
	}
}

// WriteFile writes a file of the host, with its folders.
func (h *Host) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	command := fmt.Sprintf("set -e; mkdir -p \"$(dirname %[1]s)\"; umask 077; cat >%[1]s.lab; chmod %04[2]o %[1]s.lab; mv %[1]s.lab %[1]s",
		shell.Quote(path), mode.Perm())
	_, err := h.Exec(ctx, command, bytes.NewReader(data))
	return err
}

// ReadFile reads a file of the host.
func (h *Host) ReadFile(ctx context.Context, path string) ([]byte, error) {
	var out bytes.Buffer
	err := h.Stream(ctx, "cat "+shell.Quote(path), nil, &out)
	return out.Bytes(), err
}
