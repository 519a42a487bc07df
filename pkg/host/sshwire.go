package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/k0sproject/rig/v2/protocol"
	"golang.org/x/crypto/ssh"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// wire is a connection to a host below the level of "as root": one of rig's connections, with what a Host needs
// besides. The context of its StartProcess ends nothing: a host may have begun a process before that shows here, so it is
// waited for, and ended then. Its Close, where it has one, gives it up.
type wire interface {
	protocol.ProcessStarter
	// dial connects from the host.
	dial(ctx context.Context, network, address string) (net.Conn, error)
	// lost says why the connection ended by itself; nil while it lives.
	lost() error
	io.Closer
}

// sshWire is a rig connection (protocol.ProcessStarter) over the Go SSH client.
//
// rig's own SSH connection is not used. It appends unknown host keys to known_hosts without asking, verifies nothing
// when $SSH_KNOWN_HOSTS is set but empty, lets ssh_config turn verification off, and reconnects by itself when a
// session cannot be opened, with all of that once more. A check made before it connects is a check of another
// connection. Here the key exchange that verifies the host is the one of the connection that is used, it happens
// once, and nothing reconnects.
type sshWire struct {
	client *hopClient
	before []io.Closer // bastions, the nearest to us first

	alive context.Context // ends with the connection, whose cause it keeps
	cut   context.CancelCauseFunc
}

func newSSHWire(client *hopClient) *sshWire {
	w := &sshWire{client: client}
	w.alive, w.cut = context.WithCancelCause(context.Background())
	return w
}

// connectSSH opens the connection, through the bastions. Every hop is verified in the same way.
func (c *Connector) connectSSH(ctx context.Context, s *config.SSH) (*sshWire, error) {
	hops, err := c.route(ctx, s)
	if err != nil {
		return nil, err
	}
	var clients []*hopClient
	closeAll := func() {
		for i := len(clients) - 1; i >= 0; i-- {
			clients[i].Close()
		}
	}
	dial := (&net.Dialer{}).DialContext
	limit := newStopwatch(ctx, c.timeout())
	defer limit.stop()
	for i, hop := range hops {
		client, err := c.enter(limit, hop, dial)
		if err != nil {
			closeAll()
			if i < len(hops)-1 {
				return nil, fmt.Errorf("bastion %s: %w", hop, err)
			}
			return nil, err
		}
		clients = append(clients, client)
		dial = client.DialContext
	}
	last := len(clients) - 1
	w := newSSHWire(clients[last])
	for _, client := range clients[:last] {
		w.before = append(w.before, client)
	}
	go w.watch()
	go w.probe(c.keepAlive())
	return w, nil
}

// hopClient is logged in to a hop.
type hopClient struct {
	*ssh.Client
	conn *heardConn
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// enter logs in to one hop. A key that is not known ends the key exchange; when the user accepts it, the second
// attempt verifies it like any other.
func (c *Connector) enter(limit *stopwatch, hop hop, dial dialFunc) (*hopClient, error) {
	known, err := hop.knownKeys()
	if err != nil {
		return nil, err
	}
	for {
		client, err := c.login(limit, hop, known, dial)
		var unknown *unknownKeyError
		if !errors.As(err, &unknown) {
			return client, err
		}
		if err := limit.paused(func(ctx context.Context) error { return c.accept(ctx, hop, unknown) }); err != nil {
			return nil, err
		}
		known = append(known, knownHost{file: "accepted", patterns: unknown.address, key: unknown.key})
	}
}

// login makes one attempt.
func (c *Connector) login(limit *stopwatch, hop hop, known knownHosts, dial dialFunc) (*hopClient, error) {
	ids, err := c.identities(hop, func(path string, data []byte) (signer ssh.Signer, err error) {
		err = limit.paused(func(ctx context.Context) error {
			signer, err = c.unlock(ctx, path, data)
			return err
		})
		return signer, err
	})
	if err != nil {
		return nil, err
	}
	defer ids.close()
	address := net.JoinHostPort(hop.address, hop.portString())
	dialed, err := dial(limit.ctx, "tcp", address)
	if err != nil {
		return nil, dialError(limit.ctx, hop, err)
	}
	conn := newHeardConn(dialed)
	// The key exchange has no context: closing the connection ends it.
	stopClosing := context.AfterFunc(limit.ctx, func() { conn.Close() })
	keys := hostKeys{hop: hop, known: known}
	sshConn, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User:              hop.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(ids.signers...)},
		HostKeyCallback:   keys.callback,
		HostKeyAlgorithms: keys.algorithms(),
	})
	if !stopClosing() || err != nil {
		conn.Close()
		return nil, loginError(limit.ctx, hop, ids, err)
	}
	return &hopClient{ssh.NewClient(sshConn, channels, requests), conn}, nil
}

