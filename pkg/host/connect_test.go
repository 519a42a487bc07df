package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

func TestRefusedKeyIsNamed(t *testing.T) {
	w := newWorld(t, serverOptions{accept: newKey(t, ssh.KeyAlgoED25519).PublicKey()})
	w.knows(w.line(w.hostKey.PublicKey()))
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "connecting to tester@127.0.0.1", `user "tester"`, "tried "+w.keyPath, "authorized_keys")
}

func TestUnusableKeyFilesAreNamed(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.knows(w.line(w.hostKey.PublicKey()))
	garbage := filepath.Join(t.TempDir(), "garbage")
	w.writeFile(garbage, "no key")
	public := filepath.Join(t.TempDir(), "id.pub")
	w.writeFile(public, string(ssh.MarshalAuthorizedKey(w.public)))
	for path, word := range map[string]string{
		filepath.Join(t.TempDir(), "missing"): "no such file",
		garbage:                               "it is no private key",
		public:                                "the SSH agent does not hold",
	} {
		conn := w.conn()
		conn.SSH.KeyPath = path
		_, err := w.connector.Connect(context.Background(), conn)
		wantError(t, err, path, word)
	}
}

// lockedKeyFile returns a key file that the passphrase "secret" opens, and fast: it was made by ssh-keygen -a 1.
func lockedKeyFile(t *testing.T, name string) (path string, public ssh.PublicKey) {
	t.Helper()
	path = filepath.Join("testdata", name)
	line, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if public, _, _, _, err = ssh.ParseAuthorizedKey(line); err != nil {
		t.Fatal(err)
	}
	return path, public
}

func TestPassphraseIsAskedForOnceAndOnlyWhenTheHostTakesTheKey(t *testing.T) {
	path, public := lockedKeyFile(t, "locked_ed25519")
	w := newWorld(t, serverOptions{accept: public})
	w.knows(w.line(w.hostKey.PublicKey()))
	w.keyPath = path
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "protected by a passphrase", "ssh-add "+path)

	asked, right := 0, 2 // the second answer is right
	w.connector.Passphrase = func(_ context.Context, keyPath string) ([]byte, error) {
		asked++
		if keyPath != path {
			t.Errorf("asked for %s, want %s", keyPath, path)
		}
		if asked == right {
			return []byte("secret"), nil
		}
		return []byte("wrong"), nil
	}
	for range 2 {
		h, err := w.connector.Connect(context.Background(), w.conn())
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2: the wrong and the right answer", asked)
	}
	stranger := newServer(t, serverOptions{})
	w.connector.Confirm = yes
	if _, err := w.connector.Connect(context.Background(), w.connTo(stranger)); err == nil || asked != 2 {
		t.Errorf("a host that does not take the key made us ask for the passphrase (%d, %v)", asked, err)
	}
}

func TestWrongPassphrasesAreAskedForThreeTimesInAll(t *testing.T) {
	path, public := lockedKeyFile(t, "locked_ed25519")
	w := newWorld(t, serverOptions{accept: public})
	w.knows(w.line(w.hostKey.PublicKey()))
	w.keyPath = path
	asked := 0
	w.connector.Passphrase = func(context.Context, string) ([]byte, error) {
		asked++
		return []byte("wrong"), nil
	}
	for range 2 {
		_, err := w.connector.Connect(context.Background(), w.conn())
		wantError(t, err, "opening it with the passphrase", "incorrect")
	}
	if asked != 3 {
		t.Errorf("asked %d times, want 3", asked)
	}
}

func TestProtectedRSAKeySignsWithSHA2(t *testing.T) {
	path, public := lockedKeyFile(t, "locked_rsa")
	w := newWorld(t, serverOptions{accept: public})
	w.knows(w.line(w.hostKey.PublicKey()))
	w.keyPath = path
	w.connector.Passphrase = func(context.Context, string) ([]byte, error) { return []byte("secret"), nil }
	h, err := w.connector.Connect(context.Background(), w.conn())
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

// startAgent serves an SSH agent and makes it the user's.
func startAgent(t *testing.T, keys ...any) {
	t.Helper()
	keyring := agent.NewKeyring()
	for _, key := range keys {
		if err := keyring.Add(agent.AddedKey{PrivateKey: key, Comment: "anna@laptop"}); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keyring, conn) }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
}

