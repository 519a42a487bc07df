// Command kubectl-etcd_members is the kubectl plugin `kubectl etcd-members`.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins"
	"github.com/kubectl-ha/kubectl-ha/plugins/etcdmembers"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(plugins.Run(etcdmembers.New(streams), streams.ErrOut))
}
