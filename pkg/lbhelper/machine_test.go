package lbhelper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWriteFileReplacesAndKeepsTheMode(t *testing.T) {
	m, dir := &machine{}, t.TempDir()
	path, link := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteFile(t.Context(), link, []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err = os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if content, err := m.ReadFile(t.Context(), path); err != nil || string(content) != "new" {
		t.Errorf("%q, %v", content, err)
	}
	if err := m.WriteFile(t.Context(), path, []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err = os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + ".part-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := m.WriteFile(t.Context(), filepath.Join(dir, "no", "folder"), nil, 0o600); err == nil {
		t.Error("wrote into a folder that is not there")
	}
	if _, err := m.ReadFile(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestLockIsOnesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first := &machine{holder: "anna", lockWait: time.Millisecond}
	unlock, err := first.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	second := &machine{holder: "bert", lockWait: time.Millisecond}
	_, err = second.Lock(t.Context(), path)
	if busy := (*lockedError)(nil); !errors.As(err, &busy) || !strings.Contains(err.Error(), "anna, since") {
		t.Errorf("%v", err)
	}
	second.lockWait = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := second.Lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = second.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = unlock()
}

func TestCommandsRunInAnEnvironmentOfOurOwnAndEndWithTheirContext(t *testing.T) {
	t.Setenv("LD_PRELOAD_TEST", "evil")
	m := &machine{}
	out, err := m.Output(t.Context(), `echo "$LD_PRELOAD_TEST$PATH"; cat`, strings.NewReader("given"))
	if err != nil || out != strings.TrimPrefix(searchPath, "PATH=")+"\ngiven" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := m.Output(t.Context(), "echo why >&2; exit 3", nil); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := m.Output(ctx, "sleep 60 & wait", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it ended after %v", took)
	}
}
