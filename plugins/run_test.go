package plugins

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// run runs a command that does what f does.
func run(t *testing.T, f func(ctx context.Context) error, args ...string) (code int, stderr string) {
	t.Helper()
	command := &cobra.Command{
		Use: "try", SilenceErrors: true, SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error { return f(command.Context()) },
	}
	command.Flags().Int("number", 0, "")
	command.SetArgs(args)
	command.SetOut(io.Discard)
	command.SetErr(io.Discard)
	var b bytes.Buffer
	return Run(command, &b), b.String()
}

func TestRunTurnsErrorsIntoExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"done":    {nil, 0, ""},
		"error":   {errors.New("broken"), 1, "error: broken\n"},
		"usage":   {&cli.UsageError{Err: errors.New("no file")}, 2, "error: no file\n"},
		"refusal": {cli.Refuse("no quorum"), 3, "error: no quorum\n"},
	} {
		code, stderr := run(t, func(context.Context) error { return c.err })
		if code != c.code || stderr != c.stderr {
			t.Errorf("%s: got %d, %q", name, code, stderr)
		}
	}
}

func TestABadFlagIsAMatterOfUsage(t *testing.T) {
	for _, args := range [][]string{{"--none"}, {"--number", "x"}} {
		code, stderr := run(t, func(context.Context) error {
			t.Error("it must not run")
			return nil
		}, args...)
		if code != cli.ExitUsage || stderr == "" {
			t.Errorf("%s: got %d, %q", args, code, stderr)
		}
	}
}

func TestAnInterruptEndsTheRun(t *testing.T) {
	for _, interrupt := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		code, stderr := run(t, func(ctx context.Context) error {
			if err := syscall.Kill(syscall.Getpid(), interrupt); err != nil {
				return err
			}
			<-ctx.Done()
			return cli.Refuse("joining cp2: %w", ctx.Err()) // whatever is made of it
		})
		if want := "interrupted; run the same command again to finish the work (joining cp2: context canceled)\n"; code != 130 || stderr != want {
			t.Errorf("%s: got %d, %q", interrupt, code, stderr)
		}
	}
}

func TestWorkThatIsDoneInSpiteOfAnInterruptIsDone(t *testing.T) {
	code, stderr := run(t, func(ctx context.Context) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	if code != cli.ExitDone || stderr != "" {
		t.Errorf("got %d, %q", code, stderr)
	}
}
