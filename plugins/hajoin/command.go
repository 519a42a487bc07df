// Package hajoin is `kubectl ha-join`: more controllers for a control plane that runs behind HAProxy. steps.go is the
// runbook.
package hajoin

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/completion"
)

const commandName = "kubectl ha-join"

const long = `Let controllers join the control plane that runs behind HAProxy, without a failed request.

Without arguments, every controller of the cluster file joins that is no member yet; with arguments, those hosts. A host
that the file does not name gets what the file's controllers of its role have in common: user and key, k0s's executable
and its flags. Once it has joined, its entry is added to the file, and nothing else in the file changes.

Without a file, the controllers are found by the kubeconfig, and HAProxy by the note that kubectl ha-init leaves in the
cluster (the ConfigMap kube-system/kubectl-ha), which also says how the hosts are reached. A new host gets what the
controllers have in common as far as it is in there: environment variables, files and hooks are not. The join token is
made by the kubeconfig's user where he may do that, else by k0s on a controller.

The controllers that are there are left as they are. They must all be well: an alarm, a learner, a member that is not
ready, an upgrade or another command at work is a reason to refuse. Of those that cannot be reached by SSH, their API
servers are asked. Where none can be, that goes by the kubeconfig and through a load balancer's host, and new controllers
get the k0s.yaml of spec.k0s.config in the cluster file, which has to be given then.

A controller gets connections once it votes in etcd and HAProxy's health checks of it pass. A join that fails is taken
back. A run that was interrupted is completed by running it again.`

const example = `  # every controller of the file that is no member yet
  kubectl ha-join -f cluster.yaml

  # a host that the file does not name; its entry is added to the file
  kubectl ha-join -f cluster.yaml root@10.10.5.2

  # without a file, by the present kubeconfig
  kubectl ha-join root@10.10.5.2

  # what would be done
  kubectl ha-join -f cluster.yaml 10.10.5.2 10.10.6.2 --role controller --dry-run=client`

// New makes the command. Results go to streams.Out, progress and questions to streams.ErrOut.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := newOptions(streams)
	command := &cobra.Command{
		Use:           "kubectl-ha_join [-f FILE] [[USER@]HOST[:PORT]...]",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: commandName},
		Short:         "Let controllers join the control plane behind HAProxy",
		Long:          long,
		Example:       example,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, args []string) error {
			o.Targets = args
			if err := o.Validate(); err != nil {
				return &cli.UsageError{Err: err}
			}
			command.SilenceUsage = true // from here on it is not the command line that is wrong
			if err := o.Discover(command.Context()); err != nil {
				return err
			}
			if err := o.Complete(); err != nil {
				return err
			}
			return o.Run(command.Context())
		},
	}
	cli.AddVersion(command)
	o.addFlags(command.Flags())
	return completion.Hosts(command)
}
