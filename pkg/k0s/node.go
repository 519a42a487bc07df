// Package k0s installs, starts and asks k0s on one host.
package k0s

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// Machine is the host as this package needs it. Commands run as root.
type Machine interface {
	Output(ctx context.Context, command string, stdin io.Reader) (string, error)
	ReadFile(ctx context.Context, path string) ([]byte, error)
	WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error
}

// Paths that k0s does not let a user choose, or that this project chooses for k0s.
const (
	DefaultBinary  = "/usr/local/bin/k0s"
	DefaultDataDir = "/var/lib/k0s"
	ConfigPath     = "/etc/k0s/k0s.yaml"
	TokenPath      = "/etc/k0s/kubectl-ha.token"
)

// Names of the services that `k0s install` makes, the same under systemd and OpenRC.
const (
	ControllerService = "k0scontroller"
	WorkerService     = "k0sworker"
)

// Node is k0s on one host.
type Node struct {
	Machine Machine
	Binary  string // DefaultBinary when empty
	DataDir string // DefaultDataDir when empty; passed to the k0s commands that take it when it is another one
	// KubeletRootDir is where the kubelet keeps its data; empty stands for k0s's default, below DataDir.
	KubeletRootDir string
}

func (n *Node) binary() string {
	if n.Binary == "" {
		return DefaultBinary
	}
	return n.Binary
}

func (n *Node) dataDir() string {
	if n.DataDir == "" {
		return DefaultDataDir
	}
	return n.DataDir
}

// PKI is the path of a file below k0s's pki directory.
func (n *Node) PKI(elements ...string) string {
	return path.Join(append([]string{n.dataDir(), "pki"}, elements...)...)
}

// run runs one k0s command. Its arguments are visible to everybody on the host: they hold no secrets.
func (n *Node) run(ctx context.Context, args ...string) (string, error) {
	return n.Machine.Output(ctx, shell.Join(append([]string{n.binary()}, args...)), nil)
}

// runIn runs one k0s command that works on the data directory. Others (version, status, start, stop) do not know the
// flag and fail on it (k0s v1.36.3, cmd).
func (n *Node) runIn(ctx context.Context, args ...string) (string, error) {
	return n.run(ctx, n.inDataDir(args)...)
}

func (n *Node) inDataDir(args []string) []string {
	if n.dataDir() != DefaultDataDir {
		args = append(args, "--data-dir", n.dataDir())
	}
	return args
}

// Version runs the executable for its version, as "v1.36.3+k0s.2".
func (n *Node) Version(ctx context.Context) (string, error) {
	out, err := n.run(ctx, "version")
	if err != nil {
		return "", fmt.Errorf("asking k0s for its version: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// AdminKubeconfig reads the kubeconfig that reaches the API server on this host, by localhost.
func (n *Node) AdminKubeconfig(ctx context.Context) ([]byte, error) {
	data, err := n.Machine.ReadFile(ctx, n.PKI("admin.conf"))
	if err != nil {
		return nil, fmt.Errorf("reading k0s's admin kubeconfig: %w", err)
	}
	return data, nil
}

// ExternalKubeconfig makes an administrator's kubeconfig that goes to spec.api.externalAddress.
func (n *Node) ExternalKubeconfig(ctx context.Context) ([]byte, error) {
	out, err := n.runIn(ctx, "kubeconfig", "admin")
	if err != nil {
		return nil, fmt.Errorf("making an admin kubeconfig: %w", err)
	}
	return []byte(out + "\n"), nil
}

// HasEtcdData tells whether the host has an etcd database. With one, k0s does not join again: it goes on as the member
// that it was, and takes no notice of a token (k0s v1.36.3, cmd/controller).
func (n *Node) HasEtcdData(ctx context.Context) (bool, error) {
	file := shell.Word(path.Join(n.dataDir(), "etcd", "member", "snap", "db"))
	out, err := n.Machine.Output(ctx, "if [ -e "+file+" ]; then echo yes; else echo no; fi", nil)
	if err != nil {
		return false, fmt.Errorf("looking for etcd's data: %w", err)
	}
	return strings.TrimSpace(out) == "yes", nil
}
