package etcdmembers

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

func newDefrag(o *Options) *cobra.Command {
	return o.changes(&cobra.Command{
		Use:   "defrag",
		Short: "Give back the unused space of every member's database",
		Long: `Give back the unused space of every member's database, one member at a time, the leader last.

A member answers nothing while it works. It is refused unless all members are healthy, and it stops at a member that does
not come back.`,
		Args: arguments(0, 0, "all members are defragmented"),
		RunE: o.run(func(command *cobra.Command, _ []string) error { return o.defrag(command.Context()) }),
	})
}

func (o *Options) defrag(ctx context.Context) error {
	f, p, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	return o.carryOut(ctx, f, p, action{
		verb:  "defragmenting",
		judge: func(p picture) error { return etcd.CanDefragment(p.state) },
		question: fmt.Sprintf("Defragment %d members, one after the other? Each answers nothing for a while.",
			len(p.state.Members)),
		plan: func(p picture) []string {
			var lines []string
			for _, m := range etcd.DefragmentOrder(p.state) {
				status := p.state.Views[m.ID].Status
				lines = append(lines, fmt.Sprintf("defragment %s: %s, of which %s are in use", m, sizeText(status.DBSize), sizeText(status.DBInUse)))
			}
			return lines
		},
		run: func(ctx context.Context, p picture) error {
			for _, m := range etcd.DefragmentOrder(p.state) {
				if err := o.defragOne(ctx, f, p, m); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// recoveryTimeout bounds how long the cluster may take to be healthy again after a member was defragmented.
const recoveryTimeout = 30 * time.Second

// defragOne defragments a member and waits until all are healthy again.
func (o *Options) defragOne(ctx context.Context, f *fleet, p picture, m etcd.Member) error {
	before := p.state.Views[m.ID].Status.DBSize
	start := time.Now()
	if err := p.through(m).Defragment(ctx); err != nil {
		return fmt.Errorf("%s: %w", m, err)
	}
	took := time.Since(start)
	waiting, cancel := context.WithTimeoutCause(ctx, recoveryTimeout, fmt.Errorf("gave up after %s", recoveryTimeout))
	defer cancel()
	var after picture
	err := kube.Wait(waiting, 200*time.Millisecond, func(ctx context.Context) error {
		after = f.look(ctx, 0)
		return etcd.CanDefragment(after.state)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return cli.Refuse("stopped after %s was defragmented: the cluster is not healthy: %w", m, err)
	}
	fmt.Fprintf(o.Out, "%s: %s became %s in %s\n", m, sizeText(before), sizeText(after.state.Views[m.ID].Status.DBSize),
		took.Round(time.Millisecond))
	return nil
}
