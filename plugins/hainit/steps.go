package hainit

import (
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// steps is the runbook. HAProxy comes before the control plane that it serves, so that tokens and kubeconfigs made
// with its address work from the first second.
func steps(c *controlplane.Cluster) []step.Step {
	return []step.Step{
		c.Hooks("Run the hosts' own commands from before (hooks)", "before"),
		c.Prepare("Give new hosts their names and files"),
		c.InstallHAProxy("Install HAProxy"),
		c.OpenFirewall("Let HAProxy through SELinux and firewalld"),
		c.Stage("Put k0s on the new hosts"),
		c.PutHelper("Put the syncer's helper on HAProxy's hosts, with what the syncer may do there"),
		c.BalanceRunning("Put HAProxy in front of the running controllers"),
		c.StartFirst("Start the first controller"),
		c.Convert("Make running controllers answer at the load balancer's address"),
		c.RepairKubernetesDefault("Lead kubernetes.default to the load balancer"),
		c.Certify("Let HAProxy ask each API server whether it is ready"),
		c.Join("Join the other controllers"),
		c.BalanceAll("Send connections to all controllers"),
		c.JoinWorkers("Join the workers through the load balancer"),
		c.ClearTokens("Overwrite join tokens that a run that was cut off left on hosts"),
		c.RepointWorkers("Point the kubelets of existing workers to the load balancer"),
		c.WriteKubeconfig("Write the kubeconfig"),
		c.Note("Note in the cluster where HAProxy and the controllers are"),
		c.InstallSyncer("Install the syncer, with a key of its own"),
		c.Verify("Verify nodes, etcd members, the API and every HAProxy server"),
		c.Hooks("Run the hosts' own commands from after (hooks)", "after"),
	}
}
