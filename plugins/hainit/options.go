package hainit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// Options is what the command line says.
type Options struct {
	controlplane.Options
}

func newOptions(streams genericiooptions.IOStreams) *Options {
	o := &Options{controlplane.NewOptions(streams)}
	o.WriteKubeconfig = "kubeconfig"
	return o
}

func (o *Options) addFlags(flags *pflag.FlagSet) {
	o.AddFlags(flags)
	flags.BoolVar(&o.AdoptHAProxy, "adopt-haproxy", false,
		"take over HAProxy sections that already serve the control plane's ports, without asking")
	flags.StringVar(&o.WriteKubeconfig, "write-kubeconfig", o.WriteKubeconfig,
		"where to write the cluster's admin kubeconfig, readable by you alone; empty for nowhere")
	flags.BoolVar(&o.MergeKubeconfig, "merge-kubeconfig", false,
		"add the cluster to your own kubeconfig as a context, in place of --write-kubeconfig")
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "the kubeconfig that --merge-kubeconfig adds to")
}

// Validate judges the flags against each other.
func (o *Options) Validate() error {
	err := o.Options.Validate()
	if o.Kubeconfig != "" && !o.MergeKubeconfig {
		err = errors.Join(err, errors.New("--kubeconfig names the file for --merge-kubeconfig, which is not given; "+
			"to write a new file, use --write-kubeconfig"))
	}
	return err
}

// Run does it.
func (o *Options) Run(ctx context.Context) error {
	return controlplane.Operation{
		Options: &o.Options,
		Command: commandName,
		Check:   (*controlplane.Cluster).Preflight,
		Confirm: (*controlplane.Cluster).ConfirmAdoption,
		Steps:   steps,
		Summary: summary,
	}.Run(ctx)
}

// summary says what has come of a run, and what to do next.
func summary(out io.Writer, c *controlplane.Cluster, result step.Result) {
	size, unchanged := cli.Count(c.Controllers(), "controller"), result.Changed == 0
	switch {
	case c.Controllers() < availableFrom:
		fmt.Fprintf(out, "The control plane at %s runs, and is not highly available before it has %d controllers: %s", c.Address(), availableFrom, size)
	case unchanged:
		fmt.Fprintf(out, "The control plane at %s is highly available already: %s", c.Address(), size)
	default:
		fmt.Fprintf(out, "The control plane at %s is highly available: %s", c.Address(), size)
	}
	if unchanged {
		fmt.Fprintln(out, ". Nothing was changed.")
		return
	}
	fmt.Fprintf(out, ", %s.\n", result)
	result.WriteTimes(out)
	if flags := c.KubectlFlags(); flags != "" {
		fmt.Fprintf(out, "Next: kubectl %s get nodes\n", flags)
	}
}

// availableFrom is how many members etcd needs so that one may fail.
const availableFrom = 3
