package syncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// helperCommand is what is asked for. The key is bound to a command on the HAProxy host, which runs instead.
const helperCommand = "ha-lb-helper"

const (
	connectTimeout = 5 * time.Second
	// A host that answers no keepalive for that long is taken for dead, and its session for over.
	keepaliveInterval = 3 * time.Second
	keepaliveMisses   = 3
)

// sshAccess opens sessions on HAProxy hosts. The files are read each time, since a Secret may be renewed.
type sshAccess struct {
	keyFile, knownHostsFile string
	dial                    func(ctx context.Context, network, address string) (net.Conn, error)
}

func newSSHAccess(keyFile, knownHostsFile string) *sshAccess {
	dialer := &net.Dialer{Timeout: connectTimeout}
	return &sshAccess{keyFile: keyFile, knownHostsFile: knownHostsFile, dial: dialer.DialContext}
}

// open starts a session with the helper of a host. A host key that is not in known_hosts, or another one, is refused.
func (a *sshAccess) open(ctx context.Context, lb LoadBalancer) (helper, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	client, err := a.connect(ctx, lb)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", lb, err)
	}
	s, err := startHelper(client)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("starting the helper on %s: %w", lb, err)
	}
	go s.keepAlive()
	speaker := wire.NewClient(s)
	welcome, err := speaker.Hello(ctx)
	if err != nil {
		_ = speaker.Close() // it is given up
		return nil, fmt.Errorf("speaking to the helper on %s: %w", lb, s.explain(err))
	}
	if welcome.Protocol != wire.Protocol {
		_ = speaker.Close() // it is given up
		return nil, fmt.Errorf("the helper on %s speaks protocol %d, not %d", lb, welcome.Protocol, wire.Protocol)
	}
	return speaker, nil
}

func (a *sshAccess) connect(ctx context.Context, lb LoadBalancer) (*ssh.Client, error) {
	key, err := os.ReadFile(a.keyFile)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", a.keyFile, err)
	}
	check, err := knownhosts.New(a.knownHostsFile)
	if err != nil {
		return nil, fmt.Errorf("reading the host keys: %w", err)
	}
	conn, err := a.dial(ctx, "tcp", lb.Address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	config := &ssh.ClientConfig{
		User: lb.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: explainHostKey(check), HostKeyAlgorithms: hostKeyAlgorithms(check, lb.Address, conn.RemoteAddr()),
	}
	connection, channels, requests, err := ssh.NewClientConn(conn, lb.Address, config)
	if !stop() && err != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(connection, channels, requests), nil
}

// explainHostKey says what to do about a key that is not the expected one.
func explainHostKey(check ssh.HostKeyCallback) ssh.HostKeyCallback {
	return func(host string, remote net.Addr, key ssh.PublicKey) error {
		err := check(host, remote, key)
		var mismatch *knownhosts.KeyError
		if !errors.As(err, &mismatch) {
			return err
		}
		shown := key.Type() + " " + ssh.FingerprintSHA256(key)
		if len(mismatch.Want) == 0 {
			return fmt.Errorf("the host key of %s is not known: it shows %s: run kubectl ha-init to renew the syncer's known hosts", host, shown)
		}
		return fmt.Errorf("the host key of %s has changed: it shows %s; someone may be intercepting the connection: if the host was "+
			"reinstalled, run kubectl ha-init to renew the syncer's known hosts", host, shown)
	}
}

// hostKeyAlgorithms asks the host for a key of the types that it is known by: any other would look like a changed one.
func hostKeyAlgorithms(check ssh.HostKeyCallback, address string, remote net.Addr) []string {
	var mismatch *knownhosts.KeyError
	if err := check(address, remote, noKey{}); !errors.As(err, &mismatch) {
		return nil
	}
	var algorithms []string
	for _, known := range mismatch.Want {
		if known.Key.Type() == ssh.KeyAlgoRSA {
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		algorithms = append(algorithms, known.Key.Type())
	}
	return algorithms
}

// noKey is nobody's key.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// sshSession is a running helper as a stream.
type sshSession struct {
	client *ssh.Client
	in     io.WriteCloser
	out    io.Reader
	stderr *boundedBuffer
	// exited is closed when the helper has ended and all that it said is there, ended when the session is given up.
	exited, ended chan struct{}
	once          sync.Once
}

func startHelper(client *ssh.Client) (*sshSession, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	s := &sshSession{client: client, stderr: &boundedBuffer{}, exited: make(chan struct{}), ended: make(chan struct{})}
	session.Stderr = s.stderr
	if s.in, err = session.StdinPipe(); err != nil {
		return nil, err
	}
	if s.out, err = session.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := session.Start(helperCommand); err != nil {
		return nil, err
	}
	go func() {
		_ = session.Wait() // what is wrong shows in what it said
		close(s.exited)
	}()
	return s, nil
}

// lastWords is how long a helper that has closed its output may take to say why.
const lastWords = time.Second

// awaitExit waits until what the helper said at its end is there.
func (s *sshSession) awaitExit() {
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-s.exited:
	case <-timer.C:
	}
}

// Read ends when the helper has ended: whoever gets that end closes the connection.
func (s *sshSession) Read(p []byte) (int, error) {
	n, err := s.out.Read(p)
	if errors.Is(err, io.EOF) {
		s.awaitExit()
	}
	return n, err
}

func (s *sshSession) Write(p []byte) (int, error) { return s.in.Write(p) }

// Close ends the connection, and the helper with it.
func (s *sshSession) Close() error {
	s.once.Do(func() { close(s.ended) })
	return s.client.Close()
}

// explain adds what the helper, or the shell in its place, said.
func (s *sshSession) explain(err error) error {
	s.awaitExit()
	if said := strings.TrimSpace(s.stderr.String()); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// keepAlive closes the session when the host does not answer any more, so that a request does not wait for its end.
func (s *sshSession) keepAlive() {
	ticker := time.NewTicker(keepaliveInterval)
	defer ticker.Stop()
	answers := make(chan error, keepaliveMisses)
	for unanswered := 0; ; {
		select {
		case <-s.ended:
			return
		case err := <-answers:
			if err != nil {
				_ = s.Close() // it is given up
				return
			}
			unanswered = 0
		case <-ticker.C:
			if unanswered == keepaliveMisses {
				_ = s.Close() // it is given up
				return
			}
			if unanswered++; unanswered == 1 {
				go func() {
					_, _, err := s.client.SendRequest("keepalive@openssh.com", true, nil)
					answers <- err
				}()
			}
		}
	}
}

// maxSaid is how much of a helper's standard error is kept.
const maxSaid = 1 << 10

// boundedBuffer keeps the beginning of what is written to it.
type boundedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buffer.Write(p[:min(len(p), maxSaid-b.buffer.Len())])
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
