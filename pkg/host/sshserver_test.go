package host

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// server is an SSH server that runs commands on this machine as sshd does: sessions, signals, forwarding of TCP and of
// Unix sockets. Programs in its bin directory come before the machine's.
type server struct {
	t        *testing.T
	listener net.Listener
	bin      string
	env      []string

	mu          sync.Mutex
	conns       []*pausableConn
	logins      atomic.Int32 // attempts to log in with a key
	sessions    atomic.Int32 // open now
	maxSessions atomic.Int32 // ever open at a time
	sessionCap  int32
}

type serverOptions struct {
	hostKeys []ssh.Signer // default: one ed25519 key
	accept   ssh.PublicKey
	uid      int // what id -u says; 0 is root
	sudo     string
	cap      int32 // like MaxSessions of sshd
}

// newServer starts a server that accepts the key given by options and runs until the test ends.
func newServer(t *testing.T, options serverOptions) *server {
	t.Helper()
	if options.hostKeys == nil {
		options.hostKeys = []ssh.Signer{newKey(t, ssh.KeyAlgoED25519)}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, listener: listener, bin: t.TempDir(), sessionCap: 10}
	if options.cap > 0 {
		s.sessionCap = options.cap
	}
	s.env = append(os.Environ(), "PATH="+s.bin+":"+machinePath, fmt.Sprintf("TEST_UID=%d", options.uid))
	s.program("id", `echo "$TEST_UID"`)
	s.program("sudo", cmp.Or(options.sudo, `[ "$1" = -n ] || exit 9; shift; TEST_UID=0; export TEST_UID; exec "$@"`))
	serverConfig := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			s.logins.Add(1)
			if options.accept != nil && sameKey(key, options.accept) {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		},
	}
	for _, key := range options.hostKeys {
		serverConfig.AddHostKey(key)
	}
	go s.serve(serverConfig)
	t.Cleanup(func() {
		listener.Close()
		s.disconnectAll()
	})
	return s
}

// program puts a shell script on the server's PATH.
func (s *server) program(name, script string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// knownAs is the server's name in known_hosts.
func (s *server) knownAs() string { return fmt.Sprintf("[127.0.0.1]:%d", s.port()) }

// disconnectAll cuts the connections, without goodbye.
func (s *server) disconnectAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.resume()
		c.Close()
	}
	s.conns = nil
}

// freeze lets the connections stand still, as when a machine is paused or a cable is cut.
func (s *server) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.pause()
	}
}

func (s *server) serve(serverConfig *ssh.ServerConfig) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &pausableConn{Conn: conn, running: make(chan struct{})}
		close(c.running)
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		go s.handle(c, serverConfig)
	}
}

func (s *server) handle(conn net.Conn, serverConfig *ssh.ServerConfig) {
	sshConn, channels, requests, err := ssh.NewServerConn(conn, serverConfig)
	if err != nil {
		conn.Close()
		return
	}
	defer sshConn.Close()
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		switch channel.ChannelType() {
		case "session":
			if s.sessions.Load() >= s.sessionCap {
				_ = channel.Reject(ssh.Prohibited, "open failed")
				continue
			}
			open := s.sessions.Add(1)
			for most := s.maxSessions.Load(); open > most && !s.maxSessions.CompareAndSwap(most, open); {
				most = s.maxSessions.Load()
			}
			go func() {
				defer s.sessions.Add(-1)
				s.session(channel)
			}()
		case "direct-tcpip":
			var target struct {
				Host       string
				Port       uint32
				OriginHost string
				OriginPort uint32
			}
			_ = ssh.Unmarshal(channel.ExtraData(), &target)
			go forward(channel, "tcp", net.JoinHostPort(target.Host, fmt.Sprint(target.Port)))
		case "direct-streamlocal@openssh.com":
			var target struct {
				Path     string
				Reserved string
				Port     uint32
			}
			_ = ssh.Unmarshal(channel.ExtraData(), &target)
			go forward(channel, "unix", target.Path)
		default:
			_ = channel.Reject(ssh.UnknownChannelType, "unknown")
		}
	}
}

func forward(offer ssh.NewChannel, network, address string) {
	conn, err := net.Dial(network, address)
	if err != nil {
		_ = offer.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := offer.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	go func() {
		_, _ = io.Copy(conn, channel)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(channel, conn)
	channel.Close()
	conn.Close()
}

func (s *server) session(offer ssh.NewChannel) {
	channel, requests, err := offer.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	var command *exec.Cmd
	ended := make(chan struct{})
	for {
		select {
		case <-ended:
			return
		case request, ok := <-requests:
			switch {
			case !ok:
				// As with sshd: the command is not killed, it just loses its streams.
				if command != nil {
					<-ended
				}
				return
			case request.Type == "exec" && command == nil:
				var payload struct{ Command string }
				_ = ssh.Unmarshal(request.Payload, &payload)
				command = exec.Command("/bin/sh", "-c", payload.Command)
				command.Env = s.env
				command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				err := s.start(command, channel, ended)
				_ = request.Reply(err == nil, nil)
				if err != nil {
					return
				}
			case request.Type == "signal" && command != nil:
				_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
			default:
				_ = request.Reply(false, nil)
			}
		}
	}
}

// start runs the command. Its standard input is a pipe that outlives a command which does not read it.
func (s *server) start(command *exec.Cmd, channel ssh.Channel, ended chan struct{}) error {
	stdin, err := command.StdinPipe()
	if err != nil {
		return err
	}
	command.Stdout, command.Stderr = channel, channel.Stderr()
	if err := command.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(stdin, channel)
		stdin.Close()
	}()
	go func() {
		defer close(ended)
		_ = command.Wait()
		_ = channel.CloseWrite()
		status := command.ProcessState.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal     string
				CoreDumped bool
				Error      string
				Lang       string
			}{Signal: strings.TrimPrefix(signalName(status.Signal()), "SIG")}))
			return
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status.ExitStatus())}))
	}()
	return nil
}

