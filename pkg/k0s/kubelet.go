package k0s

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
)

// serverPattern finds the API server's URL in a kubeconfig that k0s wrote: what is before it in the line, the URL, and
// what is after it.
var serverPattern = regexp.MustCompile(`(?m)^([ \t]*server:[ \t]+["']?)([^\s"'#]+)(["']?[ \t]*(?:[ \t]#.*)?\r?)$`)

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
	server, found := serverOf(data)
	if !found {
		return "", fmt.Errorf("reading the kubelet's kubeconfig: no server in %s", n.kubeletConfig())
	}
	return server, nil
}

// SetKubeletServer points the kubelet to another API server URL. It takes effect when k0s is started anew.
func (n *Node) SetKubeletServer(ctx context.Context, server string) error {
	data, err := n.Machine.ReadFile(ctx, n.kubeletConfig())
	if err != nil {
		return fmt.Errorf("re-pointing the kubelet: %w", err)
	}
	if _, found := serverOf(data); !found {
		return fmt.Errorf("re-pointing the kubelet: no server in %s", n.kubeletConfig())
	}
	if err := n.Machine.WriteFile(ctx, n.kubeletConfig(), withServer(data, server), 0); err != nil {
		return fmt.Errorf("re-pointing the kubelet: %w", err)
	}
	return nil
}

// serverOf finds the API server's URL in a kubeconfig.
func serverOf(kubeconfig []byte) (string, bool) {
	match := serverPattern.FindSubmatch(kubeconfig)
	if match == nil {
		return "", false
	}
	return string(match[2]), true
}

// withServer puts another API server URL into a kubeconfig. Every other byte stays.
func withServer(kubeconfig []byte, server string) []byte {
	return serverPattern.ReplaceAllFunc(kubeconfig, func(line []byte) []byte {
		match := serverPattern.FindSubmatch(line)
		return append(append(append([]byte{}, match[1]...), server...), match[3]...)
	})
}
