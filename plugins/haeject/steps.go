package haeject

import (
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// steps is the runbook. Whatever clients and pods still have of the host is led elsewhere before anything there stops,
// and its objects go last, when nothing of it runs any more: pods that are made anew elsewhere never run twice, and a run
// that was cut off is completed by the next one, which knows a dead host's name from them alone.
func steps(c *controlplane.Cluster) []step.Step {
	return []step.Step{
		c.JudgeRemoval("See that the control plane bears the removal, now that nobody else changes it"),
		c.Snapshot("Copy etcd's database to this machine"),
		c.Mark("Tell the syncer, where there is one, that the host leaves"),
		c.DrainServers("Let HAProxy give the host no new connections"),
		c.Yield("Hand the leadership of etcd to a controller that stays"),
		c.DrainNode("Cordon and drain the Node, through a controller that stays"),
		c.Settle("Let clients finish connecting to the host, where they have just begun"),
		c.Leave("Stop k0s on the host and remove its member from etcd, in the order that keeps the quorum"),
		c.CloseServers("Put the host's servers into maintenance and close what connections are left"),
		c.Wipe("Take k0s's data off the host"),
		c.FreePlaces("Free the host's places in HAProxy"),
		c.Note("Strike the host out of the cluster's own note"),
		c.EditFile("Take the host out of the cluster file"),
		c.Forget("Delete its Node, ControlNode and EtcdMember"),
		c.VerifyRemoval("Verify that nothing of the host is left and the other controllers serve"),
	}
}

// replacement is the runbook of --replace-with. A controller that works leaves once the new one is in: the control plane
// bears as many failures meanwhile as before, and one of one or two controllers never has fewer. One that does not answer
// leaves first: it counts for the quorum and gives nothing to it, and etcd lets nobody in where the members that are
// connected would be no quorum with the new one still missing: of three with one dead, never. The old host's objects go
// last in either case: when this run is cut off, nothing else tells the next one whose name that of a dead host is.
func replacement(c *controlplane.Cluster, hosts controlplane.Entries, leavesFirst bool) []step.Step {
	prepare := []step.Step{
		c.Hooks("Run the new host's own commands from before (hooks)", "before"),
		c.Prepare("Give the new host its name and files"),
		c.Stage("Put k0s on the new host"),
		c.Renew("Renew the certificate by which HAProxy asks API servers whether they are ready"),
	}
	enter := []step.Step{
		c.AllowSyncer("Let the syncer send connections to the new host, and run on it"),
		c.Join("Join the new controller"),
		c.BalanceAll("Send connections to it, too"),
		c.ClearTokens("Overwrite join tokens that a run that was cut off left on hosts"),
		hosts.Add("Add the new host to the cluster file"),
	}
	leave := []step.Step{
		c.JudgeRemoval("See that the control plane bears the removal, now that nobody else changes it"),
		c.Snapshot("Copy etcd's database to this machine"),
		c.Mark("Tell the syncer, where there is one, that the old host leaves"),
		c.DrainServers("Let HAProxy give the old host no new connections"),
		c.Yield("Hand the leadership of etcd to a controller that stays"),
		c.DrainNode("Cordon and drain the old Node, through a controller that stays"),
		c.Settle("Let clients finish connecting to the old host, where they have just begun"),
		c.Leave("Stop k0s on the old host and remove its member from etcd, in the order that keeps the quorum"),
		c.CloseServers("Put the old host's servers into maintenance and close what connections are left"),
		c.Wipe("Take k0s's data off the old host"),
	}
	end := []step.Step{
		c.FreePlaces("Free the old host's places in HAProxy"),
		c.Note("Note in the cluster where the new host is, in the old one's place"),
		c.EditFile("Take the old host out of the cluster file"),
		c.Forget("Delete the old host's Node, ControlNode and EtcdMember"),
		c.Verify("Verify etcd members, nodes, the API and every HAProxy server"),
		c.VerifyRemoval("Verify that nothing of the old host is left"),
		c.Hooks("Run the new host's own commands from after (hooks)", "after"),
	}
	if leavesFirst {
		return slices.Concat(prepare, leave, enter, end)
	}
	return slices.Concat(prepare, enter, leave, end)
}
