package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

const gone = "its member of etcd has gone already"

// present looks whether etcd still has the member.
func (c *Cluster) present(ctx context.Context) (s etcd.State, peers map[uint64]peer, there bool, err error) {
	s, peers = c.poll(ctx)
	if ctx.Err() != nil {
		return s, peers, false, ctx.Err()
	}
	if _, seen := s.Views[c.seedMember(s).ID]; !seen {
		return s, peers, false, fmt.Errorf("etcd on %s does not answer: %w", c.seed.conn.Name(), s.Silent[c.seedMember(s).ID])
	}
	// Whom a controller that stays lists is a member, whatever the one that leaves says.
	for id, view := range s.Views {
		if id == c.leaving.member.ID && c.seed != c.leaving.machine {
			continue
		}
		for _, m := range view.Members {
			there = there || m.ID == c.leaving.member.ID
		}
	}
	return s, peers, there && c.leaving.member.ID != 0, nil
}

// seedMember is the member that the seed runs.
func (c *Cluster) seedMember(s etcd.State) etcd.Member {
	member, _ := etcd.ByAddress(s.Members, c.seed.address)
	return member
}

// judgeRemoval looks once more whether the control plane bears the removal.
func (c *Cluster) judgeRemoval(ctx context.Context) error {
	if err := c.handOver(ctx); err != nil {
		return err
	}
	s, _, there, err := c.present(ctx)
	if err != nil || !there {
		return err
	}
	return c.unsafe(c.judge(ctx, s))
}

// unsafe refuses to go on, midway.
func (c *Cluster) unsafe(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return cli.Refuse("removing %s from etcd is refused:\n%w", c.leaving.member, errors.Join(problems...))
}

func (c *Cluster) skipSnapshot(ctx context.Context) (string, error) {
	if c.leaving.Snapshot == "" {
		return "not wanted (--skip-snapshot)", nil
	}
	return c.skipGone(ctx)
}

func (c *Cluster) skipGone(ctx context.Context) (string, error) {
	_, _, there, err := c.present(ctx)
	if err != nil || there {
		return "", err
	}
	return gone, nil
}

func (c *Cluster) detailSnapshot(context.Context) ([]string, error) {
	return []string{c.leaving.Snapshot + ", readable by you alone"}, nil
}

// snapshot copies the database from a member that stays.
func (c *Cluster) snapshot(ctx context.Context) error {
	s, peers, _, err := c.present(ctx)
	if err != nil {
		return err
	}
	source, err := etcd.SnapshotSource(s)
	if err != nil {
		return fmt.Errorf("taking a snapshot of etcd: %w", err)
	}
	line := c.report.Host("etcd")
	line.Update("copying from " + source.String())
	taken, err := etcd.SaveSnapshot(ctx, peers[source.ID], c.leaving.Snapshot)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	c.leaving.saved = true
	line.Done(fmt.Sprintf("%s: %d bytes from %s, checksum verified", c.leaving.Snapshot, taken.Size, source))
	return nil
}

func (c *Cluster) skipYield(ctx context.Context) (string, error) {
	s, peers, there, err := c.present(ctx)
	switch {
	case err != nil:
		return "", err
	case !there:
		return gone, nil
	case s.Leader() != c.leaving.member.ID:
		return c.leaving.name() + " does not lead", nil
	case peers[c.leaving.member.ID] == nil:
		return "its etcd cannot be reached: the others elect a new leader", nil
	}
	return "", nil
}

func (c *Cluster) detailYield(ctx context.Context) ([]string, error) {
	s, _, _, err := c.present(ctx)
	if err != nil {
		return nil, err
	}
	to, found := etcd.Successor(s, c.leaving.member.ID)
	switch {
	case !found && c.expected() > 0:
		return []string{fmt.Sprintf("from %s to the one that has joined", c.leaving.member)}, nil
	case !found:
		return nil, errNoSuccessor
	}
	return []string{fmt.Sprintf("from %s to %s", c.leaving.member, to)}, nil
}

var errNoSuccessor = errors.New("no other voter is healthy")

// yield hands the leadership over: an election would cost a second or more.
func (c *Cluster) yield(ctx context.Context) error {
	s, peers, _, err := c.present(ctx)
	if err != nil {
		return err
	}
	to, found := etcd.Successor(s, c.leaving.member.ID)
	leader := peers[s.Leader()]
	if !found || leader == nil {
		return errNoSuccessor
	}
	return leader.MoveLeader(ctx, to)
}

// stopsFirst tells the order. Where three or more vote, those that stay are a quorum of the old membership, too: k0s is
// stopped first, which ends its connections gracefully, and then removed. Of two, each is needed for the quorum: the
// member is removed while both are up, and k0s is stopped at once. A learner's vote is needed by nobody.
func (c *Cluster) stopsFirst(s etcd.State) bool {
	return etcd.Voters(s.Members)+c.expected() >= 3 || c.leaving.member.Learner
}

