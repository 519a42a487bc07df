package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// Replacement is the controller that joins in the place of one that leaves.
type Replacement struct {
	Growth  Growth  // of one host
	Entries Entries // that it gets in the cluster file
}

// Host is the controller's.
func (r *Replacement) Host() *config.Host { return r.Growth.Wanted[0] }

// PreflightReplacement gathers everything that stands against letting a controller in and taking another one out. It
// changes nothing. The removal says who is replaced by whom.
func (c *Cluster) PreflightReplacement(ctx context.Context, r Removal) error {
	if len(c.controllers) == 0 {
		return fmt.Errorf("no controller of %s could be looked at:\n%w", c.file.Name, errors.Join(c.problems...))
	}
	if err := c.findLeaver(ctx, r); err != nil {
		return err
	}
	if err := c.checkPair(); err != nil {
		return &cli.UsageError{Err: err}
	}
	c.leaveWorkers()
	s, _ := c.poll(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l := c.leaving
	member, there := s.Member(l.member.ID)
	l.first = !there || member.Learner || !s.Healthy(member)
	problems := c.checkReplacing(ctx, s)
	if there {
		problems = append(problems, c.judgeMember(s, member)...)
	}
	problems = append(problems, c.checkRemoval(ctx, s)...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return refusal(distinct(problems))
}

// checkPair makes sure that two hosts are meant, which the objects of the cluster can tell apart.
func (c *Cluster) checkPair() error {
	l := c.leaving
	const remedy = "eject it first, without --replace-with, and let the new host join with kubectl ha-join then"
	if l.entry == l.ReplacedBy.Host() {
		return fmt.Errorf("%s is the host that is to leave: %s", l.ReplacedBy.Host().Conn, remedy)
	}
	if m := c.replacement(); m != nil && slices.Contains(l.names, m.name()) {
		return fmt.Errorf("%s has the name %q of the one that it would replace: set its hostname to another one, or %s",
			m.conn.Name(), m.name(), remedy)
	}
	return nil
}

// replacement is the controller that joins in the place of the one that leaves; nil when there is none, or it could not be
// looked at.
func (c *Cluster) replacement() *machine {
	if c.leaving.ReplacedBy == nil {
		return nil
	}
	i := slices.IndexFunc(c.controllers, func(m *machine) bool { return m.host == c.leaving.ReplacedBy.Host() })
	if i < 0 {
		return nil
	}
	return c.controllers[i]
}

// replaced tells whether the controller's replacement votes: of a run that was cut off, nobody may know the other any more.
func (c *Cluster) replaced(s etcd.State) bool {
	m := c.replacement()
	if m == nil {
		return false
	}
	member, found := etcd.ByAddress(s.Members, m.address)
	return found && !member.Idle()
}

// unknown tells that nothing is left of the controller.
func (l *leaver) unknown() bool { return len(l.names) == 0 }

// alone is the controller itself, where it is healthy: until its replacement has joined, it stands for the control plane.
func (l *leaver) alone(s etcd.State) *machine {
	if member, there := s.Member(l.member.ID); there && s.Healthy(member) && l.machine != nil && l.machine.running() {
		return l.machine
	}
	return nil
}

// keepsPlace tells whether HAProxy gives it connections until it leaves, while others join.
func (l *leaver) keepsPlace() bool {
	return l != nil && l.ReplacedBy != nil && !l.first && !l.removed && l.machine != nil
}

// LeavesFirst tells whether the controller leaves before the one that replaces it joins.
func (c *Cluster) LeavesFirst() bool { return c.leaving.first }

// leaveWorkers takes the workers out of the run.
func (c *Cluster) leaveWorkers() {
	c.workers = nil
	c.forgive(c.leaving.trouble)
	c.unseen = slices.DeleteFunc(c.unseen, func(m *machine) bool {
		if !m.host.IsController() {
			c.forgive(m.trouble)
		}
		return !m.host.IsController()
	})
}

// checkReplacing gathers what stands against letting the new controller in. Where the old one leaves after that, it is a
// member like the others meanwhile.
func (c *Cluster) checkReplacing(ctx context.Context, s etcd.State) []error {
	l := c.leaving
	g := l.ReplacedBy.Growth
	if l.first {
		members := slices.DeleteFunc(slices.Clone(s.Members), func(m etcd.Member) bool { return m.ID == l.member.ID })
		return c.checkGrowth(ctx, members, g)
	}
	c.leaving, c.controllers = nil, append(c.controllers, l.machine)
	defer func() {
		c.leaving = l
		c.controllers = slices.DeleteFunc(c.controllers, func(m *machine) bool { return m == l.machine })
	}()
	return c.checkGrowth(ctx, s.Members, g)
}

// distinct leaves out what was said before.
func distinct(problems []error) []error {
	said := map[string]bool{}
	return slices.DeleteFunc(problems, func(err error) bool {
		before := said[err.Error()]
		said[err.Error()] = true
		return before
	})
}

// coming is how many controllers a run lets in that do not vote yet.
func (c *Cluster) coming() int {
	n := 0
	for _, m := range c.joiners {
		if !m.voter {
			n++
		}
	}
	return n
}

// expected is how many of them vote before the controller leaves.
func (c *Cluster) expected() int {
	if c.leaving.first {
		return 0
	}
	return c.coming()
}

// handOver lets a controller that stays stand for the control plane, where the only one that could until now leaves.
func (c *Cluster) handOver(ctx context.Context) error {
	if c.leaving.machine == nil || c.seed != c.leaving.machine {
		return nil
	}
	s, _ := c.poll(ctx)
	seed := c.chooseSurvivor(s)
	if seed == nil {
		return cli.Refuse("no controller that would stay is healthy: bring one up first")
	}
	return c.reseed(ctx, seed)
}

// ConfirmReplacement says what will be done, and asks.
func (c *Cluster) ConfirmReplacement(ctx context.Context, confirmer *cli.Confirmer) error {
	joins := c.replacement().name()
	return c.confirm(ctx, confirmer, c.exchange(ctx), fmt.Sprintf("Replace %s by %s?", c.leaving.name(), joins))
}

// exchange is what the user is to know before, in the order in which it is done.
func (c *Cluster) exchange(ctx context.Context) []string {
	m, l := c.replacement(), c.leaving
	who := fmt.Sprintf("%s (%s)", m.name(), m.address)
	joins := who + " joins the control plane at " + c.Address() + "."
	if c.coming() == 0 {
		joins = who + " is a controller at " + c.Address() + " already."
	}
	if l.unknown() {
		return []string{joins, l.name() + " has left already."}
	}
	leaves := c.consequences(ctx)
	if l.first && c.coming() > 0 {
		return append(leaves, "Then "+joins)
	}
	leaves[0] = "Then " + leaves[0]
	return append([]string{joins}, leaves...)
}

// ReplacementAftermath is what the user is to know after a controller was replaced.
func (c *Cluster) ReplacementAftermath() []string {
	return append([]string{c.replacement().name() + " has taken the place of " + c.leaving.name() + "."}, c.Aftermath()...)
}

// hint says how a host joins without one that leaves.
func (l *leaver) hint() string {
	if l.ReplacedBy == nil {
		return ""
	}
	return ": let " + l.ReplacedBy.Host().Conn.String() + " join with kubectl ha-join"
}
