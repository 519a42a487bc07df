package k0s

import (
	"context"
	"fmt"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// wiped are the folders that outlive `k0s reset`: a host that joins another cluster with them gets its old pod network.
const wiped = "/etc/cni /opt/cni"

// leftovers lists what is still there of k0s and its configuration. In /etc/k0s the user may have files of his own: only
// k0s.yaml, join tokens (k0sctl's, too) and a containerd.toml that k0s wrote are this project's to remove.
const leftovers = `for f in ` + wiped + ` ` + ConfigPath + ` ` + TokenPath + ` /etc/k0s/k0stoken ` + ConfigPath + `.part-* ` + TokenPath + `.part-*; do
	[ ! -e "$f" ] || echo "$f"
done
if [ -e /etc/k0s/containerd.toml ] && grep -q '^# k0s_managed=true' /etc/k0s/containerd.toml; then
	echo /etc/k0s/containerd.toml
fi
`

// Leftovers lists what Wipe would remove.
func (n *Node) Leftovers(ctx context.Context) ([]string, error) {
	out, err := n.Machine.Output(ctx, leftovers, nil)
	if err != nil {
		return nil, fmt.Errorf("looking for what k0s left: %w", err)
	}
	return strings.Fields(out), nil
}

// Wipe removes what Reset leaves: the pod network's configuration and plugins, and k0s's own configuration. A join token
// is overwritten first.
func (n *Node) Wipe(ctx context.Context) error {
	if err := n.ClearToken(ctx); err != nil {
		return err
	}
	const remove = `{ ` + leftovers + `} | while read -r f; do rm -rf -- "$f"; done
rmdir /etc/k0s 2>/dev/null || true`
	if _, err := n.Machine.Output(ctx, remove, nil); err != nil {
		return fmt.Errorf("removing what k0s left: %w", err)
	}
	return nil
}

// HasData tells whether there is anything in k0s's data directory.
func (n *Node) HasData(ctx context.Context) (bool, error) {
	out, err := n.Machine.Output(ctx, "ls -A "+shell.Word(n.dataDir())+" 2>/dev/null | head -n 1", nil)
	if err != nil {
		return false, fmt.Errorf("looking for k0s's data: %w", err)
	}
	return strings.TrimSpace(out) != "", nil
}

// apiServerPID is where k0s keeps the process ID of the API server.
const apiServerPID = "/run/k0s/kube-apiserver.pid"

// EndAPIConnections has the API server on the host end its connections gracefully, by ending it; k0s starts it again
// seconds later. One that does not run is no error.
func (n *Node) EndAPIConnections(ctx context.Context) error {
	const command = `pid=$(cat ` + apiServerPID + ` 2>/dev/null) || exit 0
[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != kube-apiserver ] || kill -TERM "$pid"`
	if _, err := n.Machine.Output(ctx, command, nil); err != nil {
		return fmt.Errorf("ending the API server's connections: %w", err)
	}
	return nil
}
