// Labctl makes and drives labs: sets of real hosts in containers on this machine. See package lab.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubectl-ha/kubectl-ha/test/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand(streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}).ExecuteContext(ctx)
	stop()
	// The command's own output is enough when it fails on the host.
	if exit := (*lab.ExecError)(nil); errors.As(err, &exit) {
		fmt.Fprint(os.Stderr, exit.Stderr)
		os.Exit(exit.ExitCode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "labctl:", err)
		os.Exit(1)
	}
}
