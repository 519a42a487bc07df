package k0sbin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/test/lab/internal/filelock"
)

// buildStandIn builds the lab's stand-in into dir, which takes minutes the first time and nothing when its sources
// are unchanged. It is a Go module of its own, in this module's folder test/lab/k0s.
func buildStandIn(ctx context.Context, dir string, log io.Writer) (string, error) {
	var stdout bytes.Buffer
	gomod := exec.CommandContext(ctx, "go", "env", "GOMOD")
	gomod.Stdout = &stdout
	if err := gomod.Run(); err != nil {
		return "", fmt.Errorf("finding the sources of the lab's stand-in for k0s: %w", err)
	}
	file := strings.TrimSpace(stdout.String())
	if file == "" || file == os.DevNull {
		return "", errors.New("finding the sources of the lab's stand-in for k0s: run this in a checkout of kubectl-ha")
	}
	unlock, err := filelock.Lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	fmt.Fprintln(log, "k0s: building the lab's stand-in, which takes some minutes the first time")
	build := exec.CommandContext(ctx, "go", "run", "./build", "-o", dir)
	build.Dir = filepath.Join(filepath.Dir(file), "test", "lab", "k0s")
	// Flags and workspaces of the caller's module are not for this one.
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "PWD="+build.Dir)
	build.Stdout, build.Stderr = log, log
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building the lab's stand-in for k0s: %w", err)
	}
	return filepath.Join(dir, "k0s"), nil
}
