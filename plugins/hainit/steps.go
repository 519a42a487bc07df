package hainit

import "github.com/kubectl-ha/kubectl-ha/pkg/step"

// steps is the runbook. HAProxy comes before the control plane that it serves, so that tokens and kubeconfigs made
// with its address work from the first second.
func (c *cluster) steps() []step.Step {
	return []step.Step{
		{
			Title:  "Run the hosts' own commands from before (hooks)",
			Skip:   c.skipHooks("before"),
			Detail: c.detailHooks("before"),
			Run:    c.runHooks("before"),
		},
		{
			Title:  "Give new hosts their names and files",
			Skip:   c.skipPrepare,
			Detail: c.detailPrepare,
			Run:    c.prepare,
		},
		{
			Title:  "Install HAProxy",
			Skip:   c.skipInstallHAProxy,
			Detail: c.detailInstallHAProxy,
			Run:    c.installHAProxy,
		},
		{
			Title:  "Let HAProxy through SELinux and firewalld",
			Skip:   c.skipOpen,
			Detail: c.detailOpen,
			Run:    c.open,
		},
		{
			Title:  "Put k0s on the new hosts",
			Skip:   c.skipStage,
			Detail: c.detailStage,
			Run:    c.stage,
		},
		{
			Title:  "Put HAProxy in front of the running controllers",
			Skip:   c.skipBalance(c.running),
			Detail: c.detailBalance(c.running),
			Run:    c.balance(c.running),
		},
		{
			Title:  "Start the first controller",
			Skip:   c.skipSeed,
			Detail: c.detailSeed,
			Run:    c.startSeed,
		},
		{
			Title:  "Make running controllers answer at the load balancer's address",
			Skip:   c.skipConvert,
			Detail: c.detailConvert,
			Run:    c.convert,
		},
		{
			Title: "Lead kubernetes.default to the load balancer",
			Skip:  c.skipRepair,
			Run:   c.repair,
		},
		{
			Title:  "Let HAProxy ask each API server whether it is ready",
			Skip:   c.skipCertificate,
			Detail: c.detailCertificate,
			Run:    c.certify,
		},
		{
			Title:  "Join the other controllers",
			Skip:   c.skipJoin,
			Detail: c.detailJoin,
			Run:    c.join,
		},
		{
			Title:  "Send connections to all controllers",
			Skip:   c.skipBalance(c.all),
			Detail: c.detailBalanceAll,
			Run:    c.balance(c.all),
		},
		{
			Title:  "Join the workers through the load balancer",
			Skip:   c.skipWorkers,
			Detail: c.detailWorkers,
			Run:    c.joinWorkers,
		},
		{
			Title: "Overwrite join tokens that a run that was cut off left on hosts",
			Skip:  c.skipTokens,
			Run:   c.clearTokens,
		},
		{
			Title:  "Point the kubelets of existing workers to the load balancer",
			Skip:   c.skipRepoint,
			Detail: c.detailRepoint,
			Run:    c.repoint,
		},
		{
			Title:  "Write the kubeconfig",
			Skip:   c.skipKubeconfig,
			Detail: c.detailKubeconfig,
			Run:    c.writeKubeconfig,
		},
		{
			Title:    "Verify nodes, etcd members, the API and every HAProxy server",
			Run:      c.verify,
			ReadOnly: true,
		},
		{
			Title:  "Run the hosts' own commands from after (hooks)",
			Skip:   c.skipHooks("after"),
			Detail: c.detailHooks("after"),
			Run:    c.runHooks("after"),
		},
	}
}
