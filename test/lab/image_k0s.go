package lab

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kubectl-ha/kubectl-ha/test/lab/internal/filelock"
)

// k0sPath is where k0s's own installer puts it.
const k0sPath = "usr/local/bin/k0s"

// k0sImage makes the image of a host that has that executable, from the image of one that has none, and returns its tag.
// The same file is put into an image once.
func k0sImage(ctx context.Context, stateDir, bare, executable string) (string, error) {
	file, err := os.Open(executable)
	if err != nil {
		return "", fmt.Errorf("reading the hosts' k0s: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("reading the hosts' k0s: %w", err)
	}
	sum := sha256.Sum256(fmt.Append(nil, bare, executable, info.Size(), info.ModTime().UnixNano()))
	tag := imageName + ":k0s-" + hex.EncodeToString(sum[:6])
	unlock, err := filelock.Lock(filepath.Join(stateDir, "image.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if haveImage(ctx, tag) {
		return tag, nil
	}
	buildContext, w := io.Pipe()
	go func() { w.CloseWithError(packK0s(w, bare, file, info.Size())) }()
	defer buildContext.Close() // lets the packing end when the build has ended before it
	if _, err := docker(ctx, buildContext, "build", "--tag", tag, "--label", labelLab+".image="+string(K0s), "-"); err != nil {
		return "", fmt.Errorf("building image %s: %w", tag, err)
	}
	return tag, nil
}

// packK0s writes what such an image is built of.
func packK0s(to io.Writer, bare string, executable io.Reader, size int64) error {
	w := tar.NewWriter(to)
	dockerfile := fmt.Appendf(nil, "FROM %s\nCOPY %s /%[2]s\n", bare, k0sPath)
	if err := writeTarFile(w, "Dockerfile", dockerfile, 0o644); err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: k0sPath, Mode: 0o755, Size: size}); err != nil {
		return err
	}
	if _, err := io.Copy(w, executable); err != nil {
		return err
	}
	return w.Close()
}
