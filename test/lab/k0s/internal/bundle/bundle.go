// Package bundle keeps the component executables inside the stand-in's own
// file, as k0s does: a zip archive appended to it, from which they are staged
// into the data directory.
package bundle

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Append writes the executable at program to out and, after it, the given
// files uncompressed under their base names.
func Append(out io.Writer, program string, files []string) error {
	size, err := copyFile(out, program)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(out)
	archive.SetOffset(size)
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("packing a component: %w", err)
		}
		header := &zip.FileHeader{Name: filepath.Base(path), Method: zip.Store, Modified: info.ModTime()}
		header.SetMode(0o755)
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return fmt.Errorf("packing %s: %w", path, err)
		}
		if _, err := copyFile(entry, path); err != nil {
			return err
		}
	}
	return archive.Close()
}

// Stage returns the path of a component in dir, extracting it from the program
// at self unless the same file is there already. A component that self does
// not hold is looked up on PATH.
func Stage(self, dir, name string) (string, error) {
	archive, err := zip.OpenReader(self)
	if errors.Is(err, zip.ErrFormat) {
		return exec.LookPath(name)
	}
	if err != nil {
		return "", fmt.Errorf("opening the components in %s: %w", self, err)
	}
	defer archive.Close()
	for _, entry := range archive.File {
		if entry.Name == name {
			path := filepath.Join(dir, name)
			return path, extract(entry, path)
		}
	}
	return exec.LookPath(name)
}

// extract writes an entry to path. Size and time of modification tell whether
// it is there already: reading 300 MB at every start would take longer than
// the start itself.
func extract(entry *zip.File, path string) error {
	modified := entry.Modified.Truncate(time.Second)
	info, err := os.Stat(path)
	if err == nil && info.Size() == int64(entry.UncompressedSize64) && info.ModTime().Equal(modified) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("staging %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("staging %s: %w", path, err)
	}
	content, err := entry.Open()
	if err != nil {
		return fmt.Errorf("staging %s: %w", path, err)
	}
	defer content.Close()
	temp, err := os.CreateTemp(filepath.Dir(path), "."+entry.Name+".*")
	if err != nil {
		return fmt.Errorf("staging %s: %w", path, err)
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, content)
	if err == nil {
		err = temp.Chmod(0o755)
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chtimes(temp.Name(), modified, modified)
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("staging %s: %w", path, err)
	}
	return nil
}

func copyFile(out io.Writer, path string) (int64, error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("packing a component: %w", err)
	}
	defer in.Close()
	n, err := io.Copy(out, in)
	if err != nil {
		return n, fmt.Errorf("packing %s: %w", path, err)
	}
	return n, nil
}