func dialError(ctx context.Context, hop hop, err error) error {
	var dns *net.DNSError
	var refused *ssh.OpenChannelError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: check its address, the routes and the firewalls on the way", context.Cause(ctx))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: is sshd running there, and on port %d?", err, hop.port)
	case errors.As(err, &dns):
		return fmt.Errorf("%w: check the address", err)
	case errors.As(err, &refused):
		return fmt.Errorf("the bastion could not reach it: %w", err)
	}
	return err
}

// loginError says what went wrong after the TCP connection was there.
func loginError(ctx context.Context, hop hop, ids *identities, err error) error {
	var unknown *unknownKeyError
	var changed *changedKeyError
	var revoked *revokedKeyError
	var locked *lockedError
	switch {
	case errors.As(err, &unknown):
		return unknown
	case errors.As(err, &changed):
		return changed
	case errors.As(err, &revoked):
		return revoked
	case errors.As(err, &locked):
		return fmt.Errorf("using the private key that the host accepts: %w", locked)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: it accepts connections but does not finish the SSH handshake", context.Cause(ctx))
	case isRefusedLogin(err):
		return fmt.Errorf("user %q: the host accepts none of the keys (%s): add one to its authorized_keys or name "+
			"another one with keyPath", hop.user, ids.describe())
	}
	return err
}

// isRefusedLogin tells a refused login from other failures of a handshake, for which x/crypto has texts but no types.
func isRefusedLogin(err error) bool {
	return strings.Contains(err.Error(), "unable to authenticate") ||
		strings.Contains(err.Error(), "Too many authentication failures")
}

// errNoAnswer is the cause of a context that ended because a host took too long.
var errNoAnswer = errors.New("no answer")

// stopwatch bounds the time for reaching a host, without the time that the user takes to answer.
type stopwatch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

func newStopwatch(parent context.Context, limit time.Duration) *stopwatch {
	ctx, cancel := context.WithCancelCause(parent)
	return &stopwatch{
		ctx: ctx, cancel: cancel, limit: limit,
		timer: time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w within %v", errNoAnswer, limit)) }),
	}
}

func (s *stopwatch) stop() {
	s.timer.Stop()
	s.cancel(nil)
}

// paused runs f, which asks the user, with the time stopped; afterwards it starts afresh.
func (s *stopwatch) paused(f func(ctx context.Context) error) error {
	s.timer.Stop()
	defer s.timer.Reset(s.limit)
	return f(s.ctx)
}

// whileAlive is ctx until the connection ends. x/crypto's client never answers who asks for a session or a connection at the
// very moment at which it ends (mux.openChannel after mux.loop has dropped all channels).
func (w *sshWire) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.alive, func() { cancel(w.lost()) })
	return ctx, func() { stop(); cancel(nil) }
}

// StartProcess runs a command in a session of its own. It waits no longer than whileAlive would.
func (w *sshWire) StartProcess(_ context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) (protocol.Waiter, error) {
	type started struct {
		process protocol.Waiter
		err     error
	}
	result := make(chan started, 1)
	go func() {
		process, err := w.start(command, stdin, stdout, stderr)
		result <- started{process, err}
	}()
	select {
	case s := <-result:
		return s.process, s.err
	case <-w.alive.Done(): // and with it a session that is opened all the same
		return nil, w.lost()
	}
}