func signalName(s syscall.Signal) string {
	switch s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGKILL:
		return "SIGKILL"
	}
	return "SIGABRT"
}

// pausableConn is a connection whose data can be held back.
type pausableConn struct {
	net.Conn
	mu      sync.Mutex
	running chan struct{} // closed while data flows
}

func (c *pausableConn) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = make(chan struct{})
}

func (c *pausableConn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.running:
	default:
		close(c.running)
	}
}

func (c *pausableConn) wait() {
	c.mu.Lock()
	running := c.running
	c.mu.Unlock()
	<-running
}

func (c *pausableConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	return n, err
}

func (c *pausableConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

func newKey(t *testing.T, keyType string) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(newPrivateKey(t, keyType))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newPrivateKey(t *testing.T, keyType string) any {
	t.Helper()
	var key any
	var err error
	switch keyType {
	case ssh.KeyAlgoED25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case ssh.KeyAlgoECDSA256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ssh.KeyAlgoRSA:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no key type %q", keyType)
	}
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := key.(ed25519.PrivateKey); ok {
		return &k
	}
	return key
}

// keyFile writes a new private key.
func keyFile(t *testing.T, keyType string) (path string, public ssh.PublicKey) {
	t.Helper()
	key := newPrivateKey(t, keyType)
	block, err := ssh.MarshalPrivateKey(key, "test")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "id_test")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return path, signer.PublicKey()
}

// machinePath is where the commands that servers run are found, whatever PATH a test has.
var machinePath = os.Getenv("PATH")

// world is a user's machine: a key, no known_hosts, no ssh_config, and one server that accepts the key. Its ssh program
// does no more than answer ssh -G.
type world struct {
	t         *testing.T
	settings  string // directory of what ssh -G answers, by "user@host"
	server    *server
	hostKey   ssh.Signer
	keyPath   string
	public    ssh.PublicKey
	connector *Connector
}

func newWorld(t *testing.T, options serverOptions) *world {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	w := &world{t: t}
	w.keyPath, w.public = keyFile(t, ssh.KeyAlgoED25519)
	if options.accept == nil {
		options.accept = w.public
	}
	if options.hostKeys == nil {
		options.hostKeys = []ssh.Signer{newKey(t, ssh.KeyAlgoED25519)}
	}
	w.hostKey = options.hostKeys[0]
	w.server = newServer(t, options)
	w.connector = &Connector{KnownHosts: []string{filepath.Join(t.TempDir(), "ssh", "known_hosts")}}
	w.settings = t.TempDir()
	bin := t.TempDir()
	script := fmt.Sprintf(fakeSSH, w.settings)
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	return w
}

const fakeSSH = `#!/bin/sh
[ "$1" = -G ] || exit 99
user=
while [ $# -gt 1 ]; do
	case $1 in -l) user=$2@ ;; -p) echo "port $2" ;; esac
	shift
done
[ -e "%[1]s/$user$1" ] || exit 0
while read -r line; do echo "$line"; done <"%[1]s/$user$1"
`

// sshConfig says what ssh_config comes to for a destination, "tester@127.0.0.1" being the world's server.
func (w *world) sshConfig(destination string, lines ...string) {
	w.t.Helper()
	w.writeFile(filepath.Join(w.settings, destination), strings.Join(lines, "\n")+"\n")
}

func (w *world) writeFile(path, content string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// knows writes known_hosts.
func (w *world) knows(lines ...string) {
	w.t.Helper()
	w.writeFile(w.connector.KnownHosts[0], strings.Join(lines, "\n")+"\n")
}

// line is an entry of known_hosts for the world's server.
func (w *world) line(key ssh.PublicKey) string { return hostLine(w.server.knownAs(), key) }

func hostLine(name string, key ssh.PublicKey) string {
	return name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func (w *world) conn() config.Connection { return w.connTo(w.server) }

func (w *world) connTo(s *server) config.Connection {
	return config.Connection{SSH: &config.SSH{Address: "127.0.0.1", Port: s.port(), User: "tester", KeyPath: w.keyPath}}
}

// connect connects to a server whose key is known.
func (w *world) connect() *Host {
	w.t.Helper()
	w.knows(w.line(w.hostKey.PublicKey()))
	h, err := w.connector.Connect(context.Background(), w.conn())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return h
}

// connected is a connection as root to a new server.
func connected(t *testing.T) (*Host, *server) {
	t.Helper()
	w := newWorld(t, serverOptions{})
	return w.connect(), w.server
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// wantError checks that an error says all of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}