func TestAgentHoldsTheKey(t *testing.T) {
	key := newPrivateKey(t, ssh.KeyAlgoED25519)
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, serverOptions{accept: signer.PublicKey()})
	startAgent(t, newPrivateKey(t, ssh.KeyAlgoECDSA256), key)
	w.knows(w.line(w.hostKey.PublicKey()))
	w.sshConfig("tester@127.0.0.1", "identityfile "+filepath.Join(t.TempDir(), "none"))

	t.Run("without keyPath", func(t *testing.T) {
		conn := w.conn()
		conn.SSH.KeyPath = ""
		h, err := w.connector.Connect(context.Background(), conn)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	})
	t.Run("keyPath names the public half", func(t *testing.T) {
		conn := w.conn()
		conn.SSH.KeyPath = filepath.Join(t.TempDir(), "id.pub")
		w.writeFile(conn.SSH.KeyPath, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
		h, err := w.connector.Connect(context.Background(), conn)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	})
	t.Run("another keyPath means that key only", func(t *testing.T) {
		_, err := w.connector.Connect(context.Background(), w.conn())
		wantError(t, err, "tried "+w.keyPath+")")
	})
	t.Run("IdentitiesOnly", func(t *testing.T) {
		w.sshConfig("tester@127.0.0.1", "identitiesonly yes", "identityfile "+w.keyPath)
		conn := w.conn()
		conn.SSH.KeyPath = ""
		_, err := w.connector.Connect(context.Background(), conn)
		wantError(t, err, "tried "+w.keyPath+")")
	})
}

func TestIdentityFileOfSSHConfigIsUsed(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.knows(w.line(w.hostKey.PublicKey()))
	w.sshConfig("tester@127.0.0.1", "identityfile "+w.keyPath)
	conn := w.conn()
	conn.SSH.KeyPath = ""
	h, err := w.connector.Connect(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

func TestBastion(t *testing.T) {
	w := newWorld(t, serverOptions{})
	jumpKey := newKey(t, ssh.KeyAlgoED25519)
	jump := newServer(t, serverOptions{accept: w.public, hostKeys: []ssh.Signer{jumpKey}})
	through := w.conn()
	through.SSH.Bastion = &config.SSH{Address: "127.0.0.1", Port: jump.port(), User: "jumper", KeyPath: w.keyPath}

	t.Run("its key is verified", func(t *testing.T) {
		w.knows(w.line(w.hostKey.PublicKey()))
		_, err := w.connector.Connect(context.Background(), through)
		if !errors.Is(err, ErrUnknownHostKey) {
			t.Errorf("error is %v, want ErrUnknownHostKey", err)
		}
		wantError(t, err, "bastion jumper@127.0.0.1")
	})
	t.Run("the key behind it is verified", func(t *testing.T) {
		w.knows(hostLine(jump.knownAs(), jumpKey.PublicKey()), w.line(newKey(t, ssh.KeyAlgoED25519).PublicKey()))
		_, err := w.connector.Connect(context.Background(), through)
		wantError(t, err, "changed", ":2")
	})
	t.Run("unknown keys are asked about, the bastion's first", func(t *testing.T) {
		w.knows("#")
		var asked []string
		w.connector.Confirm = func(_ context.Context, key UnknownKey) (bool, error) {
			asked = append(asked, key.Address)
			return true, nil
		}
		h, err := w.connector.Connect(context.Background(), through)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if got, want := fmt.Sprint(asked), fmt.Sprint([]string{jump.knownAs(), w.server.knownAs()}); got != want {
			t.Errorf("asked about %s, want %s", got, want)
		}
		if out, err := h.Output(context.Background(), "echo through", nil); err != nil || out != "through" {
			t.Errorf("output %q, %v", out, err)
		}
	})
	t.Run("ProxyJump of ssh_config", func(t *testing.T) {
		w.sshConfig("tester@127.0.0.1", fmt.Sprintf("proxyjump jumper@127.0.0.1:%d", jump.port()))
		w.sshConfig("jumper@127.0.0.1", "identityfile "+w.keyPath)
		before := jump.logins.Load()
		h, err := w.connector.Connect(context.Background(), w.conn())
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		if jump.logins.Load() == before {
			t.Error("the jump host saw no login")
		}
	})
	t.Run("host behind it is down", func(t *testing.T) {
		port := closedPort(t)
		w.sshConfig("tester@127.0.0.1")
		down := through
		down.SSH.Port = port
		_, err := w.connector.Connect(context.Background(), down)
		wantError(t, err, "the bastion could not reach it", "refused")
	})
}

func TestProxyLoopEnds(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.sshConfig("tester@127.0.0.1", "proxyjump 127.0.0.1")
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "ProxyJump", "loop")
}

func TestProxyCommandIsPointedToOpenSSH(t *testing.T) {
	w := newWorld(t, serverOptions{})
	w.sshConfig("tester@127.0.0.1", "proxycommand nc %h %p")
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "ProxyCommand", "openSSH:")
}

