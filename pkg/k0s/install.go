package k0s

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// Install says how k0s is to run on the host.
type Install struct {
	Controller     bool
	EnableWorker   bool // a controller that runs a kubelet, too
	NoTaints       bool
	TokenFile      string // empty for the first controller
	KubeletRootDir string
	Flags          []string // further words for `k0s install`, as the user gave them
	Environment    map[string]string
}

// Args are the arguments of `k0s install` that express it.
func (i Install) Args() []string {
	args := []string{"install", "worker"}
	if i.Controller {
		args = []string{"install", "controller", "--config", ConfigPath}
	}
	if i.Controller && i.EnableWorker {
		args = append(args, "--enable-worker")
	}
	if i.Controller && i.NoTaints {
		args = append(args, "--no-taints")
	}
	if i.TokenFile != "" {
		args = append(args, "--token-file", i.TokenFile)
	}
	if i.KubeletRootDir != "" {
		args = append(args, "--kubelet-root-dir", i.KubeletRootDir)
	}
	for _, flag := range i.Flags {
		// A flag that the role already gave may stand once more in the user's own list.
		if !slices.Contains([]string{"--enable-worker", "--no-taints"}, flag) || !slices.Contains(args, flag) {
			args = append(args, flag)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Environment)) {
		args = append(args, "--env", name+"="+i.Environment[name])
	}
	return append(args, "--force")
}

// Install writes the service's unit. An existing one is rewritten: the host's k0s has not joined a cluster yet.
func (n *Node) Install(ctx context.Context, install Install) error {
	if _, err := n.runIn(ctx, install.Args()...); err != nil {
		return fmt.Errorf("installing the k0s service: %w", err)
	}
	return nil
}

// Start starts the installed controller; it is no error when it runs already.
func (n *Node) Start(ctx context.Context) error {
	if _, err := n.Status(ctx); err == nil {
		return nil
	}
	_, err := n.run(ctx, "start")
	if err != nil && strings.Contains(err.Error(), "failed state") {
		// k0s starts no service that systemd holds for failed, as one that was stopped in the middle of its join.
		if _, err := n.Machine.Output(ctx, "systemctl reset-failed "+ControllerService, nil); err != nil {
			return fmt.Errorf("starting k0s: %w", err)
		}
		_, err = n.run(ctx, "start")
	}
	// The service may run though k0s does not answer yet.
	if err != nil && !strings.Contains(err.Error(), "already running") {
		return fmt.Errorf("starting k0s: %w", err)
	}
	return nil
}

// resetLock is held on the host by a reset.
const resetLock = "/run/kubectl-ha-reset.lock"

// Reset takes k0s's data off the host. k0s must not run. The executable stays. A reset that was begun from here goes on when
// the connection is cut, and is waited for: two at the same time get into each other's way.
func (n *Node) Reset(ctx context.Context) error {
	args := []string{n.binary(), "reset"}
	if n.KubeletRootDir != "" {
		args = append(args, "--kubelet-root-dir", n.KubeletRootDir)
	}
	if _, err := n.Machine.Output(ctx, "flock "+resetLock+" "+shell.Join(n.inDataDir(args)), nil); err != nil {
		return fmt.Errorf("resetting k0s: %w", err)
	}
	return nil
}
