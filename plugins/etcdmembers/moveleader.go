package etcdmembers

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

func newMoveLeader(o *Options) *cobra.Command {
	return o.changes(&cobra.Command{
		Use:   "move-leader [TO]",
		Short: "Hand the leadership of etcd to another member",
		Long: `Hand the leadership of etcd to another member, as before its host is taken down: no election is needed then.

Without TO, it goes to the healthy voter that follows most closely.`,
		Args: arguments(0, 1, "name one member, or none"),
		RunE: o.run(func(command *cobra.Command, args []string) error {
			to := ""
			if len(args) > 0 {
				to = args[0]
			}
			return o.moveLeader(command.Context(), to)
		}),
	})
}

func (o *Options) moveLeader(ctx context.Context, argument string) error {
	f, p, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	var to etcd.Member
	if argument != "" {
		if to, err = find(p.state.Members, argument); err != nil {
			return err
		}
		if to.ID == p.state.Leader() {
			fmt.Fprintf(o.Out, "%s leads already.\n", to)
			return nil
		}
	} else {
		var found bool
		if to, found = etcd.Successor(p.state); !found {
			return cli.Refuse("moving the leadership is refused: no other voter is healthy")
		}
	}
	from, _ := p.state.Member(p.state.Leader())
	return o.carryOut(ctx, f, p, action{
		verb:     "moving the leadership to " + to.String(),
		judge:    func(p picture) error { return etcd.CanMoveLeader(p.state, to.ID) },
		question: fmt.Sprintf("Move the leadership of etcd from %s to %s?", from, to),
		plan:     func(picture) []string { return []string{moveLine(from, to)} },
		done:     fmt.Sprintf("%s leads.\n", to),
		run: func(ctx context.Context, p picture) error {
			leader, _ := p.state.Member(p.state.Leader())
			return p.through(leader).MoveLeader(ctx, to)
		},
	})
}

func moveLine(from, to etcd.Member) string {
	return fmt.Sprintf("move the leadership from %s to %s", from, to)
}
