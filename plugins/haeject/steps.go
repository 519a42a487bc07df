package haeject

import (
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// steps is the runbook. Whatever clients and pods still have of the host is led elsewhere before anything there stops,
// and its objects go last, when nothing of it runs any more: pods that are made anew elsewhere never run twice.
func steps(c *controlplane.Cluster) []step.Step {
	return []step.Step{
		c.JudgeRemoval("See that the control plane bears the removal, now that nobody else changes it"),
		c.Snapshot("Copy etcd's database to this machine"),
		c.DrainServers("Let HAProxy give the host no new connections"),
		c.Yield("Hand the leadership of etcd to a controller that stays"),
		c.DrainNode("Cordon and drain the Node, through a controller that stays"),
		c.Leave("Stop k0s on the host and remove its member from etcd, in the order that keeps the quorum"),
		c.CloseServers("Put the host's servers into maintenance and close what connections are left"),
		c.Wipe("Take k0s's data off the host"),
		c.Forget("Delete its Node, ControlNode and EtcdMember"),
		c.BalanceRunning("Free the host's places in HAProxy"),
		c.Note("Strike the host out of the cluster's own note"),
		c.EditFile("Take the host out of the cluster file"),
		c.VerifyRemoval("Verify that nothing of the host is left and the other controllers serve"),
	}
}
