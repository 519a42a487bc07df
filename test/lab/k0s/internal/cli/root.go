// Package cli is k0s's command line, as far as the stand-in speaks it.
package cli

import (
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// New makes the root command on the given streams.
func New(in io.Reader, out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:          "k0s",
		Short:        "k0s - the stand-in of kubectl-ha's lab; not k0s itself",
		SilenceUsage: true,
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	log := slog.New(slog.NewTextHandler(errOut, nil))
	root.AddCommand(
		newVersion(), newInstall(log), newStart(), newStop(), newStatus(), newReset(log),
		newController(log), newWorker(log),
		newToken(log), newEtcd(log), newKubeconfig(), newConfig(), newSysinfo(),
	)
	return root
}

// pathFlags are the flags that nearly every command of k0s has.
func pathFlags(flags *pflag.FlagSet) {
	flags.String("data-dir", vars.DefaultDataDir, "Data Directory for k0s. DO NOT CHANGE for an existing setup, things will break!")
	flags.String("status-socket", "", "Full file path to the socket file. (default: <rundir>/status.sock)")
}

func configFlag(flags *pflag.FlagSet) {
	flags.StringP("config", "c", "", "config file (default \""+vars.DefaultConfigPath+"\")")
}

func debugFlags(flags *pflag.FlagSet) {
	flags.BoolP("debug", "d", false, "Debug logging (implies verbose logging)")
	flags.BoolP("verbose", "v", false, "Verbose logging")
	flags.String("debugListenOn", ":6060", "Has no effect in the stand-in")
}

// varsOf resolves a command's flags to paths.
func varsOf(cmd *cobra.Command) (*vars.Vars, error) {
	text := func(name string) string {
		value, err := cmd.Flags().GetString(name)
		if err != nil {
			return ""
		}
		return value
	}
	single, _ := cmd.Flags().GetBool("single")
	return vars.New(vars.Flags{
		DataDir: text("data-dir"), KubeletRootDir: text("kubelet-root-dir"), ConfigPath: text("config"),
		StatusSocket: text("status-socket"), Single: single,
	})
}

// runningVars are the paths of the k0s that runs here, or those of the flags.
func runningVars(cmd *cobra.Command) (*vars.Vars, error) {
	v, err := varsOf(cmd)
	if err != nil {
		return nil, err
	}
	return vars.OfRunning(v), nil
}

func isRoot() bool { return os.Geteuid() == 0 }
