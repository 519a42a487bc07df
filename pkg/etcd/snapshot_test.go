package etcd

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestTheChecksumOfASnapshotIsVerified(t *testing.T) {
	database := bytes.Repeat([]byte("database"), 512) // 4096 bytes
	sum := sha256.Sum256(database)
	good := append(bytes.Clone(database), sum[:]...)
	damaged := bytes.Clone(good)
	damaged[7]++
	for name, c := range map[string]struct {
		data []byte
		ok   bool
	}{
		"whole":              {good, true},
		"damaged":            {damaged, false},
		"cut off in a page":  {good[:1000], false},
		"without a checksum": {database, false},
		"cut off at a page":  {good[:512+sha256.Size], false},
		"empty":              {nil, false},
	} {
		for _, piece := range []int{1, 31, 32, 33, 1000, 1 << 20} {
			check := newTrailerCheck()
			for rest := c.data; len(rest) > 0; {
				n := min(piece, len(rest))
				if wrote, err := check.Write(rest[:n]); wrote != n || err != nil {
					t.Fatal(wrote, err)
				}
				rest = rest[n:]
			}
			got, err := check.verify(int64(len(c.data)))
			if (err == nil) != c.ok || c.ok && !bytes.Equal(got, sum[:]) {
				t.Errorf("%s, in pieces of %d: got %x, %v", name, piece, got, err)
			}
		}
	}
}
