package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/status"
)

func newStatus() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Get k0s instance status information",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := runningVars(cmd)
			if err != nil {
				return err
			}
			info, err := status.Read(v.StatusSocketPath)
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), info, output)
		},
	}
	debugFlags(cmd.Flags())
	cmd.Flags().String("status-socket", "", "Full path to the k0s status socket (default: <rundir>/status.sock)")
	cmd.Flags().StringVarP(&output, "out", "o", "", "sets type of output to json or yaml")
	return cmd
}

func printStatus(out io.Writer, info *status.Info, output string) error {
	switch output {
	case "json":
		data, err := json.MarshalIndent(info, "", "   ")
		if err != nil {
			return err
		}
		fmt.Fprintln(out, string(data))
	case "yaml":
		data, err := yaml.Marshal(info)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, string(data))
	default:
		fmt.Fprintln(out, "Version:", info.Version)
		fmt.Fprintln(out, "Process ID:", info.Pid)
		fmt.Fprintln(out, "Role:", info.Role)
		fmt.Fprintln(out, "Workloads:", info.Workloads)
		fmt.Fprintln(out, "SingleNode:", info.SingleNode)
		if info.Workloads {
			fmt.Fprintln(out, "Kube-api probing successful:", info.WorkerToAPIConnectionStatus.Success)
			fmt.Fprintln(out, "Kube-api probing last error: ", info.WorkerToAPIConnectionStatus.Message)
		}
	}
	return nil
}
