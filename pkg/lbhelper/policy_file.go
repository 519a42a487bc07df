//go:build linux

package lbhelper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxPolicy bounds what is read of a policy.
const maxPolicy = 64 << 10

// LoadPolicy reads the policy of this host. A file that anybody but root may write is refused: what it allows would be
// that user's to say.
func LoadPolicy(path string) (*Policy, error) {
	policy, err := loadPolicy(path, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the policy %s: %w", path, err)
	}
	return policy, nil
}

func loadPolicy(path string, owner uint32) (*Policy, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || stat.Uid != owner || info.Mode().Perm()&0o022 != 0 {
		return nil, errors.New("it has to be a regular file that root owns and nobody else may write: chown root and chmod 0644 it")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxPolicy))
	if err != nil {
		return nil, err
	}
	return ParsePolicy(data)
}
