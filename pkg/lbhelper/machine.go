//go:build linux

package lbhelper

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// machine is the host that the helper runs on, as its root sees it.
type machine struct {
	// holder is who is named in the lock file.
	holder string
	// lockWait is how long somebody else's lock is waited for.
	lockWait time.Duration
}

// searchPath is where commands are looked for, whatever the SSH session's environment says.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lockInterval is between two attempts to take a lock.
const lockInterval = 50 * time.Millisecond

// maxStderr is how much of a failed command's standard error is told.
const maxStderr = 2 << 10

// Output runs a shell command, in an environment of our own.
func (m *machine) Output(ctx context.Context, command string, stdin io.Reader) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	var stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stderr = []string{searchPath, "LC_ALL=C", "HOME=/"}, "/", stdin, &stderr
	// A group of its own is what a cancelled command can be ended with, its children included.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		said := strings.TrimSpace(stderr.String())
		line, _, _ := strings.Cut(command, "\n")
		return "", fmt.Errorf("running `%s`: %s: %w", line, said[:min(len(said), maxStderr)], err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// ReadFile reads a file.
func (m *machine) ReadFile(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

// WriteFile replaces a file in one step. Mode 0 keeps owner, mode, access list and SELinux context of the one there is.
func (m *machine) WriteFile(_ context.Context, path string, data []byte, mode fs.FileMode) (err error) {
	defer func() {
		// Its path is another one each time, and what is told of an error is to stay the same for as long as the error does.
		if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
			err = cause.Err
		}
		if err != nil {
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	part := path + ".part-" + hex.EncodeToString(random)
	file, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(part) //nolint:errcheck // it is gone where all went well
	_, err = file.Write(data)
	if err == nil {
		err = adopt(file, path, mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// adopt gives file the mode, or, for mode 0, all that the file of that path has besides its content.
func adopt(file *os.File, path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if mode != 0 || errors.Is(err, fs.ErrNotExist) {
		if mode == 0 {
			mode = 0o644
		}
		return file.Chmod(mode.Perm())
	}
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	if err := file.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	for _, attribute := range []string{"security.selinux", "system.posix_acl_access"} {
		if err := copyAttribute(path, file.Name(), attribute); err != nil {
			return err
		}
	}
	return nil
}

// copyAttribute copies an extended attribute, where there is one.
func copyAttribute(from, to, attribute string) error {
	value := make([]byte, 4<<10)
	n, err := syscall.Getxattr(from, attribute, value)
	if errors.Is(err, syscall.ENODATA) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	if err == nil {
		err = syscall.Setxattr(to, attribute, value[:n], 0)
	}
	if err != nil {
		return fmt.Errorf("keeping its attribute %s: %w", attribute, err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// DialContext connects to a socket of this host.
func (m *machine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// lockedError says that somebody else changes this HAProxy.
type lockedError struct{ path, holder string }

func (e *lockedError) Error() string {
	return fmt.Sprintf("another operation changes HAProxy: %s is locked by %s", e.path, e.holder)
}

// Lock takes the lock that all who change this HAProxy take. The end of this process releases it.
func (m *machine) Lock(ctx context.Context, path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	end := time.Now().Add(m.lockWait)
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if !time.Now().Before(end) {
			defer file.Close()
			return nil, &lockedError{path: path, holder: holderOf(file)}
		}
		timer := time.NewTimer(lockInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			file.Close()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
	text := fmt.Sprintf("%s, since %s\n%d\n", m.holder, time.Now().UTC().Format(time.RFC3339), os.Getpid())
	// The lock is held, whoever is named in it.
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(text), 0)
	return func() error {
		_ = file.Truncate(0)
		return file.Close()
	}, nil
}

// holderOf reads who is named in a lock file.
func holderOf(file *os.File) string {
	text := make([]byte, 512)
	n, _ := file.ReadAt(text, 0) // what could be read will do
	holder, _, _ := strings.Cut(strings.TrimSpace(string(text[:n])), "\n")
	if holder == "" {
		return "a process that has not said who it is"
	}
	return holder
}
