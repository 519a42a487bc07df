package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/pki"
)

func newKubeconfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Create a kubeconfig file for a specified user",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return pflag.ErrHelp },
	}
	cmd.AddCommand(newKubeconfigAdmin(), newKubeconfigCreate())
	return cmd
}

func newKubeconfigAdmin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Display Admin's Kubeconfig file",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := runningVars(cmd)
			if err != nil {
				return err
			}
			config, err := clusterconfig.Load(v)
			if err != nil {
				return err
			}
			var contents [3][]byte
			for i, path := range []string{v.Cert("ca"), v.Cert("admin"), v.Key("admin")} {
				if contents[i], err = os.ReadFile(path); err != nil {
					return fmt.Errorf("admin PKI file %q not found, check if the control plane is initialized on this node", path)
				}
			}
			data, err := pki.Kubeconfig(pki.Identity{
				Cluster: "local", Context: "Default", User: "user", Server: config.Spec.API.URL(),
				CA: contents[0], Pair: pki.Pair{Certificate: contents[1], Key: contents[2]},
			})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	pathFlags(cmd.Flags())
	return cmd
}

func newKubeconfigCreate() *cobra.Command {
	var groups, contextName string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "create username",
		Short: "Create a kubeconfig for a user",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			user := args[0]
			if user == "" {
				return fmt.Errorf("username cannot be empty")
			}
			v, err := runningVars(cmd)
			if err != nil {
				return err
			}
			config, err := clusterconfig.Load(v)
			if err != nil {
				return err
			}
			ca, err := pki.LoadAuthority(v.Cert("ca"), v.Key("ca"))
			if err != nil {
				return fmt.Errorf("failed generate user certificate: %w, check if the control plane is initialized on this node", err)
			}
			pair, err := ca.IssueTo(v.Cert(user), v.Key(user), pki.Request{CommonName: user, Organization: groups, Life: life})
			if err != nil {
				return err
			}
			data, err := pki.Kubeconfig(pki.Identity{
				Cluster: contextName, Context: contextName, User: user, Server: config.Spec.API.URL(), CA: ca.PEM, Pair: pair,
			})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	pathFlags(cmd.Flags())
	configFlag(cmd.Flags())
	cmd.Flags().StringVar(&groups, "groups", "", "Specify groups")
	cmd.Flags().DurationVar(&life, "certificate-expires-after", 8760*time.Hour, "The expiration duration of the certificate")
	cmd.Flags().StringVar(&contextName, "context-name", "k0s", "Specify kubeconfig context name")
	return cmd
}
