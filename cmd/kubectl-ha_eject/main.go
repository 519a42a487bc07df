// Command kubectl-ha_eject is the kubectl plugin `kubectl ha-eject`.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins"
	"github.com/kubectl-ha/kubectl-ha/plugins/haeject"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(plugins.Run(haeject.New(streams), streams.ErrOut))
}
