package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The ssh program takes a connection before it knows whether the host can make its own: dial must not.
func TestDialThroughTheSSHProgramFailsWhereTheHostCannotConnect(t *testing.T) {
	path := os.Getenv("PATH")
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("there is no ssh program")
	}
	world := newWorld(t, serverOptions{})
	t.Setenv("PATH", path) // the real one
	c := world.conn().SSH
	dir, err := os.MkdirTemp("", "ha-") // the name of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &opensshWire{dir: dir, args: []string{"-F", "none", "-i", world.keyPath, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=QUIET", "-p", fmt.Sprint(c.Port), "-l", c.User, "--", c.Address}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	_, err = w.dial(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", closedPort(t)))
	wantError(t, err, "open failed", "refused")
	socket := filepath.Join(dir, "theirs")
	_, err = w.dial(ctx, "unix", socket)
	wantError(t, err, "open failed")

	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	conn, err := w.dial(ctx, "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOpenSSHOptions(t *testing.T) {
	users := map[string]any{
		"stricthostkeychecking":   "no", // comes too late: the first value counts
		"Compression":             true,
		"Ciphers":                 []any{"aes128-ctr", "aes256-ctr"},
		"HostKeyAlgorithms":       []any{"ssh-ed25519", "rsa-sha2-512"},
		"SendEnv":                 []any{"LANG", "LC_*"},
		"NumberOfPasswordPrompts": 0,
		"IdentityAgent":           nil,
	}
	got := opensshOptions(users, map[string]string{"StrictHostKeyChecking": "yes", "BatchMode": "yes"})
	want := []string{
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "Ciphers=aes128-ctr,aes256-ctr", "-o", "Compression=yes", "-o", "HostKeyAlgorithms=ssh-ed25519,rsa-sha2-512",
		"-o", "NumberOfPasswordPrompts=0", "-o", "SendEnv=LANG LC_*", "-o", "stricthostkeychecking=no",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
