// Package haeject is `kubectl ha-eject`: takes a controller out of a highly available control plane, alive or dead,
// without a failed request and without risk for the quorum. steps.go is the runbook.
package haeject

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/completion"
)

const commandName = "kubectl ha-eject"

const long = `Take a controller out of the control plane: out of HAProxy, etcd, Kubernetes and the cluster file.

NODE is the controller's name, an address of it, or its member's ID in etcd. It may be dead: then it is taken out by the
controllers that stay. It is refused where the quorum of etcd, or the cluster's data, would be at risk. A run that was
interrupted is completed by running it again. The host can join again at once.

With --replace-with, another host joins in its place, as by kubectl ha-join: before NODE leaves, or, when NODE is dead,
after that, since etcd lets no member in beside a dead one.

Without a file, the controllers are found by the kubeconfig, and HAProxy by the note that kubectl ha-init leaves in the
cluster (the ConfigMap kube-system/kubectl-ha), which also says how the hosts are reached.`

const example = `  # a controller, by the name of its node
  kubectl ha-eject cp3 -f cluster.yaml

  # without a file, by the present kubeconfig
  kubectl ha-eject cp3

  # what would be done
  kubectl ha-eject cp3 -f cluster.yaml --dry-run=client

  # by its address, with pods that use emptyDir volumes
  kubectl ha-eject 10.10.2.2 -f cluster.yaml --delete-emptydir-data

  # another host in its place
  kubectl ha-eject cp3 --replace-with root@10.10.5.2 -f cluster.yaml`

// New makes the command. Results go to streams.Out, progress and questions to streams.ErrOut.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := newOptions(streams)
	command := &cobra.Command{
		Use:           "kubectl-ha_eject NODE [-f FILE] [--replace-with HOST]",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: commandName},
		Short:         "Take a controller out of a highly available control plane",
		Long:          long,
		Example:       example,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return &cli.UsageError{Err: errors.New("no controller: name it by its node's name, an address, or its etcd member's ID")}
			case len(args) > 1:
				return &cli.UsageError{Err: fmt.Errorf("unexpected argument %q: controllers leave one at a time", args[1])}
			}
			o.Controller = args[0]
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error {
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
	return completion.Controller(command)
}
