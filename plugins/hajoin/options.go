package hajoin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/discover"
)

// Options is what the command line says.
type Options struct {
	controlplane.Options

	Targets []string // [USER@]HOST[:PORT]; none stands for all of the file that are no members yet
	Role    string   // of hosts that the file does not name; empty for that of its first controller
	// K0sBinary is k0s's executable on this machine for new hosts, where no file says where they have it from.
	K0sBinary string

	growth controlplane.Growth // after Complete
	new    newEntries          // after Complete
}

func newOptions(streams genericiooptions.IOStreams) *Options {
	return &Options{Options: controlplane.NewOptions(streams)}
}

func (o *Options) addFlags(flags *pflag.FlagSet) {
	o.AddFlags(flags)
	o.AddDiscovery(flags)
	flags.StringVar(&o.K0sBinary, "k0s-binary", "",
		"without a file: k0s's executable on this machine, which new hosts get; they download the cluster's version when empty")
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
	switch {
	case o.File == "" && len(o.Targets) == 0:
		errs = append(errs, errors.New("nobody to join: name the hosts as [USER@]HOST, or the cluster file with -f FILE"))
	case o.File != "" && o.K0sBinary != "":
		errs = append(errs, errors.New("--k0s-binary is for a call without a file: write k0sBinaryPath into the file"))
	}
	return errors.Join(errs...)
}

// Complete reads the cluster file, with the entries of the hosts that it does not name yet.
func (o *Options) Complete() error {
	if err := o.Options.Complete(); err != nil {
		return err
	}
	o.new = newEntries{role: config.Role(o.Role)}
	for _, target := range o.Targets {
		if o.Cluster.Cluster.Find(target) == nil {
			o.new.targets = append(o.new.targets, target)
		}
	}
	if err := o.addNew(); err != nil {
		return err
	}
	for _, target := range o.Targets {
		h := o.Cluster.Cluster.Find(target)
		if !h.IsController() {
			return fmt.Errorf("%s is a %s in %s: remove that entry first, or name another host", target, h.Role, o.File)
		}
		o.growth.Wanted = append(o.growth.Wanted, h)
		if slices.Contains(o.new.targets, target) {
			o.growth.Unwritten = append(o.growth.Unwritten, h)
			h.K0sBinaryPath = cmp.Or(o.K0sBinary, h.K0sBinaryPath)
		}
	}
	// Workers are no matter of this command.
	o.Cluster.Cluster.Hosts = o.Cluster.Cluster.Controllers()
	return nil
}

// addNew reads the cluster file as it will be with the entries of the hosts that it does not name.
func (o *Options) addNew() error {
	if len(o.new.targets) == 0 {
		return nil
	}
	if o.Fileless {
		return o.addFound()
	}
	file, err := o.new.addTo(o.File)
	if err != nil {
		return err
	}
	if o.Cluster, err = config.LoadText(o.File, file.data, o.LoadBalancers...); err != nil {
		return err
	}
	o.Cluster.Warnings = append(o.Cluster.Warnings, file.leftOut...)
	return nil
}

// addFound adds the hosts to what was found in the cluster.
func (o *Options) addFound() error {
	text := o.Found()
	var warnings []string
	for _, target := range o.new.targets {
		added, err := config.AddController(discover.Source, text, target, o.new.role)
		if err != nil {
			return err
		}
		text = added.Data
		for _, what := range added.LeftOut {
			warnings = append(warnings, fmt.Sprintf("%s gets no %s, which other controllers have: name a cluster file with -f FILE where "+
				"it needs some of its own", target, what))
		}
	}
	if err := o.CompleteText(text); err != nil {
		return err
	}
	o.Cluster.Warnings = append(o.Cluster.Warnings, warnings...)
	return nil
}

// writeFile adds the new hosts to the cluster file.
func (o *Options) writeFile() step.Step {
	s := o.new.step(o.File)
	if o.Fileless {
		s.Skip = func(context.Context) (string, error) { return "no file was given", nil }
	}
	return s
}

// Run does it.
func (o *Options) Run(ctx context.Context) error {
	return controlplane.Operation{
		Options: &o.Options,
		Command: commandName,
		Check: func(c *controlplane.Cluster, ctx context.Context) error {
			return c.PreflightGrowth(ctx, o.growth)
		},
		Steps:   func(c *controlplane.Cluster) []step.Step { return steps(c, o.writeFile()) },
		Summary: summary,
	}.Run(ctx)
}

// summary says what has come of a run.
func summary(out io.Writer, c *controlplane.Cluster, result step.Result) {
	if result.Changed == 0 {
		fmt.Fprintf(out, "Nobody is left to join: the control plane at %s has %d controllers. Nothing was changed.\n",
			c.Address(), c.Members())
		return
	}
	if joiners := c.Joiners(); joiners != "" {
		fmt.Fprintf(out, "Joined: %s.\n", joiners)
	}
	fmt.Fprintf(out, "The control plane at %s has %d controllers, %d steps run, %d not needed.\n",
		c.Address(), c.Members(), result.Changed, result.Skipped)
}
