package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// localMachine is the host that the test runs on.
type localMachine struct {
	// path, when not empty, is looked into for commands before all else.
	path string
	// before, when not nil, is called before each operation and makes it fail.
	before func(operation, argument string) error
}

func (m *localMachine) allow(operation, argument string) error {
	if m.before == nil {
		return nil
	}
	return m.before(operation, argument)
}

func (m *localMachine) Output(ctx context.Context, command string, stdin io.Reader) (string, error) {
	if err := m.allow("output", command); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	if m.path != "" {
		cmd.Env = append(os.Environ(), "PATH="+m.path+":"+os.Getenv("PATH"))
	}
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("running %q: %w: %s", command, err, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n"), err
}

func (m *localMachine) ReadFile(_ context.Context, path string) ([]byte, error) {
	if err := m.allow("read", path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func (m *localMachine) WriteFile(_ context.Context, path string, data []byte, mode fs.FileMode) error {
	if err := m.allow("write", path); err != nil {
		return err
	}
	if mode == 0 {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		mode = info.Mode().Perm()
	}
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (m *localMachine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := m.allow("dial", address); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

func (m *localMachine) Lock(ctx context.Context, path string) (func() error, error) {
	if err := m.allow("lock", path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(time.Millisecond):
		}
	}
}
