package cli

import (
	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/pkg/version"
)

// AddVersion gives a command the flag --version.
func AddVersion(command *cobra.Command) {
	command.Version = version.Text()
	command.SetVersionTemplate("{{.Version}}")
	command.Flags().Bool("version", false, "print the version and exit") // cobra's own takes -v too
}
