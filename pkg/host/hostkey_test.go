package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

func yes(context.Context, UnknownKey) (bool, error) { return true, nil }

func mustNotAsk(t *testing.T) func(context.Context, UnknownKey) (bool, error) {
	return func(_ context.Context, key UnknownKey) (bool, error) {
		t.Errorf("asked about %+v", key)
		return true, nil
	}
}

func TestUnknownHostKeyIsRefusedWithoutTerminal(t *testing.T) {
	w := newWorld(t, serverOptions{})
	_, err := w.connector.Connect(context.Background(), w.conn())
	if !errors.Is(err, ErrUnknownHostKey) {
		t.Errorf("error is %v, want ErrUnknownHostKey", err)
	}
	wantError(t, err, ssh.FingerprintSHA256(w.hostKey.PublicKey()), "ssh-keyscan",
		fmt.Sprintf("ssh -p %d tester@127.0.0.1", w.server.port()))
	if n := w.server.logins.Load(); n != 0 {
		t.Errorf("the host that was not verified saw %d keys of ours", n)
	}
	if _, err := os.Stat(w.connector.KnownHosts[0]); !os.IsNotExist(err) {
		t.Errorf("known_hosts was made: %v", err)
	}
}

func TestAcceptedHostKeyIsRemembered(t *testing.T) {
	w := newWorld(t, serverOptions{})
	asked := 0
	w.connector.Confirm = func(_ context.Context, key UnknownKey) (bool, error) {
		asked++
		want := UnknownKey{
			Host:        fmt.Sprintf("tester@127.0.0.1:%d", w.server.port()),
			Address:     w.server.knownAs(),
			KeyType:     "ssh-ed25519",
			Fingerprint: ssh.FingerprintSHA256(w.hostKey.PublicKey()),
		}
		if key != want {
			t.Errorf("asked about %+v, want %+v", key, want)
		}
		if n := w.server.logins.Load(); n != 0 {
			t.Errorf("the host saw %d keys of ours before it was accepted", n)
		}
		return true, nil
	}
	for range 2 {
		h, err := w.connector.Connect(context.Background(), w.conn())
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	file := w.connector.KnownHosts[0]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := w.line(w.hostKey.PublicKey()) + "\n"; string(data) != want {
		t.Errorf("known_hosts is %q, want %q", data, want)
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s is %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
}

func TestDeclinedHostKeyIsRefusedAndNotAskedAboutAgain(t *testing.T) {
	w := newWorld(t, serverOptions{})
	asked := 0
	w.connector.Confirm = func(context.Context, UnknownKey) (bool, error) {
		asked++
		return false, nil
	}
	for range 2 {
		_, err := w.connector.Connect(context.Background(), w.conn())
		if !errors.Is(err, ErrUnknownHostKey) {
			t.Errorf("error is %v, want ErrUnknownHostKey", err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

func TestTimeToAnswerDoesNotCount(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.connector.Timeout = 300 * time.Millisecond
	w.connector.Confirm = func(context.Context, UnknownKey) (bool, error) {
		time.Sleep(2 * w.connector.Timeout) // a user who thinks
		return true, nil
	}
	h, err := w.connector.Connect(context.Background(), w.conn())
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

func TestParallelConnectsAskOneAtATimeAndOncePerHost(t *testing.T) {
	w := newWorld(t, serverOptions{})
	servers := []*server{w.server, newServer(t, serverOptions{accept: w.public}), newServer(t, serverOptions{accept: w.public})}
	w.knows("# kept") // no newline would be added twice
	var asking, asked atomic.Int32
	w.connector.Confirm = func(context.Context, UnknownKey) (bool, error) {
		if asking.Add(1) > 1 {
			t.Error("two questions at once")
		}
		time.Sleep(20 * time.Millisecond)
		asking.Add(-1)
		asked.Add(1)
		return true, nil
	}
	var running sync.WaitGroup
	for i := range 9 {
		running.Go(func() {
			h, err := w.connector.Connect(context.Background(), w.connTo(servers[i%3]))
			if err != nil {
				t.Error(err)
				return
			}
			h.Close()
		})
	}
	running.Wait()
	if asked.Load() != 3 {
		t.Errorf("asked %d times for 3 hosts", asked.Load())
	}
	known, err := readKnownHosts(w.connector.KnownHosts)
	if err != nil || len(known) != 3 {
		t.Errorf("known_hosts has %d entries, want 3 (%v)", len(known), err)
	}
}

func TestChangedHostKeyIsAlwaysRefused(t *testing.T) {
	w := newWorld(t, serverOptions{})
	other := newKey(t, ssh.KeyAlgoED25519).PublicKey()
	w.knows("# a comment", w.line(other))
	w.connector.Confirm = mustNotAsk(t)
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "changed", w.connector.KnownHosts[0]+":2", "ssh-keygen -f", "-R '"+w.server.knownAs()+"'",
		ssh.FingerprintSHA256(other), ssh.FingerprintSHA256(w.hostKey.PublicKey()))
	if n := w.server.logins.Load(); n != 0 {
		t.Errorf("the host saw %d keys of ours", n)
	}
}

// A server with several keys shows the one that the client prefers. Each of them alone must do.
func TestHostIsRecognisedByAnyOfItsKeys(t *testing.T) {
	types := []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA}
	var keys []ssh.Signer
	for _, keyType := range types {
		keys = append(keys, newKey(t, keyType))
	}
	for _, key := range keys {
		t.Run(key.PublicKey().Type(), func(t *testing.T) {
			w := newWorld(t, serverOptions{hostKeys: keys})
			w.knows(w.line(key.PublicKey()))
			w.connector.Confirm = mustNotAsk(t)
			h, err := w.connector.Connect(context.Background(), w.conn())
			if err != nil {
				t.Fatal(err)
			}
			h.Close()
		})
	}
}

func TestHostThatLostItsKnownKeyTypeIsRefusedAsChanged(t *testing.T) {
	w := newWorld(t, serverOptions{hostKeys: []ssh.Signer{newKey(t, ssh.KeyAlgoECDSA256)}})
	w.knows(w.line(newKey(t, ssh.KeyAlgoED25519).PublicKey()))
	w.connector.Confirm = mustNotAsk(t)
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "changed", ":1", "ecdsa-sha2-nistp256", "ssh-ed25519")
}

func TestRevokedHostKeyIsRefused(t *testing.T) {
	for name, lines := range map[string]func(w *world) []string{
		"alone": func(w *world) []string { return []string{"@revoked * " + hostLine("", w.hostKey.PublicKey())[1:]} },
		"and known elsewhere": func(w *world) []string {
			return []string{w.line(w.hostKey.PublicKey()), "@revoked " + hostLine("*", w.hostKey.PublicKey())}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, serverOptions{})
			w.knows(lines(w)...)
			w.connector.Confirm = mustNotAsk(t)
			_, err := w.connector.Connect(context.Background(), w.conn())
			wantError(t, err, "revoked", w.connector.KnownHosts[0])
		})
	}
}

func TestRevokedHostKeysFileOfSSHConfigIsHeeded(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.knows(w.line(w.hostKey.PublicKey()))
	revoked := filepath.Join(t.TempDir(), "revoked")
	w.writeFile(revoked, "# lost\n"+string(ssh.MarshalAuthorizedKey(w.hostKey.PublicKey())))
	w.sshConfig("tester@127.0.0.1", "revokedhostkeys "+revoked)
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "revoked", revoked+":2")
}

func TestNothingTurnsVerificationOff(t *testing.T) {
	for name, weaken := range map[string]func(t *testing.T, w *world){
		"ssh_config": func(_ *testing.T, w *world) {
			w.sshConfig("tester@127.0.0.1", "stricthostkeychecking false", "nohostauthenticationforlocalhost yes", "verifyhostkeydns true")
		},
		"accept-new": func(_ *testing.T, w *world) {
			w.sshConfig("tester@127.0.0.1", "stricthostkeychecking accept-new")
		},
		"no file": func(_ *testing.T, w *world) {
			w.connector.KnownHosts = nil
			w.sshConfig("tester@127.0.0.1", "userknownhostsfile /dev/null", "globalknownhostsfile /dev/null")
		},
		"empty environment": func(t *testing.T, w *world) {
			w.connector.KnownHosts = nil
			w.sshConfig("tester@127.0.0.1", "userknownhostsfile none", "globalknownhostsfile none")
			t.Setenv("SSH_KNOWN_HOSTS", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, serverOptions{})
			weaken(t, w)
			_, err := w.connector.Connect(context.Background(), w.conn())
			if !errors.Is(err, ErrUnknownHostKey) {
				t.Errorf("error is %v, want ErrUnknownHostKey", err)
			}
			// What cannot be remembered can still be accepted.
			w.connector.Confirm = yes
			h, err := w.connector.Connect(context.Background(), w.conn())
			if err != nil {
				t.Fatal(err)
			}
			h.Close()
		})
	}
}

