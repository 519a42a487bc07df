package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/unit"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

func newReset(log *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Uninstall k0s. Must be run with elevated privileges",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !isRoot() {
				return errNotRoot
			}
			v, err := varsOf(cmd)
			if err != nil {
				return err
			}
			held, err := vars.Held(v)
			if err != nil {
				return err
			}
			if held {
				return fmt.Errorf("%w, please stop k0s before reset", vars.ErrStillRunning)
			}
			err = cleanUp(v)
			log.Info("k0s cleanup operations done.")
			log.Warn("To ensure a full reset, a node reboot is recommended.")
			return err
		},
	}
	debugFlags(cmd.Flags())
	pathFlags(cmd.Flags())
	configFlag(cmd.Flags())
	cmd.Flags().String("kubelet-root-dir", "", "Kubelet root directory for k0s")
	cmd.Flags().String("cri-socket", "", "has no effect in the stand-in")
	return cmd
}

// cleanUp removes the service and all that k0s has written. The config file
// stays, as it does with k0s.
func cleanUp(v *vars.Vars) error {
	var errs []error
	if role, err := unit.Installed(); err == nil {
		errs = append(errs, unit.Uninstall(role))
	}
	for _, dir := range []string{v.KubeletRootDir, v.DataDir, v.RunDir} {
		errs = append(errs, removeTree(dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("errors occurred during clean-up: %w", err)
	}
	return nil
}

// removeTree removes a directory; of a mount point it removes the content.
func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, syscall.EBUSY) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return errors.Join(errs...)
}
