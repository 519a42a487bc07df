package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/k0sproject/rig/v2/protocol"
	"golang.org/x/crypto/ssh"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// opensshWire is a rig connection (protocol.ProcessStarter) by the ssh program. The program verifies host keys, made
// strict by options that win over ssh_config and the cluster file.
//
// rig's own is not used: its package asks the ssh program seven times for what it supports, whenever a program that
// links it starts, and it looks for Windows on every host.
type opensshWire struct {
	args    []string // of ssh, up to and including the host
	dir     string   // of sockets, for this connection alone
	address string
	master  string // socket of the connection that sessions share; empty when each has one of its own

	mu   sync.Mutex
	next int // number of the next forwarding socket
}

// strictOptions are what makes the ssh program verify host keys as the built-in client does, without asking on the
// terminal, and keeps it from doing more than it is asked.
func strictOptions(timeout, keepAlive time.Duration) map[string]string {
	return map[string]string{
		"StrictHostKeyChecking":            "yes",
		"VerifyHostKeyDNS":                 "no",
		"NoHostAuthenticationForLocalhost": "no",
		"CheckHostIP":                      "no",
		"UpdateHostKeys":                   "no",
		"BatchMode":                        "yes",
		"RemoteCommand":                    "none",
		"RequestTTY":                       "no",
		"PermitLocalCommand":               "no",
		"ForwardAgent":                     "no",
		"ForwardX11":                       "no",
		"ConnectTimeout":                   strconv.Itoa(max(1, int(timeout.Seconds()))),
		"ServerAliveInterval":              strconv.Itoa(max(1, int(keepAlive.Seconds()))),
		"ServerAliveCountMax":              strconv.Itoa(missedKeepAlives),
	}
}

// opensshOptions writes the strict options and, after them, those of the cluster file as arguments of ssh, of which the
// first value of an option counts.
func opensshOptions(users map[string]any, strict map[string]string) []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(strict)) {
		args = append(args, "-o", name+"="+strict[name])
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		if value := optionValue(name, users[name]); value != "" {
			args = append(args, "-o", name+"="+value)
		}
	}
	return args
}

// optionValue writes a value as ssh_config(5) has it.
func optionValue(name string, value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []any:
		separator := " "
		if lower := strings.ToLower(name); strings.HasSuffix(lower, "algorithms") || slices.Contains(commaLists(), lower) {
			separator = ","
		}
		words := make([]string, len(v))
		for i, word := range v {
			words[i] = optionValue(name, word)
		}
		return strings.Join(words, separator)
	}
	return fmt.Sprint(value)
}

// commaLists are the options, beside those called algorithms, that ssh wants with commas between their values.
func commaLists() []string {
	return []string{"ciphers", "macs", "proxyjump", "preferredauthentications", "kbdinteractivedevices"}
}

func (c *Connector) connectOpenSSH(ctx context.Context, o *config.OpenSSH) (*opensshWire, error) {
	if _, err := exec.LookPath("ssh"); err != nil {
		return nil, fmt.Errorf("%w: install OpenSSH's client, or use ssh: instead of openSSH: in the cluster file", err)
	}
	dir, err := os.MkdirTemp("", "ha-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for control sockets: %w", err)
	}
	w, err := c.openOpenSSH(ctx, o, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return w, nil
}

func (c *Connector) openOpenSSH(ctx context.Context, o *config.OpenSSH, dir string) (*opensshWire, error) {
	w := &opensshWire{dir: dir, address: o.Address}
	strict := strictOptions(c.timeout(), c.keepAlive())
	strict["ControlMaster"], strict["ControlPath"] = "no", "none"
	if !o.DisableMultiplexing {
		// A master of the user's own may have been opened with less verification.
		w.master = filepath.Join(dir, "master")
		strict["ControlPath"] = w.master
	}
	files := c.KnownHosts
	if env := os.Getenv("SSH_KNOWN_HOSTS"); len(files) == 0 && env != "" {
		files = []string{env}
	}
	if len(files) > 0 {
		strict["UserKnownHostsFile"] = quoteOptions(files)
	}
	w.args = append(opensshOptions(o.Options, strict), opensshDestination(o, cmp.Or(o.ConfigPath, c.SSHConfig))...)
	for asked := false; ; asked = true {
		within, cancel := context.WithTimeoutCause(ctx, c.timeout()+time.Second, fmt.Errorf("%w within %v", errNoAnswer, c.timeout()))
		err := w.connect(within)
		timedOut := within.Err() != nil
		cancel()
		if err == nil {
			return w, nil
		}
		if timedOut {
			return nil, fmt.Errorf("%w: %w", context.Cause(within), err)
		}
		if asked || !isUnknownKey(err.Error()) {
			return nil, opensshError(err)
		}
		if err := c.acceptOpenSSH(ctx, w, o); err != nil {
			return nil, err
		}
	}
}

