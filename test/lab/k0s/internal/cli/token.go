package cli

import (
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/jointoken"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/kube"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/status"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

func newToken(log *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Manage join tokens",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return pflag.ErrHelp },
	}
	cmd.AddCommand(newTokenCreate(log), newTokenInvalidate(), newTokenList())
	return cmd
}

func newTokenCreate(log *slog.Logger) *cobra.Command {
	var role, expiry string
	var wait bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create join token",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := jointoken.UserOf(role); err != nil {
				return err
			}
			life, err := time.ParseDuration(expiry)
			if err != nil {
				return err
			}
			v, err := runningVars(cmd)
			if err != nil {
				return err
			}
			for attempt := 1; ; attempt++ {
				token, err := createToken(cmd, v, role, life)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), token)
					return nil
				}
				if !wait || attempt == 120 {
					return err
				}
				log.Debug("waiting for k0s", "err", err)
				time.Sleep(time.Second)
			}
		},
	}
	pathFlags(cmd.Flags())
	cmd.Flags().StringVar(&expiry, "expiry", "0s", "Expiration time of the token. Format 1.5h, 2h45m or 300ms.")
	cmd.Flags().StringVar(&role, "role", "worker", "Either worker or controller")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait forever (default false)")
	return cmd
}

func createToken(cmd *cobra.Command, v *vars.Vars, role string, life time.Duration) (string, error) {
	info, err := status.Read(v.StatusSocketPath)
	if err != nil {
		return "", fmt.Errorf("failed to get k0s status: %w", err)
	}
	if info.SingleNode {
		return "", fmt.Errorf("refusing to create token: cannot join into a single node cluster")
	}
	config, err := clusterconfig.Load(v)
	if err != nil {
		return "", err
	}
	ca, err := os.ReadFile(v.Cert("ca"))
	if err != nil {
		return "", fmt.Errorf("failed to read cluster CA from %q: %w; check if the control plane is initialized on this node",
			v.Cert("ca"), err)
	}
	clients, err := kube.FromFile(v.AdminKubeConfigPath)
	if err != nil {
		return "", err
	}
	return jointoken.Create(cmd.Context(), clients.Typed, config.Spec.API, ca, role, life)
}

func newTokenInvalidate() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "invalidate join-token...",
		Short:   "Invalidates existing join token",
		Example: "k0s token invalidate xyz123",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := runningVars(cmd)
			if err != nil {
				return err
			}
			clients, err := kube.FromFile(v.AdminKubeConfigPath)
			if err != nil {
				return err
			}
			for _, id := range args {
				if err := jointoken.Invalidate(cmd.Context(), clients.Typed, id); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "token %s deleted successfully\n", id)
			}
			return nil
		},
	}
	pathFlags(cmd.Flags())
	return cmd
}

func newTokenList() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List join tokens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := runningVars(cmd)
			if err != nil {
				return err
			}
			clients, err := kube.FromFile(v.AdminKubeConfigPath)
			if err != nil {
				return err
			}
			tokens, err := jointoken.List(cmd.Context(), clients.Typed)
			if err != nil {
				return err
			}
			if len(tokens) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "No k0s join tokens found")
				return nil
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
			fmt.Fprintln(table, "ID\tROLE\tEXPIRES AT")
			for _, t := range tokens {
				if role == "" || role == t.Role {
					fmt.Fprintf(table, "%s\t%s\t%s\n", t.ID, t.Role, t.Expiry)
				}
			}
			return table.Flush()
		},
	}
	pathFlags(cmd.Flags())
	cmd.Flags().StringVar(&role, "role", "", "Either worker, controller or empty for all roles")
	return cmd
}