func (c *Cluster) skipLeave(ctx context.Context) (string, error) {
	reason, err := c.skipGone(ctx)
	if err != nil || reason == "" {
		return "", err
	}
	m := c.leaving.machine
	switch {
	case m == nil:
		return reason, nil
	case !m.installed():
		return reason + ", and k0s is not on its host", nil
	}
	return "", nil
}

func (c *Cluster) detailLeave(ctx context.Context) ([]string, error) {
	l := c.leaving
	s, _, there, err := c.present(ctx)
	if err != nil {
		return nil, err
	}
	var lines []string
	stop := func() {
		if l.machine != nil {
			lines = append(lines, l.machine.conn.Name()+": stop and disable k0s")
		}
	}
	remove := func() {
		if there {
			lines = append(lines, fmt.Sprintf("remove %s from etcd, by a member that stays", l.member))
		}
	}
	if c.stopsFirst(s) {
		stop()
		remove()
	} else {
		remove()
		stop()
	}
	return lines, nil
}

// leave stops k0s on the host and removes its member from etcd.
func (c *Cluster) leave(ctx context.Context) error {
	s, _, there, err := c.present(ctx)
	switch {
	case err != nil:
		return err
	case !there:
		return c.stopController(ctx)
	}
	if err := c.unsafe(c.judge(ctx, s)); err != nil {
		return err
	}
	if c.stopsFirst(s) {
		if err := c.stopController(ctx); err != nil {
			return err
		}
		return c.removeMember(ctx)
	}
	if m := c.leaving.machine; m != nil {
		c.report.Host(c.leaving.name()).Update("ending its API server's connections")
		if err := c.endConnections(ctx); err != nil {
			return at(m.host.Conn, err)
		}
	}
	if err := c.removeMember(ctx); err != nil {
		return err
	}
	return c.stopController(ctx)
}

// stopController stops k0s, and keeps it from starting at boot.
func (c *Cluster) stopController(ctx context.Context) error {
	m := c.leaving.machine
	if m == nil || !m.installed() {
		return nil
	}
	line := c.report.Host(m.name())
	line.Update("stopping k0s")
	c.leaving.stopped = true
	service := m.conn.Service(k0s.ControllerService)
	if err := service.Stop(ctx); err != nil {
		return at(m.host.Conn, err)
	}
	line.Update("disabling k0s")
	if err := service.Disable(ctx); err != nil {
		return at(m.host.Conn, err)
	}
	line.Done("k0s is stopped")
	return nil
}

// patience bounds how long etcd may take to see that its members are connected, and then to agree that one is gone, and how
// long HAProxy may take to stop giving a controller connections.
const patience = 15 * time.Second

// removeMember removes the member through one that stays, once more judged, and waits until all that stay say so.
func (c *Cluster) removeMember(ctx context.Context) error {
	l := c.leaving
	line := c.report.Host("etcd")
	line.Update("removing " + l.member.String())
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("gave up after %s", patience))
	defer cancel()
	var refused error
	err := kube.Wait(ctx, pollInterval, func(ctx context.Context) error {
		s, peers, there, err := c.present(ctx)
		if err != nil || !there {
			return err
		}
		if refused = c.unsafe(c.judge(ctx, s)); refused != nil {
			return nil // it is not for time to mend
		}
		by, err := c.remover(s, peers)
		if err != nil {
			return err
		}
		l.removed = true
		err = by.Remove(ctx, l.member)
		if errors.Is(err, etcd.ErrUnsafe) {
			l.removed = false // etcd has not seen its members for long enough
		}
		return err
	})
	if err = errors.Join(refused, err); err != nil {
		return err
	}
	err = kube.Wait(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		_, _, there, err := c.present(ctx)
		if err == nil && there {
			err = fmt.Errorf("etcd still lists %s", l.member)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("confirming that %s is removed: %w", l.member, err)
	}
	line.Done(l.member.String() + " is removed")
	return nil
}

// remover is a member that stays: the leader, where it is one of them.
func (c *Cluster) remover(s etcd.State, peers map[uint64]peer) (peer, error) {
	by := s.Leader()
	if by == c.leaving.member.ID || peers[by] == nil {
		by = c.seedMember(s).ID
	}
	if peers[by] == nil {
		return nil, fmt.Errorf("removing %s: no member that stays answers", c.leaving.member)
	}
	return peers[by], nil
}

// undoLeave starts k0s again where its member is still one: without it, the quorum could be one host away.
func (c *Cluster) undoLeave(ctx context.Context) error {
	l := c.leaving
	if !l.stopped || l.removed {
		return nil
	}
	service := l.machine.conn.Service(k0s.ControllerService)
	if err := errors.Join(service.Enable(ctx), service.Start(ctx)); err != nil {
		return fmt.Errorf("%w: k0s may be stopped there, and its member %s still counts for etcd's quorum: run the command again, or "+
			"`k0s start` on the host", at(l.machine.host.Conn, err), l.member)
	}
	l.stopped = false
	return nil
}