func TestKnownHostsOfTheEnvironmentAreUsed(t *testing.T) {
	w := newWorld(t, serverOptions{})
	file := filepath.Join(t.TempDir(), "known")
	w.writeFile(file, w.line(w.hostKey.PublicKey())) // without a final newline
	w.connector.KnownHosts = nil
	t.Setenv("SSH_KNOWN_HOSTS", file)
	h, err := w.connector.Connect(context.Background(), w.conn())
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	second := newServer(t, serverOptions{accept: w.public})
	w.connector.Confirm = yes
	if h, err = w.connector.Connect(context.Background(), w.connTo(second)); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if known, err := readKnownHosts([]string{file}); err != nil || len(known) != 2 {
		t.Errorf("the file has %d entries, want 2 (%v)", len(known), err)
	}
}

func TestHostKeyOfTheClusterFileIsTheOnlyOneAccepted(t *testing.T) {
	keys := []ssh.Signer{newKey(t, ssh.KeyAlgoED25519), newKey(t, ssh.KeyAlgoECDSA256)}
	w := newWorld(t, serverOptions{hostKeys: keys})
	w.connector.Confirm = mustNotAsk(t)
	for _, key := range keys {
		conn := w.conn()
		conn.SSH.HostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
		h, err := w.connector.Connect(context.Background(), conn)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	// Not even the key that known_hosts has.
	w.knows(w.line(keys[0].PublicKey()))
	conn := w.conn()
	conn.SSH.HostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newKey(t, ssh.KeyAlgoED25519).PublicKey())))
	_, err := w.connector.Connect(context.Background(), conn)
	wantError(t, err, "hostKey", "refused")

	conn.SSH.HostKey = "nonsense"
	_, err = w.connector.Connect(context.Background(), conn)
	wantError(t, err, "reading hostKey")
}

