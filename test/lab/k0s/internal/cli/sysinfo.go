package cli

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

// newSysinfo prints the few facts that need no probing.
func newSysinfo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sysinfo",
		Short: "Display system information",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "Operating system: %s (pass)\n", runtime.GOOS)
			fmt.Fprintf(out, "  Linux kernel release: %s (pass)\n", strings.TrimSpace(string(kernel)))
			fmt.Fprintf(out, "Architecture: %s (pass)\n", runtime.GOARCH)
			return nil
		},
	}
	debugFlags(cmd.Flags())
	cmd.Flags().Bool("controller", true, "has no effect in the stand-in")
	cmd.Flags().Bool("worker", true, "has no effect in the stand-in")
	return cmd
}