// opensshDestination are the arguments of ssh that say whom to connect to.
func opensshDestination(o *config.OpenSSH, configPath string) []string {
	var args []string
	for _, option := range []struct{ flag, value string }{{"-i", o.KeyPath}, {"-F", configPath}, {"-l", o.User}} {
		if option.value != "" {
			args = append(args, option.flag, option.value)
		}
	}
	if o.Port != 0 {
		args = append(args, "-p", strconv.Itoa(o.Port))
	}
	return append(args, "--", o.Address)
}

// persist is how long, in seconds, a shared connection stays without a session. It ends by itself when this program was
// killed.
const persist = 600

// connect opens the connection that sessions share, or else sees whether one can be opened.
func (w *opensshWire) connect(ctx context.Context) error {
	args := append(slices.Clone(w.args), "exit 0")
	if w.master != "" {
		args = append([]string{"-N", "-f", "-o", "ControlMaster=yes", "-o", "ControlPersist=" + strconv.Itoa(persist)}, w.args...)
	}
	command := w.command(ctx, args...)
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s (%w)", strings.TrimSpace(said.String()), err)
	}
	return nil
}

// quoteOptions writes a list of files as one value of an option.
func quoteOptions(files []string) string {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = `"` + f + `"`
	}
	return strings.Join(quoted, " ")
}

// isUnknownKey knows ssh's words for a host that is in no known_hosts file.
func isUnknownKey(said string) bool {
	return strings.Contains(said, "host key is known for") && !strings.Contains(said, "HAS CHANGED")
}

// opensshError puts what to do behind what ssh said.
func opensshError(err error) error {
	said := err.Error()
	switch {
	case strings.Contains(said, "REMOTE HOST IDENTIFICATION HAS CHANGED"):
		return fmt.Errorf("the host key has changed, someone may be intercepting the connection: %w", err)
	case strings.Contains(said, "REVOKED HOST KEY"):
		return fmt.Errorf("the host key is marked as revoked: %w", err)
	case strings.Contains(said, "Permission denied"):
		return fmt.Errorf("the host accepts none of the keys: %w: name another one with keyPath, or run ssh-add if the "+
			"key is protected by a passphrase", err)
	}
	return err
}

// acceptOpenSSH finds out the key of a host by a connection that ends before anything is told to the host, asks about
// it and writes it to the file that ssh reads.
func (c *Connector) acceptOpenSSH(ctx context.Context, w *opensshWire, o *config.OpenSSH) error {
	seen := filepath.Join(w.dir, "seen")
	// The first value of an option counts.
	scan := []string{"-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=" + quoteOptions([]string{seen}),
		"-o", "GlobalKnownHostsFile=none", "-o", "HashKnownHosts=no", "-o", "PreferredAuthentications=none",
		"-o", "ControlPath=none", "-T"}
	said, _ := w.command(ctx, append(slices.Clone(scan), append(w.args, "true")...)...).CombinedOutput()
	data, err := os.ReadFile(seen)
	if err != nil {
		return fmt.Errorf("looking at the host key of %s: %s", o.Address, strings.TrimSpace(string(said)))
	}
	output, err := w.command(ctx, append([]string{"-G"}, w.args...)...).Output()
	if err != nil {
		return fmt.Errorf("asking ssh for its settings: %w", err)
	}
	settings := parseSettings(output)
	files, err := expandAll(settings.words("userknownhostsfile"))
	if err != nil {
		return err
	}
	for _, entry := range parseKnownHosts(seen, data) {
		key := UnknownKey{
			Host:        config.Connection{OpenSSH: o}.String(),
			Address:     entry.patterns,
			KeyType:     entry.key.Type(),
			Fingerprint: ssh.FingerprintSHA256(entry.key),
		}
		c.asking.Lock()
		err := c.confirm(ctx, key)
		if err == nil && len(files) > 0 {
			err = appendKnownHost(files[0], entry.patterns, entry.key, settings.last("hashknownhosts", "no") == "yes")
		}
		c.asking.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *opensshWire) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ssh", args...)
}

