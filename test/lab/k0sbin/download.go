package k0sbin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/kubectl-ha/kubectl-ha/test/lab/internal/filelock"
)

// unavailableError says that the pinned release cannot be had here, for no fault of its own.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

// download returns the pinned release's executable in the cache. A file gets its name there only once its checksum
// was found right.
func (r resolver) download(ctx context.Context) (string, error) {
	sum, ok := r.release.sums[r.arch]
	if !ok {
		return "", &unavailableError{fmt.Errorf("k0s %s for %s is not downloaded: no checksum is pinned for it",
			r.release.version, r.arch)}
	}
	unlock, err := filelock.Lock(filepath.Join(r.cache, "download.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(r.cache, r.release.fileName(r.arch)+"-"+sum[:12])
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	body, err := r.open(ctx)
	if err != nil {
		return "", err
	}
	defer body.Close()
	fmt.Fprintf(r.log, "k0s: downloading %s\n", r.release.fileName(r.arch))
	if err := save(body, path, sum); err != nil {
		return "", fmt.Errorf("downloading %s: %w", r.release.fileName(r.arch), err)
	}
	return path, nil
}

func (r resolver) open(ctx context.Context) (io.ReadCloser, error) {
	address := r.server + "/" + r.release.path(r.arch)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("downloading k0s: %w", err)
	}
	response, err := r.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &unavailableError{fmt.Errorf("no download of k0s %s: %w", r.release.version, err)}
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, &unavailableError{fmt.Errorf("no download of k0s %s: %s answers %s", r.release.version, address, response.Status)}
	}
	return response.Body, nil
}

// save writes an executable file whose content must have the given SHA-256.
func save(content io.Reader, path, sum string) (err error) {
	part, err := os.CreateTemp(filepath.Dir(path), "part-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part.Name()))
		}
	}()
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(part, hash), content)
	if err := errors.Join(err, part.Chmod(0o755), part.Close()); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return fmt.Errorf("its SHA-256 is %s, but %s is pinned: the file is not used", got, sum)
	}
	return os.Rename(part.Name(), path)
}
