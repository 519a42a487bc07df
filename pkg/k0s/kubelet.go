package k0s

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
)

// serverPattern finds the API server's URL in a kubeconfig that k0s wrote.
var serverPattern = regexp.MustCompile(`(?m)^(\s*server:\s*)(\S+)\s*$`)

func (n *Node) kubeletConfig() string { return path.Join(n.dataDir(), "kubelet.conf") }

// KubeletServer reads which API server URL the kubelet on the host uses; empty when it has not joined.
func (n *Node) KubeletServer(ctx context.Context) (string, error) {
	data, err := n.Machine.ReadFile(ctx, n.kubeletConfig())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the kubelet's kubeconfig: %w", err)
	}
	match := serverPattern.FindSubmatch(data)
	if match == nil {
		return "", fmt.Errorf("reading the kubelet's kubeconfig: no server in %s", n.kubeletConfig())
	}
	return string(bytes.Trim(match[2], `"'`)), nil
}

// SetKubeletServer points the kubelet to another API server URL. It takes effect when k0s is restarted.
func (n *Node) SetKubeletServer(ctx context.Context, server string) error {
	data, err := n.Machine.ReadFile(ctx, n.kubeletConfig())
	if err != nil {
		return fmt.Errorf("re-pointing the kubelet: %w", err)
	}
	changed := serverPattern.ReplaceAll(data, []byte("${1}"+server))
	if err := n.Machine.WriteFile(ctx, n.kubeletConfig(), changed, 0); err != nil {
		return fmt.Errorf("re-pointing the kubelet: %w", err)
	}
	return nil
}
