package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

// tokenVariable is the environment variable that may hold a join token.
const tokenVariable = "K0S_TOKEN"

// tokenSource reads the join token when it is needed: a host that has joined
// needs none, and its token file may be gone.
func tokenSource(cmd *cobra.Command, args []string) func() (string, error) {
	file, _ := cmd.Flags().GetString("token-file")
	return func() (string, error) {
		switch {
		case len(args) > 0:
			return args[0], nil
		case os.Getenv(tokenVariable) != "":
			return os.Getenv(tokenVariable), nil
		case file == "":
			return "", nil
		}
		problem := "is empty"
		data, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			problem = "not found"
		case err != nil:
			return "", fmt.Errorf("failed to read token file: %w", err)
		case len(data) > 0:
			return string(data), nil
		}
		return "", fmt.Errorf("token file %q %s: obtain a new token via \"k0s token create ...\" and store it in the file"+
			" or reinstall this node via \"k0s install --force ...\" or \"k0sctl apply --force ...\"", file, problem)
	}
}

// oneTokenSource refuses more than one source, as k0s does.
func oneTokenSource(cmd *cobra.Command, args []string) error {
	n := len(args)
	if file, _ := cmd.Flags().GetString("token-file"); file != "" {
		n++
	}
	if os.Getenv(tokenVariable) != "" {
		n++
	}
	if n > 1 {
		return errors.New("you can only pass one token source: either as a CLI argument, via '--token-file [path]', " +
			"or via the K0S_TOKEN environment variable")
	}
	return nil
}
