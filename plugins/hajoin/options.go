package hajoin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// Options is what the command line says.
type Options struct {
	controlplane.Options

	Targets []string // [USER@]HOST[:PORT]; none stands for all of the file that are no members yet
	Role    string   // of hosts that the file does not name; empty for that of its first controller

	growth controlplane.Growth  // after Complete
	new    controlplane.Entries // after Complete
}

func newOptions(streams genericiooptions.IOStreams) *Options {
	return &Options{Options: controlplane.NewOptions(streams)}
}

func (o *Options) addFlags(flags *pflag.FlagSet) {
	o.AddFlags(flags)
	o.AddDiscovery(flags)
	o.AddK0sBinary(flags)
	flags.StringVar(&o.Role, "role", o.Role,
		"role of hosts that the file does not name: controller or controller+worker; that of its first controller when empty")
}

// Validate judges the flags and arguments.
func (o *Options) Validate() error {
	errs := []error{o.Options.Validate()}
	for _, target := range o.Targets {
		errs = append(errs, config.CheckTarget(target))
	}
	switch config.Role(o.Role) {
	case "", config.RoleController, config.RoleControllerWorker:
	default:
		errs = append(errs, fmt.Errorf("--role=%s: want controller or controller+worker", o.Role))
	}
	if o.Role != "" && len(o.Targets) == 0 {
		errs = append(errs, errors.New("--role is for hosts that are given as arguments, and there are none: correct the roles in the file"))
	}
	if o.File == "" && len(o.Targets) == 0 {
		errs = append(errs, errors.New("nobody to join: name the hosts as [USER@]HOST, or the cluster file with -f FILE"))
	}
	return errors.Join(errs...)
}

// Complete reads the cluster file, with the entries of the hosts that it does not name yet.
func (o *Options) Complete() error {
	if err := o.Options.Complete(); err != nil {
		return err
	}
	var err error
	if o.growth, o.new, err = o.LetIn(config.Role(o.Role), o.Targets...); err != nil {
		return err
	}
	// Workers are no matter of this command.
	o.Cluster.Cluster.Hosts = o.Cluster.Cluster.Controllers()
	return nil
}

// Run does it.
func (o *Options) Run(ctx context.Context) error {
	return controlplane.Operation{
		Options: &o.Options,
		Command: commandName,
		Check: func(c *controlplane.Cluster, ctx context.Context) error {
			return c.PreflightGrowth(ctx, o.growth)
		},
		Steps:   func(c *controlplane.Cluster) []step.Step { return steps(c, o.new) },
		Summary: o.summary,
	}.Run(ctx)
}

// summary says what has come of a run.
func (o *Options) summary(out io.Writer, c *controlplane.Cluster, result step.Result) {
	if result.Changed == 0 {
		fmt.Fprintf(out, "Nobody is left to join: the control plane at %s has %s. Nothing was changed.\n",
			c.Address(), cli.Count(c.Members(), "controller"))
		return
	}
	if joiners := c.Joiners(); joiners != "" {
		fmt.Fprintf(out, "Joined: %s.\n", joiners)
	}
	fmt.Fprintf(out, "The control plane at %s has %s, %s.\n", c.Address(), cli.Count(c.Members(), "controller"), result)
	result.WriteTimes(out)
	fmt.Fprintf(out, "Next: %s shows how they are.\n", o.AskMembers())
}
