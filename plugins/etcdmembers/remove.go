package etcdmembers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

func newRemove(o *Options) *cobra.Command {
	return o.changes(&cobra.Command{
		Use:   "remove NAME|ID",
		Short: "Remove a member from etcd, through one that remains",
		Long: `Remove a member from etcd, through one that remains.

This is for members whose host is gone, and for orphans that other tools left behind. To take a controller out of the
cluster, alive or dead, use kubectl ha-eject: it does this and everything else that has to be done.

It is refused unless every other member is healthy, none is a learner, no alarm is raised, all agree on who the members
are, and those that remain are a quorum.`,
		Args: arguments(1, 1, "name the member, or give its ID"),
		RunE: o.run(func(command *cobra.Command, args []string) error { return o.remove(command.Context(), args[0]) }),
	})
}

func (o *Options) remove(ctx context.Context, argument string) error {
	f, p, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	m, err := find(p.state.Members, argument)
	if err != nil {
		return err
	}
	note := ""
	if p.tunnels[m.ID] != nil {
		note = fmt.Sprintf("note: %s is alive. Removing it from etcd leaves its k0s, its Node and its servers in HAProxy behind: "+
			"kubectl ha-eject %s is the whole procedure.", m, argumentFor(m))
	}
	done := fmt.Sprintf("%s is removed from etcd.\n", m)
	if name := objectOf(p.objects, m); name != "" {
		done += fmt.Sprintf("Its EtcdMember object stays; when its host is gone for good: kubectl delete etcdmember %s\n", name)
	}
	return o.carryOut(ctx, f, p, action{
		verb:       "removing " + m.String(),
		judge:      func(p picture) error { return etcd.CanRemove(p.state, m.ID) },
		question:   removeQuestion(p.state, m),
		note:       note,
		membership: true,
		plan:       func(p picture) []string { return removalLines(p, m) },
		done:       done,
		run:        func(ctx context.Context, p picture) error { return removeMember(ctx, p, m) },
	})
}

func removeQuestion(s etcd.State, m etcd.Member) string {
	voters := etcd.Voters(s.Members)
	if !m.Learner {
		voters--
	}
	bears := "none of them may fail then"
	if n := etcd.Tolerates(voters); n > 0 {
		bears = fmt.Sprintf("%d of them may fail then", n)
	}
	return fmt.Sprintf("Remove %s from etcd? Voters that remain: %d; %s.", m, voters, bears)
}

// remover is the member that another one is removed through: the leader, or, when it is the one that goes, its successor.
// The leadership is moved to that first, which costs nothing where an election would cost a second or more.
func remover(p picture, m etcd.Member) (by etcd.Member, moves, found bool) {
	if p.state.Leader() == m.ID {
		by, found = etcd.Successor(p.state, m.ID)
		return by, found && p.tunnels[m.ID] != nil, found && p.tunnels[by.ID] != nil
	}
	if by, found = p.state.Member(p.state.Leader()); !found {
		by, found = etcd.Successor(p.state, m.ID)
	}
	return by, false, found && p.tunnels[by.ID] != nil
}

func removalLines(p picture, m etcd.Member) []string {
	var lines []string
	by, moves, _ := remover(p, m)
	if moves {
		lines = append(lines, moveLine(m, by))
	}
	return append(lines, fmt.Sprintf("remove %s, through %s", m, by))
}

func removeMember(ctx context.Context, p picture, m etcd.Member) error {
	by, moves, found := remover(p, m)
	if moves {
		if err := p.through(m).MoveLeader(ctx, by); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("removing %s: no other member answers", m)
	}
	if err := p.through(by).Remove(ctx, m); err != nil {
		return err
	}
	return awaitRemoval(ctx, p.through(by), m)
}

// removalTimeout bounds how long the survivors may take to agree that the member is gone.
const removalTimeout = 10 * time.Second

func awaitRemoval(ctx context.Context, c client, m etcd.Member) error {
	ctx, cancel := context.WithTimeoutCause(ctx, removalTimeout, fmt.Errorf("gave up after %s", removalTimeout))
	defer cancel()
	err := kube.Wait(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		members, err := c.Members(ctx)
		if err == nil && slices.ContainsFunc(members, func(other etcd.Member) bool { return other.ID == m.ID }) {
			err = fmt.Errorf("etcd still lists %s", m)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("confirming that %s is removed: %w", m, err)
	}
	return nil
}

// objectOf is the name of the member's EtcdMember object, if there is one.
func objectOf(objects []kube.EtcdMember, m etcd.Member) string {
	for _, object := range objects {
		if object.MemberID == fmt.Sprintf("%x", m.ID) {
			return object.Name
		}
	}
	return ""
}
