// Command kubectl-ha_join is the kubectl plugin `kubectl ha-join`.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins"
	"github.com/kubectl-ha/kubectl-ha/plugins/hajoin"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(plugins.Run(hajoin.New(streams), streams.ErrOut))
}
