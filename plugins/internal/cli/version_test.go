package cli

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestVersionIsPrintedInPlaceOfARun(t *testing.T) {
	var out bytes.Buffer
	command := &cobra.Command{Use: "kubectl-ha_init", RunE: func(*cobra.Command, []string) error {
		t.Error("the command ran")
		return nil
	}}
	AddVersion(command)
	command.SetOut(&out)
	command.SetArgs([]string{"--version"})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	if last := "Platform: " + runtime.GOOS + "/" + runtime.GOARCH + "\n"; !strings.HasSuffix(out.String(), last) {
		t.Errorf("got %q, want it to end with %q", out.String(), last)
	}
	if command.Flags().ShorthandLookup("v") != nil {
		t.Error("-v is taken, which is kubectl's flag for more words")
	}
}
