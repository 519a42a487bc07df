package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// Growth says which controllers are to join a control plane that runs.
type Growth struct {
	// Wanted are the ones that the user named; none stands for all of the file that are no members yet.
	Wanted []*config.Host
	// Unwritten are those of them that are not in the file yet.
	Unwritten []*config.Host
}

// PreflightGrowth gathers everything that stands against letting controllers in and reports it at once. It changes
// nothing. Hosts of the file that are neither members nor wanted are left out of the run.
func (c *Cluster) PreflightGrowth(ctx context.Context, g Growth) error {
	if c.seed == nil {
		return refusal(c.problems)
	}
	if err := c.appointDeputy(ctx); err != nil {
		return refusal(append(slices.Clone(c.problems), err))
	}
	members, err := c.runningMembers(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return refusal(append(slices.Clone(c.problems), at(c.seed.host.Conn, err)))
	}
	problems := c.checkGrowth(ctx, members, g)
	if len(problems) == 0 {
		problems = c.checkWanted(ctx, g)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return refusal(problems)
}

// checkGrowth gathers what stands against letting controllers in beside the members.
func (c *Cluster) checkGrowth(ctx context.Context, members []etcd.Member, g Growth) []error {
	c.leaveOut(members, g.Wanted)
	c.borrowFlags(g)
	c.acceptUnseen(ctx, members)

	problems := slices.Clone(c.problems)
	problems = append(problems, c.checkHosts()...)
	problems = append(problems, c.checkPorts()...)
	problems = append(problems, c.checkFiles()...)
	problems = append(problems, c.checkK0s()...)
	problems = append(problems, c.checkBinaries(ctx)...)
	problems = append(problems, c.checkSettled(ctx, members)...)
	balancing := c.checkBalancing()
	if len(balancing) == 0 {
		balancing = c.checkHAProxy(ctx)
	}
	problems = append(problems, balancing...)
	problems = append(problems, c.checkDeputy(ctx)...)
	return append(problems, c.checkRoutes(ctx)...)
}

// runningMembers lists the members of a control plane that runs, which a control plane on its way up soon does.
func (c *Cluster) runningMembers(ctx context.Context) ([]etcd.Member, error) {
	switch {
	case !c.exists():
		return nil, errors.New("there is no control plane that a controller could join: set one up with `kubectl ha-init`")
	case !c.seed.running():
		return nil, errors.New("k0s does not run, and no controller could join: start the control plane with `kubectl ha-init`")
	}
	ctx, cancel := context.WithTimeout(ctx, controlPlaneTimeout)
	defer cancel()
	var members []etcd.Member
	err := kube.Wait(ctx, pollInterval, func(ctx context.Context) (err error) {
		members, err = c.members(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: bring the controllers back that have failed", err)
	}
	return members, nil
}

// borrowFlags gives new hosts that no file names, where the cluster's note knows no flags of k0s's either, those with which
// the seed runs: with other components enabled, they would contend with those that are there.
func (c *Cluster) borrowFlags(g Growth) {
	if !c.settings.Fileless {
		return
	}
	flags := config.SharedFlags(c.seed.status().Args, c.seed.host)
	for _, h := range g.Unwritten {
		if len(h.InstallFlags) == 0 && len(flags) > 0 {
			h.InstallFlags = flags
			c.report.Warn(fmt.Sprintf("%s gets the flags with which k0s runs on %s: %s", h.Conn, c.seed.name(), strings.Join(flags, " ")))
		}
	}
}

// leaveOut takes the controllers out of the run that are neither members nor wanted. One that could not be looked at is
// told by its address in the file.
func (c *Cluster) leaveOut(members []etcd.Member, wanted []*config.Host) {
	stays := func(m *machine, address string) bool {
		return len(wanted) == 0 || slices.Contains(wanted, m.host) || address == "" ||
			slices.ContainsFunc(members, func(member etcd.Member) bool { return member.PeerHost() == address })
	}
	c.controllers = slices.DeleteFunc(c.controllers, func(m *machine) bool { return !stays(m, m.address.String()) })
	for _, m := range c.unseen {
		if m.host.IsController() && !stays(m, m.host.Address()) {
			c.forgive(m.trouble)
		}
	}
}

// forgive takes a host that could not be looked at out of the problems, since this run does not need it.
func (c *Cluster) forgive(trouble error) {
	c.problems = slices.DeleteFunc(c.problems, func(err error) bool { return errors.Is(trouble, err) || errors.Is(err, trouble) })
}

// checkSettled looks whether nothing else is going on in the control plane, and whether all of it is well.
func (c *Cluster) checkSettled(ctx context.Context, members []etcd.Member) []error {
	problems := append(c.meet(members), c.checkVoters(ctx, members)...)
	problems = append(problems, c.checkOutsiders(ctx)...)
	for _, m := range c.controllers {
		if !m.voter {
			c.joiners = append(c.joiners, m)
		}
	}
	problems = append(problems, c.checkReady(ctx)...)
	problems = append(problems, c.checkMembersVersions()...)
	for _, m := range c.unbalanced() {
		problems = append(problems, fmt.Errorf("%s: it does not answer at the load balancer's address %s yet: make the control "+
			"plane highly available with `kubectl ha-init` first", m.conn.Name(), c.file.LoadBalancer.Address))
	}
	for _, problem := range c.checkEtcd(ctx) {
		problems = append(problems, at(c.seed.host.Conn, problem))
	}
	for _, problem := range c.checkAPI(ctx) {
		problems = append(problems, at(c.seed.host.Conn, problem))
	}
	return problems
}

// checkReady awaits that all members are ready: one that has just joined may be on its way up.
func (c *Cluster) checkReady(ctx context.Context) []error {
	return unjoin(c.each(ctx, c.controllers, func(ctx context.Context, m *machine) error {
		if !m.voter {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, min(controlPlaneTimeout, c.settings.Timeout))
		defer cancel()
		if err := kube.Wait(ctx, pollInterval, m.up); err != nil {
			return fmt.Errorf("%s: it is a member of the control plane and is not ready: %w: bring it back, or take it out first",
				m.conn.Name(), err)
		}
		return nil
	}))
}

// checkMembersVersions looks for an upgrade that is half done.
func (c *Cluster) checkMembersVersions() []error {
	var problems []error
	for _, m := range c.controllers {
		if m.voter && !sameVersion(m.facts.K0sVersion, c.seed.facts.K0sVersion) {
			problems = append(problems, fmt.Errorf("%s: its k0s is %s, and that of %s is %s: finish the upgrade first",
				m.conn.Name(), m.facts.K0sVersion, c.seed.conn.Name(), c.seed.facts.K0sVersion))
		}
	}
	return problems
}

// settleTimeout bounds waiting for members to agree, as after an election.
const settleTimeout = 3 * time.Second

// checkEtcd asks every member of the file. Members of this file that are still on their way in are completed by this
// run; those that the file does not name were asked for their API server. One that leaves before may be in any condition.
func (c *Cluster) checkEtcd(ctx context.Context) []error {
	answeredFor := func(member etcd.Member) bool {
		m := c.controllerAt(member)
		if c.leaving != nil && member.ID == c.leaving.member.ID {
			return true
		}
		return m == nil && !member.Idle() || m != nil && !m.voter
	}
	voters := slices.DeleteFunc(slices.Clone(c.controllers), func(m *machine) bool { return !m.voter })
	deadline := time.Now().Add(min(settleTimeout, c.settings.Timeout))
	for {
		state, _, err := c.ask(ctx, voters)
		if len(state.Views) > 0 {
			err = etcd.CanGrow(state, answeredFor)
		}
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return unjoin(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

// checkAPI looks for other operations, for upgrades, and for the joiners' names among the Nodes.
func (c *Cluster) checkAPI(ctx context.Context) []error {
	var problems []error
	if err := c.api.kube.CheckOperation(ctx, cli.Abandoned); err != nil {
		problems = append(problems, err)
	}
	if state, err := c.api.kube.UpgradeInProgress(ctx); err != nil {
		problems = append(problems, err)
	} else if state != "" {
		problems = append(problems, fmt.Errorf("a k0s upgrade is in progress (%s): wait until it is done, or delete its Plan", state))
	}
	nodes, err := c.api.kube.Nodes(ctx)
	if err != nil {
		return append(problems, err)
	}
	for _, m := range c.joiners {
		if err := nameTaken(m, nodes); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// nameTaken says that a Node of the joiner's name is another host.
func nameTaken(m *machine, nodes []kube.Node) error {
	for _, n := range nodes {
		if n.Name == m.name() && len(n.Addresses) > 0 && !slices.Contains(n.Addresses, m.address) {
			return fmt.Errorf("%s: there is a Node of its name %q already, at %s: set hostname to another name, or delete that Node",
				m.conn.Name(), n.Name, n.Addresses[0])
		}
	}
	return nil
}

// checkBalancing looks whether every HAProxy serves this control plane already: to set it up is ha-init's work.
func (c *Cluster) checkBalancing() []error {
	var problems []error
	for _, b := range c.balancers {
		found := false
		if b.installed() {
			var err error
			if _, found, err = haproxy.FindBlock(b.cfg); err != nil {
				problems = append(problems, fmt.Errorf("%s: %s: %w", b.conn.Name(), c.file.LoadBalancer.ConfigPath, err))
				continue
			}
		}
		if !found {
			problems = append(problems, fmt.Errorf("%s: its HAProxy is not set up for this control plane: run `kubectl ha-init` first",
				b.conn.Name()))
		}
	}
	return problems
}

// checkWanted refuses named hosts that are members already, unless something is left to do for any of those named, as by a
// run that was cut off.
func (c *Cluster) checkWanted(ctx context.Context, g Growth) []error {
	var problems []error
	for _, m := range c.controllers {
		if !slices.Contains(g.Wanted, m.host) {
			continue
		}
		if !m.voter || m.hooksPending || slices.Contains(g.Unwritten, m.host) {
			return nil
		}
		exposed, err := m.node.HasToken(ctx)
		if err != nil {
			return []error{at(m.host.Conn, err)}
		}
		if exposed {
			return nil
		}
		problems = append(problems, fmt.Errorf("%s: it is a member of the control plane already (%s)", m.conn.Name(), m.name()))
	}
	if len(problems) == 0 {
		return nil
	}
	for _, skip := range []func(context.Context) (string, error){c.skipBalance(c.running), c.skipNote} {
		reason, err := skip(ctx)
		switch {
		case err != nil:
			return []error{at(c.seed.host.Conn, err)}
		case reason == "":
			return nil
		}
	}
	return problems
}

// Joiners names the controllers that the run lets in.
func (c *Cluster) Joiners() string {
	names := make([]string, len(c.joiners))
	for i, m := range c.joiners {
		names[i] = m.name()
	}
	return strings.Join(names, ", ")
}

// Members is how many controllers the control plane has once those that join are in.
func (c *Cluster) Members() int { return len(c.controllers) + len(c.outsiders) }