func TestProxyJumpForms(t *testing.T) {
	for jump, want := range map[string]config.SSH{
		"bastion":                  {User: "root", Address: "bastion"},
		"anna@bastion:2222":        {User: "anna", Address: "bastion", Port: 2222},
		"ssh://anna@bastion:2222/": {User: "anna", Address: "bastion", Port: 2222},
		"[fd00::2]:2222":           {User: "root", Address: "fd00::2", Port: 2222},
		"fd00::2":                  {User: "root", Address: "fd00::2"},
		"a@corp@bastion":           {User: "a@corp", Address: "bastion"},
	} {
		got, err := parseJump(jump, "root")
		if err != nil || *got != want {
			t.Errorf("%q is %+v, %v; want %+v", jump, got, err, want)
		}
	}
	for _, jump := range []string{"", "bastion:ssh", "anna@"} {
		if got, err := parseJump(jump, "root"); err == nil {
			t.Errorf("%q is %+v, want an error", jump, got)
		}
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestUnreachableHosts(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, in the kernel, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, c := range map[string]struct {
		address string
		port    int
		words   []string
	}{
		"nothing listens": {"127.0.0.1", closedPort(t), []string{"refused", "is sshd running"}},
		"silence":         {"127.0.0.1", silent.Addr().(*net.TCPAddr).Port, []string{"no answer within 200ms", "SSH handshake"}},
		"no such name":    {"no-such-host.invalid", 22, []string{"no-such-host.invalid", "check"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, serverOptions{})
			w.connector.Timeout = 200 * time.Millisecond
			conn := w.conn()
			conn.SSH.Address, conn.SSH.Port = c.address, c.port
			start := time.Now()
			_, err := w.connector.Connect(context.Background(), conn)
			wantError(t, err, append(c.words, "connecting to tester@"+net.JoinHostPort(c.address, fmt.Sprint(c.port)))...)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	w := newWorld(t, serverOptions{})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	conn := w.conn()
	conn.SSH.Port = silent.Addr().(*net.TCPAddr).Port
	_, err = w.connector.Connect(ctx, conn)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

func TestCommandsRunAsRootBySudo(t *testing.T) {
	w := newWorld(t, serverOptions{uid: 1000})
	h := w.connect()
	for command, want := range map[string]string{"id -u": "0", `echo "it's $HOME" | wc -l`: "1"} {
		out, err := h.Output(context.Background(), command, nil)
		if err != nil || strings.TrimSpace(out) != want {
			t.Errorf("%s: %q, %v; want %q", command, out, err, want)
		}
	}
	facts, err := h.Facts(context.Background())
	if err != nil || !facts.Sudo {
		t.Errorf("facts say sudo %v (%v)", facts.Sudo, err)
	}
}

func TestUserWithoutSudoIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ sudo, words string }{
		"password needed": {`echo "sudo: a password is required" >&2; exit 1`, "sudo: a password is required"},
		"no sudo":         {`echo "sh: sudo: not found" >&2; exit 127`, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, serverOptions{uid: 1000, sudo: c.sudo})
			w.knows(w.line(w.hostKey.PublicKey()))
			_, err := w.connector.Connect(context.Background(), w.conn())
			wantError(t, err, `user "tester" on 127.0.0.1:`, "needs passwordless sudo", c.words, "NOPASSWD")
		})
	}
}

func TestEmptyConnectionIsRefused(t *testing.T) {
	_, err := (&Connector{}).Connect(context.Background(), config.Connection{})
	wantError(t, err, "neither ssh, openSSH nor localhost")
}

func TestLocalhost(t *testing.T) {
	h := newHost("localhost", &localWire{}, "me")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, err := h.Output(ctx, "cat; echo end", strings.NewReader("in "))
	if err != nil || out != "in end" {
		t.Errorf("output %q, %v", out, err)
	}
	var failed *CommandError
	if _, err := h.Output(ctx, "echo no >&2; exit 3", nil); !errors.As(err, &failed) || failed.ExitCode != 3 || failed.Stderr != "no\n" {
		t.Errorf("error %#v", err)
	}
	// A command may end before its input does.
	neverEnds, writer := io.Pipe()
	defer writer.Close()
	if out, err := h.Output(ctx, "echo done", neverEnds); err != nil || out != "done" {
		t.Errorf("output %q, %v", out, err)
	}
	// Ending a command ends its children, and not this process.
	pid := filepath.Join(t.TempDir(), "pid")
	done := make(chan error, 1)
	go func() { _, err := h.Output(ctx, "sleep 1000 & echo $! >"+pid+"; wait", nil); done <- err }()
	eventually(t, "the command runs", func() bool { data, _ := os.ReadFile(pid); return bytes.HasSuffix(data, []byte("\n")) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	data, _ := os.ReadFile(pid)
	var child int
	if _, err := fmt.Sscan(string(data), &child); err != nil || alive(child) {
		t.Errorf("child %d still runs (%v)", child, err)
	}
}

func TestDefaultsApplyWithoutSSHProgram(t *testing.T) {
	w := newWorld(t, serverOptions{})
	t.Setenv("PATH", t.TempDir())
	w.connect()
	w.connector.SSHConfig = "/some/config"
	_, err := w.connector.Connect(context.Background(), w.conn())
	wantError(t, err, "/some/config", "install OpenSSH")
}

func TestSettingsOfSSHConfig(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	t.Setenv("OTHER_AGENT", "/run/other")
	t.Setenv("HOME", "/home/anna")
	settings := parseSettings([]byte("user anna\nhostname 10.10.0.2\nidentityfile ~/.ssh/a\nidentityfile /keys/b\n" +
		"userknownhostsfile ~/.ssh/known_hosts /more\nglobalknownhostsfile none\nproxyjump\n"))
	hop, err := (&Connector{}).resolve(&config.SSH{Address: "cp1"}, settings)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%v %v %v %v", hop, hop.identities, hop.knownHosts, hop.agent),
		"anna@10.10.0.2:22 [/home/anna/.ssh/a /keys/b] [/home/anna/.ssh/known_hosts /more] /run/agent"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for value, want := range map[string]string{"none": "", "SSH_AUTH_SOCK": "/run/agent", "$OTHER_AGENT": "/run/other",
		"${OTHER_AGENT}": "/run/other", "~/agent": "/home/anna/agent"} {
		if got := (sshSettings{"identityagent": {value}}).agentSocket(); got != want {
			t.Errorf("IdentityAgent %s is %q, want %q", value, got, want)
		}
	}
}
