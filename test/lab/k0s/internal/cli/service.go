package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/unit"
)

func newStart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the k0s service configured on this host. Must be run as root (or with sudo)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !isRoot() {
				return errNotRoot
			}
			role, err := unit.Installed()
			if err != nil {
				return err
			}
			if running, _ := unit.Running(role); running {
				return errors.New("already running")
			}
			return unit.Start(role)
		},
	}
	debugFlags(cmd.Flags())
	return cmd
}

func newStop() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the k0s service configured on this host. Must be run as root (or with sudo)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !isRoot() {
				return errNotRoot
			}
			role, err := unit.Installed()
			if err != nil {
				return err
			}
			running, err := unit.Running(role)
			if err != nil {
				return err
			}
			if !running {
				return errors.New("already stopped")
			}
			return unit.Stop(role)
		},
	}
	debugFlags(cmd.Flags())
	return cmd
}