func hostCertificate(t *testing.T, authority ssh.Signer, key ssh.Signer, name string) ssh.Signer {
	t.Helper()
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{name},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestHostCertificates(t *testing.T) {
	authority := newKey(t, ssh.KeyAlgoED25519)
	key := newKey(t, ssh.KeyAlgoED25519)
	good := hostCertificate(t, authority, key, "127.0.0.1")
	for name, c := range map[string]struct {
		shows []ssh.Signer
		knows func(w *world) []string
		want  []string // words of the error; none for success
	}{
		"good": {[]ssh.Signer{good}, func(w *world) []string {
			return []string{"@cert-authority " + hostLine("[127.0.0.1]:*", authority.PublicKey())}
		}, nil},
		"for another name": {[]ssh.Signer{hostCertificate(t, authority, key, "elsewhere")}, func(w *world) []string {
			return []string{"@cert-authority " + hostLine("*", authority.PublicKey())}
		}, []string{"host certificate", "principal"}},
		"authority of another domain": {[]ssh.Signer{good}, func(w *world) []string {
			return []string{"@cert-authority " + hostLine("*.example.com", authority.PublicKey())}
		}, []string{"no common algorithm"}},
		"plain key of a host known by it": {[]ssh.Signer{key}, func(w *world) []string {
			return []string{"@cert-authority " + hostLine("*", authority.PublicKey()), w.line(key.PublicKey())}
		}, nil},
		"authority's own key as host key": {[]ssh.Signer{authority}, func(w *world) []string {
			return []string{"@cert-authority " + hostLine("*", authority.PublicKey())}
		}, []string{"unknown host key"}},
		"authority revoked": {[]ssh.Signer{good}, func(w *world) []string {
			return []string{"@cert-authority " + hostLine("*", authority.PublicKey()), "@revoked " + hostLine("*", authority.PublicKey())}
		}, []string{"revoked"}},
		"unknown authority, known key": {[]ssh.Signer{good}, func(w *world) []string {
			return []string{"@cert-authority " + hostLine("*", newKey(t, ssh.KeyAlgoED25519).PublicKey()), w.line(key.PublicKey())}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, serverOptions{hostKeys: c.shows})
			w.knows(c.knows(w)...)
			h, err := w.connector.Connect(context.Background(), w.conn())
			if len(c.want) > 0 {
				wantError(t, err, c.want...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			h.Close()
		})
	}
}

func TestHostKeyAliasOfSSHConfigIsTheNameInKnownHosts(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.sshConfig("tester@cp1", "hostname 127.0.0.1", fmt.Sprintf("port %d", w.server.port()), "hostkeyalias first")
	w.knows(hostLine("first", w.hostKey.PublicKey()))
	conn := config.Connection{SSH: &config.SSH{Address: "cp1", Port: 22, User: "tester", KeyPath: w.keyPath}}
	h, err := w.connector.Connect(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

func TestKnownHostsPatterns(t *testing.T) {
	key := newKey(t, ssh.KeyAlgoED25519).PublicKey()
	for _, c := range []struct {
		patterns string
		address  string
		want     bool
	}{
		{"10.10.0.2", "10.10.0.2", true},
		{"10.10.0.2", "10.10.0.20", false},
		{"10.10.0.2", "[10.10.0.2]:2222", false},
		{"[10.10.0.2]:2222", "[10.10.0.2]:2222", true},
		{"[10.10.0.2]:2222", "10.10.0.2", false},
		{"cp1,10.10.0.2", "10.10.0.2", true},
		{"CP1.Example.com", "cp1.example.COM", true},
		{"*.example.com", "cp1.example.com", true},
		{"*.example.com,!cp1.example.com", "cp1.example.com", false},
		{"!cp1.example.com,*.example.com", "cp2.example.com", true},
		{"10.10.?.2", "10.10.1.2", true},
		{"10.10.?.2", "10.10.11.2", false},
		{"[*]:2222", "[cp1]:2222", true},
		{"*", "anything", true},
		{"", "anything", false},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "aXbYcZ", false},
		{"fd00::2", "fd00::2", true},
		{knownhosts.HashHostname("10.10.0.2"), "10.10.0.2", true},
		{knownhosts.HashHostname("10.10.0.2"), "10.10.0.3", false},
		{knownhosts.HashHostname("[10.10.0.2]:2222"), "[10.10.0.2]:2222", true},
		{"|2|AAAA|AAAA", "10.10.0.2", false},
		{"|1|!|AAAA", "10.10.0.2", false},
	} {
		entry := knownHost{patterns: c.patterns, key: key}
		if got := entry.matches(c.address); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.patterns, c.address, got, c.want)
		}
	}
}

func TestLinesOfTheFutureAreSkipped(t *testing.T) {
	key := newKey(t, ssh.KeyAlgoED25519).PublicKey()
	data := strings.Join([]string{
		"# comment",
		"",
		"host ssh-mldsa-99 AAAA",
		"host 1024 35 1234567890",
		"@wonder " + hostLine("host", key),
		"host ssh-rsa " + strings.Fields(hostLine("host", key))[2], // another type than it says
		"host ssh-ed25519 not-base64",
		"host",
		"@revoked",
		"\t " + hostLine("host", key) + " comment here\r",
	}, "\n")
	entries := parseKnownHosts("known_hosts", []byte(data))
	if len(entries) != 1 || entries[0].line != 10 || !sameKey(entries[0].key, key) {
		t.Errorf("entries are %+v, want the one of line 10", entries)
	}
}

func TestAcceptedKeyIsHashedWhenSSHConfigSaysSo(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.sshConfig("tester@127.0.0.1", "hashknownhosts yes")
	w.connector.Confirm = yes
	h, err := w.connector.Connect(context.Background(), w.conn())
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	data, _ := os.ReadFile(w.connector.KnownHosts[0])
	if !strings.HasPrefix(string(data), "|1|") {
		t.Errorf("known_hosts is %q, want a hashed name", data)
	}
	w.connector.Confirm = nil
	if h, err = w.connector.Connect(context.Background(), w.conn()); err != nil {
		t.Fatal(err)
	}
	h.Close()
}

func TestUnknownHostShowsTheKeyThatSSHWouldShow(t *testing.T) {
	keys := []ssh.Signer{newKey(t, ssh.KeyAlgoRSA), newKey(t, ssh.KeyAlgoECDSA256), newKey(t, ssh.KeyAlgoED25519)}
	w := newWorld(t, serverOptions{hostKeys: keys})
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "ssh-ed25519 "+ssh.FingerprintSHA256(keys[2].PublicKey()))
}
