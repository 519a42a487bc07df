package plugins

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins/etcdmembers"
	"github.com/kubectl-ha/kubectl-ha/plugins/haeject"
	"github.com/kubectl-ha/kubectl-ha/plugins/hainit"
	"github.com/kubectl-ha/kubectl-ha/plugins/hajoin"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/completion"
)

// TestFilesAreOfferedForFilesAlone completes the value of every flag that takes one.
func TestFilesAreOfferedForFilesAlone(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	seen := map[string]bool{}
	for _, create := range []func(genericiooptions.IOStreams) *cobra.Command{hainit.New, hajoin.New, haeject.New, etcdmembers.New} {
		command := create(genericiooptions.NewTestIOStreamsDiscard())
		for _, c := range append(command.Commands(), command) {
			var path []string
			if c != command {
				path = []string{c.Name()}
			}
			look := func(flag *pflag.Flag) {
				if flag.Value.Type() == "bool" {
					return
				}
				want := ":4" // no files
				switch flag.Name {
				case "filename":
					want = ":8" // those that end as is said
				case "kubeconfig", "write-kubeconfig", "ssh-key", "ssh-config", "k0s-binary", "snapshot":
					want = ":0" // whatever the shell finds
				}
				seen[flag.Name] = true
				_, got := completed(t, create, append(path, "--"+flag.Name, "")...)
				if got != want {
					t.Errorf("%s --%s: got %s, want %s", c.CommandPath(), flag.Name, got, want)
				}
			}
			c.LocalFlags().VisitAll(look)
			c.InheritedFlags().VisitAll(look)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d flags were seen", len(seen))
	}
}

func TestAReplacementIsAHostOfTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - {role: controller, hostname: cp1, ssh: {address: 10.10.0.2}}
    - {role: controller, hostname: cp2, ssh: {address: 10.10.1.2}}
    - {role: worker, hostname: w1, ssh: {address: 10.10.20.2}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _ := completed(t, haeject.New, "cp1", "-f", file, "--replace-with", "")
	if want := []string{"cp2\t10.10.1.2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// completed is what a plugin completes a line to, and cobra's directive.
func completed(t *testing.T, create func(genericiooptions.IOStreams) *cobra.Command, line ...string) (words []string, directive string) {
	t.Helper()
	command := create(genericiooptions.NewTestIOStreamsDiscard())
	completion.Flags(command)
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&bytes.Buffer{})
	command.SetArgs(append([]string{cobra.ShellCompRequestCmd}, line...))
	if err := command.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[:len(lines)-1], lines[len(lines)-1]
}
