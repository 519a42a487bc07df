// Command kubectl-ha_init is the kubectl plugin `kubectl ha-init`.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins"
	"github.com/kubectl-ha/kubectl-ha/plugins/hainit"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(plugins.Run(hainit.New(streams), streams.ErrOut))
}
