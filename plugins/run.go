// Package plugins runs the commands of its sub-packages as kubectl plugins.
package plugins

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/completion"
)

// Run runs a plugin's command until it ends or is interrupted, prints its error and returns the exit code of the
// process. A second interrupt ends the process at once.
func Run(command *cobra.Command, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &cli.UsageError{Err: err} })
	completion.Flags(command)
	err := command.ExecuteContext(ctx)
	if err == nil {
		return cli.ExitDone
	}
	if ctx.Err() != nil {
		fmt.Fprintf(stderr, "interrupted; run the same command again to finish the work (%v)\n", err)
		return cli.ExitInterrupted
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	return cli.ExitCode(err)
}
