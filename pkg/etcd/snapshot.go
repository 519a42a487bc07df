package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Snapshot is a copy of the database that was verified.
type Snapshot struct {
	Size   int64  // bytes, the checksum included
	SHA256 []byte // of the database, as it stands behind it
}

// Snapshot streams a copy of the member's database to out, in the form that "etcdutl snapshot restore" takes: the
// database and its SHA-256. The checksum is verified; out is worth nothing when there is an error.
func (c *Client) Snapshot(ctx context.Context, out io.Writer) (Snapshot, error) {
	response, err := c.api.SnapshotWithVersion(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("taking a snapshot of etcd: %w", err)
	}
	defer response.Snapshot.Close()
	check := newTrailerCheck()
	size, err := io.Copy(io.MultiWriter(out, check), response.Snapshot)
	if err != nil {
		return Snapshot{}, fmt.Errorf("taking a snapshot of etcd: %w", err)
	}
	sum, err := check.verify(size)
	if err != nil {
		return Snapshot{}, fmt.Errorf("taking a snapshot of etcd: %w", err)
	}
	return Snapshot{Size: size, SHA256: sum}, nil
}

// trailerCheck hashes all that is written to it but the last bytes, which are the checksum of what went before.
type trailerCheck struct {
	sum     hash.Hash
	trailer []byte
}

func newTrailerCheck() *trailerCheck { return &trailerCheck{sum: sha256.New()} }

func (t *trailerCheck) Write(p []byte) (int, error) {
	t.trailer = append(t.trailer, p...)
	if over := len(t.trailer) - sha256.Size; over > 0 {
		t.sum.Write(t.trailer[:over])
		t.trailer = append(t.trailer[:0], t.trailer[over:]...)
	}
	return len(p), nil
}

// verify compares. A database consists of pages of at least 512 bytes, by which etcdutl tells that a checksum is there.
func (t *trailerCheck) verify(size int64) ([]byte, error) {
	if size%512 != sha256.Size {
		return nil, fmt.Errorf("it has no checksum at its end (%d bytes): it was cut off", size)
	}
	if sum := t.sum.Sum(nil); !bytes.Equal(sum, t.trailer) {
		return nil, errors.New("its checksum is wrong: it was damaged on the way")
	}
	return t.trailer, nil
}
