package hajoin

import (
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// steps is the runbook. HAProxy sends connections to a controller last of all, when it votes and its API server is ready.
// Hosts that the cluster file does not name get their entries.
func steps(c *controlplane.Cluster, hosts controlplane.Entries) []step.Step {
	return []step.Step{
		c.Hooks("Run the new hosts' own commands from before (hooks)", "before"),
		c.Prepare("Give the new hosts their names and files"),
		c.Stage("Put k0s on the new hosts"),
		c.Renew("Renew the certificate by which HAProxy asks API servers whether they are ready"),
		c.AllowSyncer("Let the syncer send connections to them, and run on them"),
		c.Join("Join the controllers, one after another"),
		c.BalanceAll("Send connections to them, too"),
		c.ClearTokens("Overwrite join tokens that a run that was cut off left on hosts"),
		c.Note("Note in the cluster where the new hosts are"),
		hosts.Add("Add the new hosts to the cluster file"),
		c.Verify("Verify etcd members, nodes, the API and every HAProxy server"),
		c.Hooks("Run the new hosts' own commands from after (hooks)", "after"),
	}
}
