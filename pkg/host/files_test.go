package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestReadFile(t *testing.T) {
	h, _ := connected(t)
	path := filepath.Join(t.TempDir(), "a file's name")
	content := []byte("binary \x00\xff\n\n")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := h.ReadFile(context.Background(), path)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = h.ReadFile(context.Background(), path+".missing")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v, want fs.ErrNotExist", err)
	}
	wantError(t, err, path+".missing", h.Name())
	if _, err = h.ReadFile(context.Background(), filepath.Dir(path)); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading a directory: error is %v", err)
	}
}

func TestWriteFile(t *testing.T) {
	h, _ := connected(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "it's a file")
	write := func(content string, mode fs.FileMode) {
		t.Helper()
		if err := h.WriteFile(context.Background(), path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	want := func(content string, mode fs.FileMode) {
		t.Helper()
		got, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(got) != content || info.Mode().Perm() != mode {
			t.Errorf("it is %q %v, want %q %v (%v, %v)", got, info.Mode(), content, mode, err, statErr)
		}
	}
	write("new\x00\xff", 0)
	want("new\x00\xff", 0o644)
	write("secret", 0o600)
	want("secret", 0o600)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	write("kept mode, and longer than before", 0)
	want("kept mode, and longer than before", 0o640)
	write("", 0o755)
	want("", 0o755)
	wantOnly(t, dir, filepath.Base(path))
}

func TestWriteFileKeepsALink(t *testing.T) {
	h, _ := connected(t)
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteFile(context.Background(), link, []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "new" {
		t.Errorf("the target has %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is %v (%v)", info.Mode(), err)
	}
}

func TestWriteFileThatFailsLeavesNothing(t *testing.T) {
	h, _ := connected(t)
	dir := t.TempDir()
	err := h.WriteFile(context.Background(), filepath.Join(dir, "no", "such", "dir"), []byte("x"), 0o600)
	wantError(t, err, "writing "+dir, h.Name()+": ", "(exit code ")
	wantOnly(t, dir)
}

// wantOnly checks what a directory contains.
func TestWriteFileThatIsEndedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	script := variables("path", filepath.Join(dir, "token"), "size", "100", "mode", "0600", "random", "r") + writeScript
	command := exec.Command("sh", "-c", script)
	input, err := command.StdinPipe() // stays open: the script waits for the rest
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(input, "secret"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		parts, err := filepath.Glob(filepath.Join(dir, "token.part-*"))
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no part file: %v", err)
		}
		if len(parts) == 0 {
			continue
		}
		if data, err := os.ReadFile(parts[0]); err == nil && string(data) == "secret" {
			break
		}
	}
	// As endScript ends a command whose context was cancelled: the shell, and what it waits for.
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	input.Close()
	if err := command.Wait(); err == nil {
		t.Error("it succeeded")
	}
	wantOnly(t, dir)
}

func wantOnly(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s contains %q, want %q", dir, got, want)
	}
}

// content is a file to upload and its SHA-256.
func content(size int) (data []byte, sum string) {
	data = make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	digest := sha256.Sum256(data)
	return data, hex.EncodeToString(digest[:])
}

