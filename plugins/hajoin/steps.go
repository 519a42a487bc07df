package hajoin

import (
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// steps is the runbook. HAProxy sends connections to a controller last of all, when it votes and its API server is ready.
// writeFile adds hosts to the cluster file that it does not name.
func steps(c *controlplane.Cluster, writeFile step.Step) []step.Step {
	return []step.Step{
		c.Hooks("Run the new hosts' own commands from before (hooks)", "before"),
		c.Prepare("Give the new hosts their names and files"),
		c.Stage("Put k0s on the new hosts"),
		c.Renew("Renew the certificate by which HAProxy asks API servers whether they are ready"),
		c.Join("Join the controllers, one after another"),
		c.BalanceAll("Send connections to them, too"),
		c.ClearTokens("Overwrite join tokens that a run that was cut off left on hosts"),
		c.Note("Note in the cluster where the new hosts are"),
		writeFile,
		c.Verify("Verify etcd members, nodes, the API and every HAProxy server"),
		c.Hooks("Run the new hosts' own commands from after (hooks)", "after"),
	}
}
