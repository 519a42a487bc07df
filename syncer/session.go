package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbsession"
)

const connectTimeout = 5 * time.Second

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
	speaker, err := lbsession.Open(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("opening a session on %s: %w", lb, err)
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