func (w *sshWire) start(command string, stdin io.Reader, stdout, stderr io.Writer) (protocol.Waiter, error) {
	session, err := w.client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	session.Stdout, session.Stderr = stdout, stderr
	var input io.WriteCloser
	if stdin != nil {
		// Not session.Stdin: Wait would take a command that ends without reading all of it for a failure.
		if input, err = session.StdinPipe(); err != nil {
			session.Close()
			return nil, fmt.Errorf("opening a session: %w", err)
		}
	}
	if err := session.Start(command); err != nil {
		session.Close()
		return nil, fmt.Errorf("starting a command: %w", err)
	}
	if stdin != nil {
		go func() {
			_, _ = io.CopyBuffer(struct{ io.Writer }{input}, struct{ io.Reader }{stdin}, make([]byte, copyBuffer))
			input.Close()
		}()
	}
	return &sshProcess{session}, nil
}

// copyBuffer is the size of the pieces in which standard input goes to a host: some packets (32 KiB) at a time.
const copyBuffer = 256 << 10

// sshProcess is a running command.
type sshProcess struct{ *ssh.Session }

// Wait returns nil for exit code 0 and an *ssh.ExitError for others.
func (p *sshProcess) Wait() error {
	defer p.Session.Close()
	return p.Session.Wait()
}

// Close asks the host to end the command (OpenSSH does since 7.9) and gives up the session.
func (p *sshProcess) Close() error {
	_ = p.Signal(ssh.SIGTERM)
	return p.Session.Close()
}

func (w *sshWire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, stop := w.whileAlive(ctx)
	defer stop()
	channel, err := w.client.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return withDeadlines(channel), nil
}

// watch notices the end of the connection.
func (w *sshWire) watch() {
	err := w.client.Wait()
	if err == nil || errors.Is(err, io.EOF) {
		err = errors.New("the host closed the connection")
	}
	w.end(err)
}

// probe notices a host that is silent: a network cut, a frozen machine. It asks for an answer whenever nothing came for
// a while. Anything that comes is a sign of life, since the question may wait behind much data on a slow line.
func (w *sshWire) probe(every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	asking := make(chan struct{}, 1)
	for {
		select {
		case <-w.alive.Done():
			return
		case <-ticks.C:
		}
		silent := w.client.conn.silence()
		if silent < every {
			continue
		}
		if silent >= every*missedKeepAlives {
			w.end(fmt.Errorf("the host has not answered for %v", every*missedKeepAlives))
			return
		}
		select {
		case asking <- struct{}{}:
			go func() {
				_, _, _ = w.client.SendRequest("keepalive@openssh.com", true, nil)
				<-asking
			}()
		default:
		}
	}
}

// heardConn remembers when something last came from the other side.
type heardConn struct {
	net.Conn
	start time.Time    // has a monotonic clock, which does not count the sleep of a laptop
	heard atomic.Int64 // nanoseconds after start
}

func newHeardConn(conn net.Conn) *heardConn { return &heardConn{Conn: conn, start: time.Now()} }

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(int64(time.Since(c.start)))
	}
	return n, err
}

func (c *heardConn) silence() time.Duration {
	return time.Since(c.start) - time.Duration(c.heard.Load())
}

// end closes the connection; the first cause counts.
func (w *sshWire) end(cause error) {
	w.cut(cause)
	w.client.Close()
	for i := len(w.before) - 1; i >= 0; i-- {
		w.before[i].Close()
	}
}

func (w *sshWire) lost() error { return context.Cause(w.alive) }

var errClosed = errors.New("the connection was closed")

// Close ends the connection and all that runs over it.
func (w *sshWire) Close() error {
	w.end(errClosed)
	return nil
}
