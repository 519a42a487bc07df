package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// versions are those of "k0s version --all". What the stand-in does not have
// is left out.
type versions struct {
	K0s        string `json:"k0s"`
	Kubernetes string `json:"kubernetes"`
	Etcd       string `json:"etcd"`
}

func newVersion() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the k0s version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{K0s: vars.Version, Kubernetes: vars.KubernetesVersion, Etcd: vars.EtcdVersion}
			switch {
			case all:
				fmt.Fprintf(cmd.OutOrStdout(), "k0s : %s\nkubernetes : %s\netcd : %s\n", v.K0s, v.Kubernetes, v.Etcd)
			case asJSON:
				data, err := json.MarshalIndent(v, "", "   ")
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), string(data))
			default:
				fmt.Fprintln(cmd.OutOrStdout(), v.K0s)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "use to print all k0s version info")
	cmd.Flags().BoolVarP(&asJSON, "json", "j", false, "use to print all k0s version info in json")
	return cmd
}
