package etcdmembers

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
)

func newPromote(o *Options) *cobra.Command {
	return o.changes(&cobra.Command{
		Use:   "promote NAME|ID",
		Short: "Make a learner a voter",
		Long: `Make a learner a voter.

k0s does so by itself for controllers that join; this is for a learner that it has forgotten. It is refused unless every
voter is healthy, no alarm is raised and all members agree; etcd refuses a learner that has not caught up.`,
		Args: arguments(1, 1, "name the learner, or give its ID"),
		RunE: o.run(func(command *cobra.Command, args []string) error { return o.promote(command.Context(), args[0]) }),
	})
}

func (o *Options) promote(ctx context.Context, argument string) error {
	f, p, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	m, err := find(p.state.Members, argument)
	if err != nil {
		return err
	}
	return o.carryOut(ctx, f, p, action{
		verb:       "promoting " + m.String(),
		judge:      func(p picture) error { return etcd.CanPromote(p.state, m.ID) },
		question:   fmt.Sprintf("Let %s vote? There will be %d voters.", m, etcd.Voters(p.state.Members)+1),
		membership: true,
		plan: func(picture) []string {
			return []string{"promote " + m.String() + ", unless etcd says that it has not caught up"}
		},
		done: fmt.Sprintf("%s votes.\n", m),
		run: func(ctx context.Context, p picture) error {
			leader, _ := p.state.Member(p.state.Leader())
			if p.tunnels[leader.ID] == nil {
				return errors.New("the leader does not answer, and it alone knows whether the learner has caught up")
			}
			return p.through(leader).Promote(ctx, m)
		},
	})
}
