package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// tokenExpiry bounds how long a token by which so many hosts join is good for, should this program die before it takes
// the token back.
func (c *Cluster) tokenExpiry(hosts int) time.Duration {
	return time.Duration(hosts+1) * max(c.settings.Timeout, 5*time.Minute)
}

// joining lists the controllers that are not yet ready members.
func (c *Cluster) joining(ctx context.Context) []*machine {
	var hosts []*machine
	for _, m := range c.controllers {
		if m == c.seed {
			continue
		}
		if !m.voter || !m.running() || m.readyz(ctx) != nil {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (c *Cluster) skipJoin(ctx context.Context) (string, error) {
	if len(c.joining(ctx)) == 0 {
		return fmt.Sprintf("all %d controllers are members", len(c.controllers)), nil
	}
	return "", nil
}

func (c *Cluster) detailJoin(ctx context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.joining(ctx) {
		if c.running(m) {
			lines = append(lines, m.name()+": start k0s")
			continue
		}
		detail, err := m.detailConfig(ctx, c.newConfig(m), "write k0s.yaml, install and start k0s, wait until it votes in etcd "+
			"and its API server is ready")
		if err != nil {
			return nil, err
		}
		lines = append(lines, detail...)
	}
	return lines, nil
}

// join takes the controllers in one after another, as etcd demands, and as tightly as it allows: a host starts as soon
// as the one before it votes, while that one's API server is still on its way up.
func (c *Cluster) join(ctx context.Context) error {
	hosts := c.joining(ctx)
	token, err := c.prepareJoin(ctx, hosts)
	if err != nil {
		return errors.Join(err, c.withdrawToken(ctx, hosts, token))
	}
	ready := make(chan error, len(hosts))
	started := 0
	var failed error
	for _, m := range hosts {
		if failed = c.enter(ctx, m); failed != nil {
			// First the token: without it, what goes on there cannot join again.
			failed = errors.Join(failed, c.withdrawToken(ctx, hosts, token), c.abandon(ctx, m))
			token = nil
			break
		}
		started++
		go func() { ready <- c.awaitController(ctx, m) }()
	}
	errs := []error{failed}
	for range started {
		errs = append(errs, <-ready)
	}
	return errors.Join(append(errs, c.withdrawToken(ctx, hosts, token))...)
}

// prepareJoin gives every host that is no member yet the token, its configuration and its service, all at once.
func (c *Cluster) prepareJoin(ctx context.Context, hosts []*machine) (*k0s.Token, error) {
	newcomers, err := c.newcomers(ctx, hosts)
	if err != nil || len(newcomers) == 0 {
		return nil, err
	}
	token, err := c.createToken(ctx, c.tokenExpiry(len(hosts)))
	if err != nil {
		return nil, err
	}
	err = c.each(ctx, newcomers, func(ctx context.Context, m *machine) error {
		c.report.Host(m.name()).Update("installing")
		if m.leftover { // k0s would not join with it
			if err := m.stop(ctx); err != nil {
				return err
			}
			if err := m.node.Reset(ctx); err != nil {
				return err
			}
		}
		if err := m.node.WriteToken(ctx, token); err != nil {
			return err
		}
		return c.install(ctx, m, k0s.TokenPath)
	})
	return &token, err
}

// stop stops k0s where it is installed.
func (m *machine) stop(ctx context.Context) error {
	if !m.installed() {
		return nil
	}
	return m.conn.Service(m.service()).Stop(ctx)
}

// newcomers lists the hosts that need a token and become new members. Before that, it forgets members that have no data.
func (c *Cluster) newcomers(ctx context.Context, hosts []*machine) ([]*machine, error) {
	var newcomers []*machine
	for _, m := range hosts {
		goesOn, err := c.goesOn(ctx, m)
		if err != nil {
			return nil, err
		}
		if m.newcomer = !goesOn; m.newcomer {
			newcomers = append(newcomers, m)
		}
	}
	return newcomers, nil
}

// goesOn tells whether the host is a member, or a join that was cut off can go on. Where the host has no data of etcd's,
// it becomes a new member; k0s is stopped there, lest it becomes one at that moment by a token of before.
func (c *Cluster) goesOn(ctx context.Context, m *machine) (bool, error) {
	data, err := m.node.HasEtcdData(ctx)
	if err != nil {
		return false, at(m.host.Conn, err)
	}
	member, err := c.memberOf(ctx, m) // after that: who has data by now has been added by then
	known := err == nil
	if err != nil && !errors.Is(err, errNoMember) {
		return false, err
	}
	if data || known && !member.Idle() {
		return known, nil
	}
	if err := m.stop(ctx); err != nil {
		return false, at(m.host.Conn, err)
	}
	// k0s may have got there in the meantime.
	if data, err = m.node.HasEtcdData(ctx); err != nil || data {
		return data, at(m.host.Conn, err)
	}
	return false, c.giveUpPlace(ctx, m)
}

// giveUpPlace removes the member of a host that is not started and has no data, as one that asked for its place when it was
// stopped: it would hold the one place that etcd has for learners, or, with a k0s that adds voters, keep its address from
// being added again.
func (c *Cluster) giveUpPlace(ctx context.Context, m *machine) error {
	member, err := c.memberOf(ctx, m)
	if errors.Is(err, errNoMember) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.api.etcd.RemoveIdle(ctx, member)
}

// enter starts a controller and waits until it votes. k0s promotes learners too, but looks for them only now and then.
func (c *Cluster) enter(ctx context.Context, m *machine) error {
	line := c.report.Host(m.name())
	line.Update("starting")
	if m.newcomer { // what it asked for when it was stopped may have been granted after that
		if err := c.giveUpPlace(ctx, m); err != nil {
			return err
		}
	}
	if err := m.node.Start(ctx); err != nil {
		return at(m.host.Conn, err)
	}
	line.Update("joining etcd")
	err := c.await(ctx, m.name()+" votes in etcd", func(ctx context.Context) error {
		member, err := c.memberOf(ctx, m)
		switch {
		case err != nil:
			return err
		case member.Name == "":
			return fmt.Errorf("%s has not started", member)
		case member.Learner:
			return c.api.etcd.Promote(ctx, member)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w%s: see `journalctl -u k0scontroller` on %s", err, m.complaint(ctx), m.conn.Name())
	}
	m.voter = true
	line.Update("waiting for its API server")
	if c.seed.deputy {
		return c.reseed(ctx, m)
	}
	return nil
}

// complaint is the last error in k0s's journal, for the end of a message; empty where none is known.
func (m *machine) complaint(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	const command = "journalctl -q -o cat -n 200 -u k0scontroller | grep -E '^Error: |level=(error|fatal)' | tail -n 1"
	said, err := m.conn.Output(ctx, command, nil)
	if err != nil || said == "" {
		return ""
	}
	return "; the last error there: " + said
}

func (c *Cluster) awaitController(ctx context.Context, m *machine) error {
	if err := c.await(ctx, "the API server on "+m.name()+" is ready", m.up); err != nil {
		return fmt.Errorf("%w: see `journalctl -u k0scontroller` on %s", err, m.conn.Name())
	}
	if err := m.lookAtController(ctx); err != nil { // it was another host when it was looked at first
		return at(m.host.Conn, err)
	}
	c.report.Host(m.name()).Done("ready")
	return nil
}

// abandon takes back a join that failed, so that the cluster is as it was: a learner is removed, and the host reset.
// A host that votes already stays; an interrupted run leaves everything to the next one.
func (c *Cluster) abandon(ctx context.Context, m *machine) error {
	if ctx.Err() != nil {
		return nil
	}
	member, err := c.memberOf(ctx, m)
	if err != nil && !errors.Is(err, errNoMember) {
		return fmt.Errorf("%s was left half-joined: %w: run the command again", m.conn.Name(), err)
	}
	if err == nil && !member.Learner {
		if member.Idle() {
			return fmt.Errorf("%s was left half-joined: etcd counts it (%s), though it has not started: run the command again",
				m.conn.Name(), member)
		}
		return nil
	}
	// The learner goes whether or not its host can be reached: it would hold the one place that etcd has for learners. It
	// goes first, since a voter that it became at that very moment must not be stopped before it is out of the quorum.
	if err == nil {
		if err := c.api.etcd.RemoveIdle(ctx, member); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, abandonTimeout)
	defer cancel()
	err = m.conn.Service(k0s.ControllerService).Stop(ctx)
	if err == nil {
		err = m.node.Reset(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s was left half-joined: %w: run the command again once it can be reached, or `k0s stop && k0s reset` on it",
			m.conn.Name(), err)
	}
	return nil
}

// abandonTimeout bounds taking a join back on its host; k0s takes half a minute to stop once it is no member any more.
const abandonTimeout = 2 * time.Minute

// withdrawToken makes the token useless and overwrites its copies. After an interrupt it leaves that to the token's
// expiry: the next run may find a join that goes on with it.
func (c *Cluster) withdrawToken(ctx context.Context, hosts []*machine, token *k0s.Token) error {
	if token == nil || ctx.Err() != nil {
		return nil
	}
	err := c.invalidateToken(ctx, *token)
	return errors.Join(err, c.each(ctx, hosts, func(ctx context.Context, m *machine) error {
		return m.node.ClearToken(ctx)
	}))
}

// voters counts the members that vote, for people to see what the cluster survives.
func voters(members []etcd.Member) string {
	n := etcd.Voters(members)
	return fmt.Sprintf("%s, %d may fail", vote(n, "etcd member"), etcd.Tolerates(n))
}

func vote(n int, thing string) string {
	if n == 1 {
		return cli.Count(n, thing) + " votes"
	}
	return cli.Count(n, thing) + " vote"
}
