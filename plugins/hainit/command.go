// Package hainit is `kubectl ha-init`: from bare hosts, or from a single controller, to a highly available control
// plane behind HAProxy. steps.go is the runbook.
package hainit

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

const commandName = "kubectl ha-init"

const long = `Set up a highly available k0s control plane behind HAProxy, from one cluster file.

The file is the one that cfctl and k0sctl read, with a second document of kind LoadBalancer (or --lb). Bare hosts
become controllers and workers; a running single controller is made highly available with its workloads kept; a
cluster that is finished already is left as it is. A run that was interrupted is completed by running it again.`

const example = `  # everything the file says
  kubectl ha-init -f cluster.yaml

  # what would be done
  kubectl ha-init -f cluster.yaml --dry-run=client

  # a cfctl or k0sctl file that names no load balancer
  kubectl ha-init -f cfctl.yaml --lb root@10.10.4.10`

// New makes the command. Results go to streams.Out, progress and questions to streams.ErrOut.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := newOptions(streams)
	command := &cobra.Command{
		Use:           "kubectl-ha_init -f FILE",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: commandName},
		Short:         "Set up a highly available k0s control plane behind HAProxy",
		Long:          long,
		Example:       example,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &cli.UsageError{Err: fmt.Errorf("unexpected argument %q: name the cluster file with -f", args[0])}
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return &cli.UsageError{Err: err}
			}
			command.SilenceUsage = true // from here on it is not the command line that is wrong
			if err := o.Complete(); err != nil {
				return err
			}
			return o.Run(command.Context())
		},
	}
	cli.AddVersion(command)
	o.addFlags(command.Flags())
	return command
}
