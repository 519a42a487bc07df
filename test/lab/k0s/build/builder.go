package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/bundle"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// components are the executables that the stand-in carries, by package.
func components() []struct{ name, pkg string } {
	return []struct{ name, pkg string }{
		{"etcd", "go.etcd.io/etcd/server/v3"},
		{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
		{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
		{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
	}
}

// builder keeps in out what it has made and, beside each part, a stamp of what
// it was made from.
type builder struct {
	out string
	log io.Writer
}

func (b *builder) result() string { return filepath.Join(b.out, "k0s") }

func (b *builder) run(ctx context.Context) error {
	folder := filepath.Join(b.out, "components")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	environment, err := goEnvironment(ctx)
	if err != nil {
		return err
	}
	versions, err := hashFiles([]string{"go.mod", "go.sum"})
	if err != nil {
		return err
	}
	sources, err := sourceFiles(".")
	if err != nil {
		return err
	}
	code, err := hashFiles(sources)
	if err != nil {
		return err
	}
	everything := stampOf(environment, linkFlags(), versions, code)
	if fresh(b.result(), everything) {
		return nil
	}
	var paths []string
	for _, c := range components() {
		path := filepath.Join(folder, c.name)
		paths = append(paths, path)
		if err := b.build(ctx, path, c.pkg, stampOf(environment, linkFlags(), versions, c.pkg)); err != nil {
			return err
		}
	}
	program := filepath.Join(folder, "k0s-program")
	if err := b.build(ctx, program, ".", everything); err != nil {
		return err
	}
	return b.pack(program, paths, everything)
}

// build compiles a package unless its stamp says that it is there.
func (b *builder) build(ctx context.Context, path, pkg, stamp string) error {
	if fresh(path, stamp) {
		return nil
	}
	fmt.Fprintf(b.log, "building %s\n", pkg)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", linkFlags(), "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = b.log, b.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w", pkg, err)
	}
	return writeStamp(path, stamp)
}

func (b *builder) pack(program string, paths []string, stamp string) error {
	temp, err := os.CreateTemp(b.out, ".k0s-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	err = bundle.Append(temp, program, paths)
	if err == nil {
		err = temp.Chmod(0o755)
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), b.result())
	}
	if err != nil {
		return fmt.Errorf("packing %s: %w", b.result(), err)
	}
	return writeStamp(b.result(), stamp)
}

// linkFlags strip the executables and set the version that the Kubernetes
// components report.
func linkFlags() string {
	const version = "k8s.io/component-base/version."
	major, rest, _ := strings.Cut(strings.TrimPrefix(vars.KubernetesVersion, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return strings.Join([]string{
		"-s", "-w",
		"-X", version + "gitVersion=" + vars.KubernetesVersion,
		"-X", version + "gitMajor=" + major,
		"-X", version + "gitMinor=" + minor,
	}, " ")
}

// goEnvironment names the compiler and what it compiles for.
func goEnvironment(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH", "GOFLAGS").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	return string(out), nil
}
