// Package k0s installs, starts and asks k0s on one host.
package k0s

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
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
	TokenPath      = "/etc/k0s/k0stoken" //nolint:gosec // where the token lies, not the token
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
	DataDir string // DefaultDataDir when empty; passed to every k0s command when it is another one
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

// k0s runs one k0s command. Secrets go through stdin, never into args.
func (n *Node) k0s(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	words := append([]string{n.binary()}, args...)
	if n.dataDir() != DefaultDataDir {
		words = append(words, "--data-dir", n.dataDir())
	}
	return n.Machine.Output(ctx, shellJoin(words), stdin)
}

// Version runs the executable for its version, as "v1.36.3+k0s.2".
func (n *Node) Version(ctx context.Context) (string, error) {
	out, err := n.Machine.Output(ctx, shellJoin([]string{n.binary(), "version"}), nil)
	if err != nil {
		return "", fmt.Errorf("asking k0s for its version: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// Status is the part of `k0s status -o json` that this project reads.
type Status struct {
	Version    string
	Role       string // "controller", "worker", ...
	Workloads  bool   // a controller that runs a kubelet, too
	SingleNode bool
	Args       []string
	// ClusterConfig is the configuration that the process started with; absent from a worker's answer.
	ClusterConfig struct {
		Spec struct {
			API struct {
				ExternalAddress string `json:"externalAddress"`
			} `json:"api"`
		} `json:"spec"`
	}
}

// ExternalAddress is the spec.api.externalAddress that the process started with.
func (s *Status) ExternalAddress() string { return s.ClusterConfig.Spec.API.ExternalAddress }

// Status asks the running k0s. It fails when k0s does not run.
func (n *Node) Status(ctx context.Context) (*Status, error) {
	out, err := n.k0s(ctx, nil, "status", "-o", "json")
	if err != nil {
		return nil, fmt.Errorf("asking k0s for its status: %w", err)
	}
	var status Status
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return nil, fmt.Errorf("reading the answer of k0s status: %w", err)
	}
	return &status, nil
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
	out, err := n.k0s(ctx, nil, "kubeconfig", "admin")
	if err != nil {
		return nil, fmt.Errorf("making an admin kubeconfig: %w", err)
	}
	return []byte(out + "\n"), nil
}

// ClientKubeconfig makes a kubeconfig for a user of no group, valid one year: it may read /readyz and nothing else.
func (n *Node) ClientKubeconfig(ctx context.Context, user string) ([]byte, error) {
	out, err := n.k0s(ctx, nil, "kubeconfig", "create", user)
	if err != nil {
		return nil, fmt.Errorf("making a kubeconfig for %q: %w", user, err)
	}
	return []byte(out + "\n"), nil
}

func shellJoin(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellQuote(w)
	}
	return strings.Join(quoted, " ")
}

func shellQuote(word string) string {
	plain := word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:=,@%+", r)
	})
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
