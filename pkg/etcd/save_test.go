package etcd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// copied is a member that gives this text, and then the error.
type copied struct {
	text string
	err  error
}

func (c copied) Snapshot(_ context.Context, out io.Writer) (Snapshot, error) {
	n, err := io.WriteString(out, c.text)
	return Snapshot{Size: int64(n)}, errors.Join(err, c.err)
}

func TestSaveSnapshot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "etcd.db")
	if err := os.WriteFile(path+".part", []byte("of a run that was killed"), 0o666); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if _, err := SaveSnapshot(t.Context(), copied{"half", broken}, path); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("something is left: %v, %v", entries, err)
	}
	for _, text := range []string{"whole", "newer"} {
		taken, err := SaveSnapshot(t.Context(), copied{text, nil}, path)
		if err != nil || taken.Size != 5 {
			t.Errorf("got %v, %v", taken, err)
		}
		data, err := os.ReadFile(path)
		if info, statErr := os.Stat(path); err != nil || statErr != nil || string(data) != text || info.Mode().Perm() != 0o600 {
			t.Errorf("got %q, %v, %v", data, err, statErr)
		}
	}
	if _, err := SaveSnapshot(t.Context(), copied{"x", nil}, filepath.Join(dir, "none", "etcd.db")); err == nil {
		t.Error("there is no such directory")
	}
}
