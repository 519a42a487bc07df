package controlplane

import (
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
)

// The steps that take a controller out: the one that PreflightRemoval found.

// JudgeRemoval looks, while other commands are locked out, whether the control plane bears the removal.
func (c *Cluster) JudgeRemoval(title string) step.Step {
	return step.Step{Title: title, Run: c.judgeRemoval, ReadOnly: true}
}

// Snapshot copies etcd's database to this machine.
func (c *Cluster) Snapshot(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipSnapshot, Detail: c.detailSnapshot, Run: c.snapshot}
}

// Mark tells the syncer that the host leaves, so that it gives it no connections either, also when this run is cut off.
func (c *Cluster) Mark(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipMark, Detail: c.detailMark, Run: c.mark, Undo: c.undoMark}
}

// DrainServers lets no new connection go to the host.
func (c *Cluster) DrainServers(title string) step.Step {
	return step.Step{
		Title: title, Skip: c.skipServers("none go there", haproxy.Ready), Detail: c.detailServers("give no new connections to %s"),
		Run: c.drainServers, Undo: c.undoDrainServers,
	}
}

// Yield hands the leadership of etcd to a controller that stays.
func (c *Cluster) Yield(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipYield, Detail: c.detailYield, Run: c.yield}
}

// DrainNode cordons and drains the host's Node.
func (c *Cluster) DrainNode(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipDrain, Detail: c.detailDrain, Run: c.drainNode, Undo: c.undoDrainNode}
}

// Settle waits until clients have made their newest connections to the host work.
func (c *Cluster) Settle(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipSettle, Detail: c.detailSettle, Run: c.settle, ReadOnly: true}
}

// Leave stops k0s on the host and removes its member from etcd.
func (c *Cluster) Leave(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipLeave, Detail: c.detailLeave, Run: c.leave, Undo: c.undoLeave}
}

// CloseServers puts the host's servers into maintenance and closes what connections they have left.
func (c *Cluster) CloseServers(title string) step.Step {
	return step.Step{
		Title: title, Skip: c.skipServers("they are", haproxy.Ready, haproxy.Drain), Detail: c.detailServers("close what connections are left to %s"),
		Run: c.closeServers,
	}
}

// Wipe takes k0s's data off the host.
func (c *Cluster) Wipe(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipWipe, Detail: c.detailWipe, Run: c.wipe}
}

// Forget deletes the objects that stand for the controller.
func (c *Cluster) Forget(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipForget, Detail: c.detailForget, Run: c.forget}
}

// FreePlaces makes every HAProxy have the controllers alone that stay.
func (c *Cluster) FreePlaces(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipFree, Detail: c.detailFree, Run: c.balance(c.staying)}
}

// EditFile takes the host's entry out of the cluster file.
func (c *Cluster) EditFile(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipEdit, Detail: c.detailEdit, Run: c.edit}
}

// VerifyRemoval awaits that nothing of the controller is left and that the others serve.
func (c *Cluster) VerifyRemoval(title string) step.Step {
	return step.Step{Title: title, Run: c.verifyRemoval, ReadOnly: true}
}