func TestUploadCopiesOnceAndVerifies(t *testing.T) {
	h, _ := connected(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "k0s")
	data, sum := content(3<<20 + 17)
	var mu sync.Mutex
	var last int64
	progress := func(done int64) {
		mu.Lock()
		defer mu.Unlock()
		if done < last {
			t.Errorf("progress went from %d to %d", last, done)
		}
		last = done
	}
	skipped, err := h.Upload(context.Background(), bytes.NewReader(data), int64(len(data)), sum, path, 0o755, progress)
	if err != nil || skipped {
		t.Fatalf("skipped %v, %v", skipped, err)
	}
	if last != int64(len(data)) {
		t.Errorf("progress ended at %d of %d", last, len(data))
	}
	got, _ := os.ReadFile(path)
	info, _ := os.Stat(path)
	if !bytes.Equal(got, data) || info.Mode().Perm() != 0o755 {
		t.Errorf("got %d bytes with mode %v", len(got), info.Mode())
	}
	wantOnly(t, dir, "k0s")

	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	skipped, err = h.Upload(context.Background(), bytes.NewReader(data), int64(len(data)), sum, path, 0o755, nil)
	if err != nil || !skipped {
		t.Errorf("again: skipped %v, %v", skipped, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o755 {
		t.Errorf("again: mode %v", info.Mode())
	}
	// Same size, one bit different.
	got[1000] ^= 1
	if err := os.WriteFile(path, got, 0o755); err != nil {
		t.Fatal(err)
	}
	skipped, err = h.Upload(context.Background(), bytes.NewReader(data), int64(len(data)), sum, path, 0o755, nil)
	if got, _ := os.ReadFile(path); err != nil || skipped || !bytes.Equal(got, data) {
		t.Errorf("after a change: skipped %v, %v", skipped, err)
	}
}

func TestUploadOfSomethingElseIsRefused(t *testing.T) {
	h, _ := connected(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "k0s")
	if err := os.WriteFile(path, []byte("the old one"), 0o755); err != nil {
		t.Fatal(err)
	}
	data, _ := content(1000)
	_, err := h.Upload(context.Background(), bytes.NewReader(data), 1000, strings.Repeat("0", 64), path, 0o755, nil)
	wantError(t, err, "uploading "+path, h.Name(), "SHA-256", "expected 0000")
	_, err = h.Upload(context.Background(), bytes.NewReader(data[:500]), 1000, strings.Repeat("0", 64), path, 0o755, nil)
	wantError(t, err, "only 500 of 1000 bytes")
	if got, _ := os.ReadFile(path); string(got) != "the old one" {
		t.Errorf("the old file is %q", got)
	}
	wantOnly(t, dir, "k0s")
}

// slowReader gives the test time to interrupt what reads it.
type slowReader struct {
	size    int64
	started chan struct{}
	once    sync.Once
	resume  <-chan struct{}
}

func (r *slowReader) ReadAt(p []byte, off int64) (int, error) {
	if off > r.size/2 {
		r.once.Do(func() { close(r.started) })
		<-r.resume
	}
	return len(p), nil
}

func TestInterruptedUploadLeavesTheOldFileAndNoRemains(t *testing.T) {
	for name, interrupt := range map[string]func(cancel func(), server *server){
		"cancelled":       func(cancel func(), _ *server) { cancel() },
		"connection lost": func(_ func(), server *server) { server.disconnectAll() },
	} {
		t.Run(name, func(t *testing.T) {
			h, server := connected(t)
			dir := t.TempDir()
			path := filepath.Join(dir, "k0s")
			if err := os.WriteFile(path, []byte("the old one"), 0o755); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			resume := make(chan struct{})
			src := &slowReader{size: 8 << 20, started: make(chan struct{}), resume: resume}
			done := make(chan error, 1)
			go func() {
				_, err := h.Upload(ctx, src, src.size, strings.Repeat("0", 64), path, 0o755, nil)
				done <- err
			}()
			<-src.started
			interrupt(cancel, server)
			if err := <-done; err == nil {
				t.Error("no error")
			}
			close(resume)
			eventually(t, "the part file goes", func() bool {
				parts, _ := filepath.Glob(path + ".part-*")
				return len(parts) == 0
			})
			if got, _ := os.ReadFile(path); string(got) != "the old one" {
				t.Errorf("the old file is %q", got)
			}
		})
	}
}

func TestUploadRemovesLeftoversOfThoseThatAreGone(t *testing.T) {
	h, _ := connected(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "k0s")
	gone := path + ".part-999999999-aaaa"
	running := path + ".part-1-bbbb" // process 1 always runs
	for _, p := range []string{gone, running, path + ".partial"} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, sum := content(10)
	if _, err := h.Upload(context.Background(), bytes.NewReader(data), 10, sum, path, 0o755, nil); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, dir, "k0s", "k0s.part-1-bbbb", "k0s.partial")
}

func TestLock(t *testing.T) {
	w := newWorld(t, serverOptions{})
	first, second := w.connect(), w.connect()
	path := filepath.Join(t.TempDir(), "dir", "lb.lock")
	unlock, err := first.Lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	soon := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.Background(), 2500*time.Millisecond)
	}
	ctx, cancel := soon()
	defer cancel()
	_, err = second.Lock(ctx, path)
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.HasPrefix(locked.Holder, first.holder+", since 20") || locked.PID == "" {
		t.Fatalf("error is %#v", err)
	}
	wantError(t, err, path, second.Name(), first.holder, "kill "+locked.PID)

	// Someone who waits gets it.
	got := make(chan error, 1)
	go func() {
		unlock, err := second.Lock(context.Background(), path)
		if err == nil {
			err = unlock()
		}
		got <- err
	}()
	for range 2 { // the second time is as the first
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || len(data) != 0 {
		t.Errorf("the lock file says %q (%v)", data, err)
	}
}

func TestLockIsReleasedWhenItsHolderDies(t *testing.T) {
	w := newWorld(t, serverOptions{})
	path := filepath.Join(t.TempDir(), "lb.lock")
	unlock, err := w.connect().Lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	w.server.disconnectAll()
	if err := unlock(); err == nil || !errors.Is(err, ErrDisconnected) {
		t.Errorf("unlock of a lost lock: %v", err)
	}
	unlock, err = w.connect().Lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestLockOutlivesItsContextAndHeedsItWhileWaiting(t *testing.T) {
	h, _ := connected(t)
	path := filepath.Join(t.TempDir(), "lb.lock")
	ctx, cancel := context.WithCancel(context.Background())
	unlock, err := h.Lock(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	waiting, stop := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, stop)
	if _, err := h.Lock(waiting, path); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: error is %v, want context.Canceled", err)
	}
	cancel()
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestLockThatCannotBeTakenSaysWhy(t *testing.T) {
	h, server := connected(t)
	server.program("flock", "echo 'flock: broken' >&2; exit 1")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := h.Lock(ctx, "/dev/null/no")
	wantError(t, err, "locking /dev/null/no on "+h.Name())
}

// A holder whose connection broke silently says nothing more, and its lock ends.
func TestALockEndsWithoutBeats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	silent, beats, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer beats.Close()
	script := variables("path", path, "wait", "0", "holder", "me", "patience", "1") + lockScript
	holder := exec.CommandContext(t.Context(), "sh", "-c", script)
	holder.Stdin = silent
	if _, err := beats.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	out, err := holder.Output()
	if string(out) != "locked\n" || err == nil || holder.ProcessState.ExitCode() != 124 {
		t.Errorf("got %q, %v", out, err)
	}
	if data, err := os.ReadFile(path); err != nil || len(data) > 0 {
		t.Errorf("the file still names it: %q, %v", data, err)
	}
}
