package cli

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/member"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

func newEtcd(log *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Manage etcd cluster",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return pflag.ErrHelp },
	}
	cmd.AddCommand(newEtcdList(), newEtcdLeave(log))
	return cmd
}

// etcdConfig loads the config and refuses a controller without etcd.
func etcdConfig(cmd *cobra.Command) (*vars.Vars, *clusterconfig.Etcd, error) {
	v, err := runningVars(cmd)
	if err != nil {
		return nil, nil, err
	}
	config, err := clusterconfig.Load(v)
	if err != nil {
		return nil, nil, err
	}
	if config.Spec.Storage.Type != "etcd" {
		return nil, nil, fmt.Errorf("wrong storage type: %s", config.Spec.Storage.Type)
	}
	return v, config.Spec.Storage.Etcd, nil
}

func newEtcdList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member-list",
		Short: "List etcd cluster members (JSON encoded)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, _, err := etcdConfig(cmd)
			if err != nil {
				return err
			}
			client, err := member.Connect(v)
			if err != nil {
				return fmt.Errorf("can't list etcd cluster members: %w", err)
			}
			defer client.Close()
			members, err := client.Members(cmd.Context())
			if err != nil {
				return fmt.Errorf("can't list etcd cluster members: %w", err)
			}
			// Keyed by name, as k0s prints it: unnamed learners collapse.
			byName := make(map[string]string, len(members))
			for _, m := range members {
				byName[m.Name] = m.PeerURL
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"members": byName})
		},
	}
	debugFlags(cmd.Flags())
	pathFlags(cmd.Flags())
	return cmd
}

func newEtcdLeave(log *slog.Logger) *cobra.Command {
	var peerAddress string
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Leave the etcd cluster, or remove a specific peer",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, config, err := etcdConfig(cmd)
			if err != nil {
				return err
			}
			if peerAddress == "" {
				peerAddress = config.PeerAddress
			}
			peerURL := "https://" + net.JoinHostPort(peerAddress, "2380")
			client, err := member.Connect(v)
			if err != nil {
				return fmt.Errorf("can't connect to the etcd: %w", err)
			}
			defer client.Close()
			members, err := client.Members(cmd.Context())
			if err != nil {
				return err
			}
			for _, m := range members {
				if m.PeerURL != peerURL {
					continue
				}
				if err := client.Remove(cmd.Context(), m.ID); err != nil {
					return err
				}
				log.Info("successfully deleted", "peerID", strconv.FormatUint(m.ID, 16))
				return nil
			}
			return fmt.Errorf("peer not found: %s", peerURL)
		},
	}
	debugFlags(cmd.Flags())
	pathFlags(cmd.Flags())
	cmd.Flags().StringVar(&peerAddress, "peer-address", "", "etcd peer address to remove (default <this node's peer address>)")
	return cmd
}
