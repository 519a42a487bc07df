package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Configuration related sub-commands",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return pflag.ErrHelp },
	}
	create := &cobra.Command{
		Use:   "create",
		Short: "Output the default k0s configuration yaml to stdout",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := vars.New(vars.Flags{ConfigPath: "/dev/null"})
			if err != nil {
				return err
			}
			config, err := clusterconfig.Load(v)
			if err != nil {
				return err
			}
			data, err := yaml.Marshal(config)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	create.Flags().Bool("include-images", false, "has no effect in the stand-in: it pulls none")
	validate := &cobra.Command{
		Use:   "validate",
		Short: "Validate k0s configuration",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := varsOf(cmd)
			if err != nil {
				return err
			}
			config, err := clusterconfig.Load(v)
			if err != nil {
				return fmt.Errorf("failed to read config: %w", err)
			}
			return config.Validate()
		},
	}
	configFlag(validate.Flags())
	cmd.AddCommand(create, validate)
	return cmd
}
