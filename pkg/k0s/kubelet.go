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

// KubeletKubeconfig reads the kubeconfig of the kubelet on the host; nil when it has not joined.
func (n *Node) KubeletKubeconfig(ctx context.Context) ([]byte, error) {
	data, err := n.Machine.ReadFile(ctx, n.kubeletConfig())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubelet's kubeconfig: %w", err)
	}
	return data, nil
}

// KubeletServer finds the API server's URL in the kubeconfig of a kubelet.
func KubeletServer(kubeconfig []byte) (string, error) {
	match := serverPattern.FindSubmatch(kubeconfig)
	if match == nil {
		return "", errors.New("reading the kubelet's kubeconfig: it names no server")
	}
	return string(match[2]), nil
}

// SetKubeletServer points the kubelet to another API server URL. It takes effect when k0s is started anew.
func (n *Node) SetKubeletServer(ctx context.Context, server string) error {
	data, err := n.Machine.ReadFile(ctx, n.kubeletConfig())
	if err != nil {
		return fmt.Errorf("re-pointing the kubelet: %w", err)
	}
	if _, err := KubeletServer(data); err != nil {
		return fmt.Errorf("re-pointing the kubelet: %w", err)
	}
	if err := n.Machine.WriteFile(ctx, n.kubeletConfig(), withServer(data, server), 0); err != nil {
		return fmt.Errorf("re-pointing the kubelet: %w", err)
	}
	return nil
}

// withServer puts another API server URL into a kubeconfig. Every other byte stays.
func withServer(kubeconfig []byte, server string) []byte {
	return serverPattern.ReplaceAllFunc(kubeconfig, func(line []byte) []byte {
		match := serverPattern.FindSubmatch(line)
		return append(append(append([]byte{}, match[1]...), server...), match[3]...)
	})
}
