package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Snapshotter is a member that can be copied: a *Client, or a test's.
type Snapshotter interface {
	Snapshot(ctx context.Context, out io.Writer) (Snapshot, error)
}

// SaveSnapshot copies the database to a file of this machine that its owner alone can read. It writes beside the file,
// and puts the copy into its place once it is complete and on the disk.
func SaveSnapshot(ctx context.Context, from Snapshotter, path string) (Snapshot, error) {
	part := path + ".part"
	taken, err := writeSnapshot(ctx, from, part)
	if err != nil {
		return taken, errors.Join(err, removeIfThere(part))
	}
	if err = os.Rename(part, path); err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return taken, fmt.Errorf("writing the snapshot: %w", err)
	}
	return taken, nil
}

// writeSnapshot writes a new file: one that a killed run left may be open to others.
func writeSnapshot(ctx context.Context, from Snapshotter, path string) (taken Snapshot, err error) {
	if err = removeIfThere(path); err != nil {
		return taken, fmt.Errorf("writing the snapshot: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return taken, fmt.Errorf("writing the snapshot: %w", err)
	}
	defer file.Close()
	if taken, err = from.Snapshot(ctx, file); err != nil {
		return taken, err
	}
	if err = errors.Join(file.Sync(), file.Close()); err != nil {
		return taken, fmt.Errorf("writing the snapshot: %w", err)
	}
	return taken, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDirectory makes a rename outlive a power failure, where the system lets a program do so.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}
