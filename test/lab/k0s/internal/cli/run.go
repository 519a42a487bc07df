package cli

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/controller"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/worker"
)

func newController(log *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "controller [join-token]",
		Aliases: []string{"server"},
		Short:   "Run controller",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneTokenSource(cmd, args); err != nil {
				return err
			}
			v, err := varsOf(cmd)
			if err != nil {
				return err
			}
			flags := cmd.Flags()
			options := &controller.Options{Token: tokenSource(cmd, args), Worker: workerOptions(cmd, args), Args: os.Args}
			options.EnableWorker, _ = flags.GetBool("enable-worker")
			options.Single, _ = flags.GetBool("single")
			options.NoTaints, _ = flags.GetBool("no-taints")
			options.DisableComponents, _ = flags.GetStringSlice("disable-components")
			return controller.Run(cmd.Context(), v, options, log)
		},
	}
	debugFlags(cmd.Flags())
	pathFlags(cmd.Flags())
	configFlag(cmd.Flags())
	controllerFlags(cmd.Flags())
	workerFlags(cmd.Flags())
	return cmd
}

func newWorker(log *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker [join-token]",
		Short: "Run worker",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneTokenSource(cmd, args); err != nil {
				return err
			}
			v, err := varsOf(cmd)
			if err != nil {
				return err
			}
			options := workerOptions(cmd, args)
			options.Args = os.Args
			return worker.Run(cmd.Context(), v, options, log)
		},
	}
	debugFlags(cmd.Flags())
	pathFlags(cmd.Flags())
	workerFlags(cmd.Flags())
	return cmd
}
