// Package etcdmembers is `kubectl etcd-members`: the members of the control plane's etcd, their health, and what may
// safely be done to them, without etcdctl on any host.
package etcdmembers

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/completion"
)

const long = `Show the members of the control plane's etcd, how they are, and how many of them may still fail.

Every member is asked by itself, through an SSH tunnel to its host: the hosts of the cluster file, or the peer addresses
that k0s's EtcdMember objects name, with the settings of ssh_config and of the --ssh flags. What the members say is
compared with each other and with those objects. The exit code is 1 when the cluster is not healthy.`

const example = `  # the cluster of the present kubeconfig
  kubectl etcd-members

  # by the cluster file: needs neither a kubeconfig nor a working API
  kubectl etcd-members -f cluster.yaml -o wide

  # without SSH: what the cluster's objects say
  kubectl etcd-members --ssh=false

  # a copy of the database that etcdutl can restore
  kubectl etcd-members -f cluster.yaml snapshot etcd.db`

// New makes the command. Results go to streams.Out, warnings and questions to streams.ErrOut.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := newOptions(streams)
	command := &cobra.Command{
		Use:               "kubectl-etcd_members",
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl etcd-members"},
		Short:             "Show and look after the members of the control plane's etcd",
		Long:              long,
		Example:           example,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              arguments(0, 0, "see --help for the commands"),
		RunE: o.run(func(command *cobra.Command, _ []string) error {
			return o.Run(command.Context())
		}),
	}
	flags := command.Flags()
	flags.StringVarP(&o.Output, "output", "o", o.Output, "table, wide, json, yaml or name")
	flags.BoolVarP(&o.Watch, "watch", "w", false, "show the members again and again")
	flags.DurationVar(&o.Interval, "interval", o.Interval, "how often to look with --watch")
	flags.BoolVar(&o.SSH, "ssh", o.SSH, "reach the members; false shows what EtcdMember objects say")
	shared := command.PersistentFlags()
	shared.StringVarP(&o.File, "filename", "f", "", "the cluster file, whose hosts are asked")
	shared.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long to wait for one member")
	o.AddFlags(shared)

	cli.AddVersion(command)
	command.AddCommand(completion.Member(newRemove(o)), completion.Member(newPromote(o)), completion.Member(newMoveLeader(o)))
	command.AddCommand(newSnapshot(o), newDefrag(o), newAlarms(o))
	return command
}

// run makes a cobra function of what a command does. Usage is printed only when the command line is wrong.
func (o *Options) run(act func(command *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		if err := o.Validate(); err != nil {
			return &cli.UsageError{Err: err}
		}
		command.SilenceUsage = true
		if err := o.Complete(); err != nil {
			return err
		}
		return act(command, args)
	}
}

// arguments wants so many of them, and says what is wanted otherwise.
func arguments(least, most int, remedy string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) > most:
			return &cli.UsageError{Err: fmt.Errorf("unexpected argument %q: %s", args[most], remedy)}
		case len(args) < least:
			return &cli.UsageError{Err: fmt.Errorf("an argument is missing: %s", remedy)}
		}
		return nil
	}
}

// changes adds the flags of commands that change something.
func (o *Options) changes(command *cobra.Command) *cobra.Command {
	command.Flags().StringVar(&o.DryRun, "dry-run", o.DryRun, `"none", or "client" to print what would be done`)
	command.Flags().BoolVarP(&o.Yes, "yes", "y", false, "answer yes to every question, save those about unknown host keys")
	return command
}
