package controlplane

import "github.com/kubectl-ha/kubectl-ha/pkg/step"

// The steps that commands are made of. The title is the command's, which lists them in its runbook.

// Hooks runs the hosts' own commands: those of the stage "before" or "after".
func (c *Cluster) Hooks(title, stage string) step.Step {
	return step.Step{Title: title, Skip: c.skipHooks(stage), Detail: c.detailHooks(stage), Run: c.runHooks(stage)}
}

// Prepare gives new hosts their names and files.
func (c *Cluster) Prepare(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipPrepare, Detail: c.detailPrepare, Run: c.prepare}
}

// InstallHAProxy installs HAProxy, and what its runtime socket is reached by, on load balancers that lack it.
func (c *Cluster) InstallHAProxy(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipInstallHAProxy, Detail: c.detailInstallHAProxy, Run: c.installHAProxy}
}

// OpenFirewall lets HAProxy through SELinux and firewalld.
func (c *Cluster) OpenFirewall(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipOpen, Detail: c.detailOpen, Run: c.open}
}

// Stage puts k0s on new hosts.
func (c *Cluster) Stage(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipStage, Detail: c.detailStage, Run: c.stage}
}

// BalanceRunning makes every HAProxy send connections to the controllers that are members already.
func (c *Cluster) BalanceRunning(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipBalance(c.running), Detail: c.detailBalance(c.running), Run: c.balance(c.running)}
}

// BalanceAll makes every HAProxy send connections to every controller.
func (c *Cluster) BalanceAll(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipBalance(c.all), Detail: c.detailBalanceAll, Run: c.balance(c.all)}
}

// StartFirst starts the controller that the others join, or a control plane that is down.
func (c *Cluster) StartFirst(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipSeed, Detail: c.detailSeed, Run: c.startSeed}
}

// Convert makes running controllers answer at the load balancer's address.
func (c *Cluster) Convert(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipConvert, Detail: c.detailConvert, Run: c.convert}
}

// RepairKubernetesDefault leads the Service kubernetes.default to the load balancer.
func (c *Cluster) RepairKubernetesDefault(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipRepair, Run: c.repair}
}

// Certify gives every HAProxy the client certificate by which it asks API servers whether they are ready.
func (c *Cluster) Certify(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipCertificate, Detail: c.detailCertificate, Run: c.certify}
}

// Renew gives the HAProxies a new client certificate whose certificate ends soon.
func (c *Cluster) Renew(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipRenewal, Detail: c.detailCertificate, Run: c.certify}
}

// Join joins the controllers that are no members yet.
func (c *Cluster) Join(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipJoin, Detail: c.detailJoin, Run: c.join}
}

// JoinWorkers joins the workers through the load balancer.
func (c *Cluster) JoinWorkers(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipWorkers, Detail: c.detailWorkers, Run: c.joinWorkers}
}

// ClearTokens overwrites join tokens that a run that was cut off left on hosts.
func (c *Cluster) ClearTokens(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipTokens, Run: c.clearTokens}
}

// RepointWorkers points the kubelets of existing workers to the load balancer.
func (c *Cluster) RepointWorkers(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipRepoint, Detail: c.detailRepoint, Run: c.repoint}
}

// WriteKubeconfig writes the administrator's kubeconfig.
func (c *Cluster) WriteKubeconfig(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipKubeconfig, Detail: c.detailKubeconfig, Run: c.writeKubeconfig}
}

// Note makes the cluster keep where its load balancer and its controllers are.
func (c *Cluster) Note(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipNote, Detail: c.detailNote, Run: c.writeNote}
}

// PutHelper puts the syncer's helper, and what the syncer may do by it, on every load balancer, where the file asks for
// the syncer.
func (c *Cluster) PutHelper(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipHelper, Detail: c.detailHelper, Run: c.putHelper}
}

// InstallSyncer installs the syncer in the cluster, with a key of its own to every load balancer, where the file asks for
// it.
func (c *Cluster) InstallSyncer(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipSyncer, Detail: c.detailSyncer, Run: c.installSyncer}
}

// AllowSyncer lets a syncer that is installed send connections to the controllers that join, and run on them.
func (c *Cluster) AllowSyncer(title string) step.Step {
	return step.Step{Title: title, Skip: c.skipAllow, Detail: c.detailAllow, Run: c.allow}
}

// Verify awaits that everything is as it should be.
func (c *Cluster) Verify(title string) step.Step {
	return step.Step{Title: title, Run: c.verify, ReadOnly: true}
}
