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
// are unchanged.
func buildStandIn(ctx context.Context, dir string, log io.Writer) (string, error) {
	fmt.Fprintln(log, "k0s: building the lab's stand-in, which takes some minutes the first time")
	if err := runGo(ctx, dir+".lock", log, "run", "./build", "-o", dir); err != nil {
		return "", fmt.Errorf("building the lab's stand-in for k0s: %w", err)
	}
	return filepath.Join(dir, "k0s"), nil
}

// KubeProxy builds Kubernetes' own kube-proxy, whose image the lab cannot pull, and returns its path.
func KubeProxy(ctx context.Context, log io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder for kube-proxy: %w", err)
	}
	path := filepath.Join(cache, "kubectl-ha", "kube-proxy")
	if err := runGo(ctx, path+".lock", log, "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "k8s.io/kubernetes/cmd/kube-proxy"); err != nil {
		return "", fmt.Errorf("building kube-proxy: %w", err)
	}
	return path, nil
}

// runGo runs a go command in the stand-in's module, which is this module's folder test/lab/k0s; one at a time per lock.
func runGo(ctx context.Context, lock string, log io.Writer, args ...string) error {
	var stdout bytes.Buffer
	gomod := exec.CommandContext(ctx, "go", "env", "GOMOD")
	gomod.Stdout = &stdout
	if err := gomod.Run(); err != nil {
		return fmt.Errorf("finding the sources: %w", err)
	}
	file := strings.TrimSpace(stdout.String())
	if file == "" || file == os.DevNull {
		return errors.New("finding the sources: run this in a checkout of kubectl-ha")
	}
	unlock, err := filelock.Lock(lock)
	if err != nil {
		return err
	}
	defer unlock()
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = filepath.Join(filepath.Dir(file), "test", "lab", "k0s")
	// Flags and workspaces of the caller's module are not for this one. Without cgo, compiled packages are shared.
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "PWD="+command.Dir)
	command.Stdout, command.Stderr = log, log
	return command.Run()
}