// StartProcess runs a command in a session of its own.
func (w *opensshWire) StartProcess(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) (protocol.Waiter, error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	process, err := startWithPipe(stdin, func(stdin io.Reader) (protocol.Waiter, error) {
		process := w.command(running, append(slices.Clone(w.args), command)...)
		process.Stdin, process.Stdout, process.Stderr = stdin, stdout, stderr
		return process, process.Start()
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting ssh: %w", err)
	}
	return &opensshProcess{process, cancel}, nil
}

// opensshProcess is an ssh program that runs.
type opensshProcess struct {
	protocol.Waiter
	cancel context.CancelFunc
}

func (p *opensshProcess) Wait() error {
	defer p.cancel()
	return p.Waiter.Wait()
}

// Close ends the ssh program.
func (p *opensshProcess) Close() error {
	p.cancel()
	return nil
}

// dial has an ssh program of its own forward a local socket, for `ssh -W` knows no sockets of the host.
func (w *opensshWire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "unix" && !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("network %q is not supported", network)
	}
	w.mu.Lock()
	w.next++
	socket := filepath.Join(w.dir, "f"+strconv.Itoa(w.next))
	w.mu.Unlock()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	forward := w.command(running, append([]string{"-N", "-T", "-o", "ExitOnForwardFailure=yes",
		"-o", "ControlPath=none", "-o", "LogLevel=DEBUG2", "-L", socket + ":" + address}, w.args...)...)
	said := newForwardLog()
	forward.Stderr = said
	if err := forward.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("starting ssh: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = forward.Wait()
		close(ended)
	}()
	conn, err := w.awaitSocket(ctx, socket, ended)
	if err == nil {
		if err = said.await(ctx, ended); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		stop()
		<-ended
		return nil, fmt.Errorf("forwarding: %w: %s", err, said.text())
	}
	// The connection outlives its name.
	_ = os.Remove(socket)
	return &forwardedConn{Conn: conn, stop: stop}, nil
}

// forwardLog is what an ssh program that forwards one connection says. The program takes our connection before it has
// asked the host for its own; only its log tells what came of that.
type forwardLog struct {
	opened chan struct{}
	failed chan struct{}

	mu   sync.Mutex
	line []byte // that has no end yet
	said []string
}

func newForwardLog() *forwardLog {
	return &forwardLog{opened: make(chan struct{}, 1), failed: make(chan struct{}, 1)}
}

// Write takes the log to pieces; its debug messages are not kept.
func (l *forwardLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = append(l.line, p...)
	for {
		text, rest, complete := bytes.Cut(l.line, []byte("\n"))
		if !complete {
			return len(p), nil
		}
		l.line = append([]byte{}, rest...)
		l.take(strings.TrimSpace(string(text)))
	}
}

func (l *forwardLog) take(line string) {
	switch debug := strings.HasPrefix(line, "debug"); {
	case debug && strings.Contains(line, ": open confirm "):
		note(l.opened)
	case debug || line == "":
	default:
		const most = 20
		l.said = append(l.said[max(0, len(l.said)+1-most):], line)
		if strings.Contains(line, "open failed") {
			note(l.failed)
		}
	}
}

func note(happened chan<- struct{}) {
	select {
	case happened <- struct{}{}:
	default:
	}
}

// unknownOpen is how long the log is watched for a word on the connection: a program that words it in another way has
// most likely made it by then.
const unknownOpen = 5 * time.Second

// await tells whether the host made its connection.
func (l *forwardLog) await(ctx context.Context, ended <-chan struct{}) error {
	select {
	case <-l.opened:
		return nil
	case <-l.failed:
		return errors.New("the host could not connect")
	case <-ended:
		return errors.New("ssh ended")
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(unknownOpen):
		return nil
	}
}

func (l *forwardLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.said, "\n")
}

const socketPoll = 20 * time.Millisecond

func (w *opensshWire) awaitSocket(ctx context.Context, socket string, ended <-chan struct{}) (net.Conn, error) {
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ended:
			return nil, errors.New("ssh ended")
		case <-time.After(socketPoll):
		}
	}
}

// forwardedConn ends the ssh program that forwards it.
type forwardedConn struct {
	net.Conn
	stop func()
}

func (c *forwardedConn) Close() error {
	err := c.Conn.Close()
	c.stop()
	return err
}

func (w *opensshWire) lost() error { return nil }

// Close ends the connection that sessions share.
func (w *opensshWire) Close() error {
	if w.master != "" {
		// One that is gone already needs no ending.
		_ = w.command(context.Background(), append([]string{"-O", "exit"}, w.args...)...).Run()
	}
	return os.RemoveAll(w.dir)
}
