package etcdmembers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
)

func newAlarms(o *Options) *cobra.Command {
	command := &cobra.Command{
		Use:   "alarms",
		Short: "Show the alarms that etcd has raised",
		Long:  "Show the alarms that etcd has raised. The exit code is 1 when there are any.",
		Args:  arguments(0, 0, "the one command is disarm"),
		RunE:  o.run(func(command *cobra.Command, _ []string) error { return o.showAlarms(command.Context()) }),
	}
	command.AddCommand(o.changes(&cobra.Command{
		Use:   "disarm",
		Short: "End all alarms whose cause is gone",
		Long: `End all alarms whose cause is gone.

It is refused while a database still fills its quota, and for a member whose database is corrupt.`,
		Args: arguments(0, 0, "all alarms are disarmed"),
		RunE: o.run(func(command *cobra.Command, _ []string) error { return o.disarm(command.Context()) }),
	}))
	return command
}

func (o *Options) showAlarms(ctx context.Context) error {
	f, p, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	alarms := alarmTexts(p.state)
	if len(alarms) == 0 {
		fmt.Fprintln(o.Out, "No alarm is raised.")
		return nil
	}
	fmt.Fprintln(o.Out, strings.Join(alarms, "\n"))
	return errors.New("etcd has raised an alarm: clear its cause, then run kubectl etcd-members alarms disarm")
}

// alarmTexts names the alarms by their members.
func alarmTexts(s etcd.State) []string {
	var texts []string
	for _, a := range s.Alarms() {
		text := a.String()
		if m, found := s.Member(a.Member); found {
			text = fmt.Sprintf("%s on %s", a.Type, m)
		}
		texts = append(texts, text)
	}
	return texts
}

func (o *Options) disarm(ctx context.Context) error {
	f, p, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	texts := alarmTexts(p.state)
	if len(texts) == 0 {
		fmt.Fprintln(o.Out, "No alarm is raised.")
		return nil
	}
	return o.carryOut(ctx, f, p, action{
		verb:     "disarming " + strings.Join(texts, ", "),
		judge:    func(p picture) error { return etcd.CanDisarm(p.state) },
		question: fmt.Sprintf("Disarm %s?", strings.Join(texts, ", ")),
		plan: func(p picture) []string {
			var lines []string
			for _, text := range alarmTexts(p.state) {
				lines = append(lines, "disarm "+text)
			}
			return lines
		},
		done: fmt.Sprintf("Disarmed: %s\n", strings.Join(texts, ", ")),
		run: func(ctx context.Context, p picture) error {
			by, found := etcd.Successor(p.state)
			if leader, known := p.state.Member(p.state.Leader()); known && p.tunnels[leader.ID] != nil {
				by, found = leader, true
			}
			if !found {
				return errors.New("disarming: no healthy voter answers")
			}
			for _, a := range p.state.Alarms() {
				if err := p.through(by).Disarm(ctx, a); err != nil {
					return err
				}
			}
			return nil
		},
	})
}
