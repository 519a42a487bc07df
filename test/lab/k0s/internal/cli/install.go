package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/unit"
)

var errNotRoot = errors.New("this command must be run as root")

func newInstall(log *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install k0s on a brand-new system. Must be run as root (or with sudo)",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return pflag.ErrHelp },
	}
	install := func(role string) *cobra.Command {
		sub := &cobra.Command{
			Use:   role,
			Short: "Install k0s " + role + " on a brand-new system. Must be run as root (or with sudo)",
			Args:  cobra.NoArgs,
			RunE:  func(cmd *cobra.Command, _ []string) error { return runInstall(cmd, role, log) },
		}
		flags := sub.Flags()
		debugFlags(flags)
		pathFlags(flags)
		workerFlags(flags)
		flags.Bool("force", false, "Force init script creation")
		flags.Bool("start", false, "Start the service immediately after installation")
		flags.StringArrayP("env", "e", nil, "Set environment variables (<name>=<value> or just <name>)")
		return sub
	}
	ctl := install("controller")
	ctl.Aliases = []string{"server"}
	configFlag(ctl.Flags())
	controllerFlags(ctl.Flags())
	cmd.AddCommand(ctl, install("worker"))
	return cmd
}

func runInstall(cmd *cobra.Command, role string, log *slog.Logger) error {
	if !isRoot() {
		return errNotRoot
	}
	if role == "controller" {
		v, err := varsOf(cmd)
		if err != nil {
			return err
		}
		config, err := clusterconfig.Load(v)
		if err != nil {
			return err
		}
		if err := config.Validate(); err != nil {
			return err
		}
	}
	args, err := unitArgs(cmd.Flags())
	if err != nil {
		return err
	}
	variables, _ := cmd.Flags().GetStringArray("env")
	environment, err := resolveEnvironment(variables, os.Getenv)
	if err != nil {
		return err
	}
	force, _ := cmd.Flags().GetBool("force")
	log.Info("installing " + unit.Name(role) + " service")
	if err := unit.Install(role, append([]string{role}, args...), environment, force); err != nil {
		return fmt.Errorf("failed to install %s service: %w", role, err)
	}
	if start, _ := cmd.Flags().GetBool("start"); !start {
		return nil
	}
	if force {
		return unit.Restart(role)
	}
	return unit.Start(role)
}

// unitArgs turns the flags that were given into arguments of the service.
func unitArgs(flags *pflag.FlagSet) ([]string, error) {
	var args []string
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		switch f.Name {
		case "env", "force", "start":
			return
		case "data-dir", "kubelet-root-dir", "token-file", "config":
			absolute, err := filepath.Abs(value)
			errs = append(errs, err)
			value = absolute
		}
		switch f.Value.Type() {
		case "stringSlice", "stringToString":
			value = strings.Trim(value, "[]")
		}
		args = append(args, "--"+f.Name+"="+value)
	})
	return args, errors.Join(errs...)
}

// resolveEnvironment gives variables without a value that of this process.
func resolveEnvironment(variables []string, lookup func(string) string) ([]string, error) {
	resolved := make([]string, 0, len(variables))
	for _, variable := range variables {
		if strings.Contains(variable, "\x00") {
			return nil, errors.New("NUL byte in environment variable")
		}
		if name, _, found := strings.Cut(variable, "="); !found {
			variable = name + "=" + lookup(name)
		}
		resolved = append(resolved, variable)
	}
	return resolved, nil
}
