package syncer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// sshHost is an SSH server whose only command is a helper.
type sshHost struct {
	t       *testing.T
	address string
	key     ssh.Signer
	// helper answers a session.
	helper func(channel ssh.Channel)
	// silent hosts answer no requests of the connection.
	silent bool
}

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// newSSHHost serves, and returns what reaches it.
func newSSHHost(t *testing.T, helper func(ssh.Channel)) (*sshHost, *sshAccess) {
	t.Helper()
	h := &sshHost{t: t, helper: helper}
	h.key, _ = newKey(t)
	user, private := newKey(t)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, fmt.Errorf("another key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(h.key)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	h.address = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go h.serve(conn, config)
		}
	}()
	dir := t.TempDir()
	access := newSSHAccess(filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts"))
	if err := os.WriteFile(access.keyFile, private, 0o600); err != nil {
		t.Fatal(err)
	}
	h.isKnownBy(access, h.key.PublicKey())
	return h, access
}

func (h *sshHost) isKnownBy(access *sshAccess, keys ...ssh.PublicKey) {
	h.t.Helper()
	var lines []string
	for _, key := range keys {
		lines = append(lines, knownhosts.Line([]string{h.address}, key))
	}
	if err := os.WriteFile(access.knownHostsFile, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *sshHost) serve(conn net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	if !h.silent {
		go ssh.DiscardRequests(requests)
	}
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for request := range requests {
				_ = request.Reply(request.Type == "exec", nil)
				if request.Type == "exec" {
					go func() {
						h.helper(channel)
						channel.Close()
					}()
				}
			}
		}()
	}
}

// answering is a helper that answers every request the same way.
func answering(response wire.Response) func(ssh.Channel) {
	return func(channel ssh.Channel) {
		lines := wire.NewLineReader(channel, wire.MaxRequest)
		for {
			line, err := lines.Next()
			if err != nil {
				return
			}
			request, err := wire.DecodeRequest(line)
			if err != nil {
				return
			}
			answer := response
			answer.ID = request.ID
			if request.Hello != nil {
				answer = wire.Response{ID: request.ID, Hello: &wire.Welcome{Protocol: wire.Protocol}}
			}
			_ = wire.Write(channel, answer)
		}
	}
}

func TestSessionSpeaksToTheHelper(t *testing.T) {
	h, access := newSSHHost(t, answering(wire.Response{State: &wire.Report{Managed: true}}))
	session, err := access.open(t.Context(), LoadBalancer{"root", h.address})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for range 3 {
		if report, err := session.State(t.Context()); err != nil || !report.Managed {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

func TestHostKeyThatIsNotKnownIsRefused(t *testing.T) {
	asked := false
	h, access := newSSHHost(t, func(ssh.Channel) { asked = true })
	other, _ := newKey(t)
	open := func(want string) {
		t.Helper()
		if _, err := access.open(t.Context(), LoadBalancer{"root", h.address}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
	h.isKnownBy(access, other.PublicKey())
	open("has changed")
	h.isKnownBy(access)
	open("is not known")
	if asked {
		t.Error("something was asked of a host that is not known")
	}
	if err := os.Remove(access.knownHostsFile); err != nil {
		t.Fatal(err)
	}
	open("reading the host keys")
	if err := os.WriteFile(access.keyFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	open("reading the key")
}

func TestWhatAnswersInsteadOfTheHelperIsTold(t *testing.T) {
	h, access := newSSHHost(t, func(channel ssh.Channel) {
		fmt.Fprintln(channel.Stderr(), "ha-lb-helper: reading the policy: no such file")
	})
	_, err := access.open(t.Context(), LoadBalancer{"root", h.address})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
	h.helper = func(channel ssh.Channel) {
		fmt.Fprintln(channel, "Welcome to Debian!")
		_, _ = wire.NewLineReader(channel, wire.MaxRequest).Next() // to which its end would be another answer
	}
	if _, err = access.open(t.Context(), LoadBalancer{"root", h.address}); err == nil || !strings.Contains(err.Error(), "none of this protocol") {
		t.Errorf("%v", err)
	}
}

func TestARequestThatIsNotAnsweredEndsTheSession(t *testing.T) {
	h, access := newSSHHost(t, func(channel ssh.Channel) {
		lines := wire.NewLineReader(channel, wire.MaxRequest)
		if _, err := lines.Next(); err == nil {
			_ = wire.Write(channel, wire.Response{ID: 1, Hello: &wire.Welcome{Protocol: wire.Protocol}})
		}
		_, _ = lines.Next()
		_, _ = lines.Next() // until the session ends
	})
	session, err := access.open(t.Context(), LoadBalancer{"root", h.address})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := session.State(ctx); err == nil {
		t.Error("answered")
	}
	if _, err := session.State(t.Context()); err == nil {
		t.Error("the session goes on")
	}
}

func TestAHostThatHangsWhileConnectingIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	h, access := newSSHHost(t, nil)
	h.address = listener.Addr().String()
	h.isKnownBy(access, h.key.PublicKey())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := access.open(ctx, LoadBalancer{"root", h.address}); err == nil {
		t.Error("connected")
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("given up after %v", took)
	}
}
