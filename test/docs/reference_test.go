package docs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins/etcdmembers"
	"github.com/kubectl-ha/kubectl-ha/plugins/haeject"
	"github.com/kubectl-ha/kubectl-ha/plugins/hainit"
	"github.com/kubectl-ha/kubectl-ha/plugins/hajoin"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

const root = "../.." // of this repository

func commands() []*cobra.Command {
	streams := genericiooptions.NewTestIOStreamsDiscard()
	return []*cobra.Command{hainit.New(streams), hajoin.New(streams), haeject.New(streams), etcdmembers.New(streams)}
}

// TestReference holds docs/reference/*.md to be what the commands say of themselves.
func TestReference(t *testing.T) {
	for _, command := range commands() {
		name := strings.ReplaceAll(command.DisplayName(), " ", "-")
		t.Run(name, func(t *testing.T) {
			var page strings.Builder
			page.WriteString("<!-- Made by `go test ./test/docs -update` of the command itself: change that. -->\n\n")
			describe(&page, command, 1)
			golden.File(t, filepath.Join(root, "docs/reference", name+".md"), page.String())
		})
	}
}

// describe writes a command, and the commands below it under headings of their own.
func describe(page *strings.Builder, command *cobra.Command, level int) {
	command.InitDefaultHelpFlag()
	fmt.Fprintf(page, "%s %s\n\n%s\n\n", strings.Repeat("#", level), command.CommandPath(), strings.TrimSpace(command.Long))
	if command.Runnable() {
		fmt.Fprintf(page, "    %s\n\n", command.UseLine())
	}
	if command.Example != "" {
		for line := range strings.Lines(command.Example) {
			if strings.TrimSpace(line) == "" {
				page.WriteString("\n")
				continue
			}
			page.WriteString("  " + line)
		}
		page.WriteString("\n\n")
	}
	describeFlags(page, command.NonInheritedFlags())
	var inherited []string
	command.InheritedFlags().VisitAll(func(flag *pflag.Flag) { inherited = append(inherited, "`--"+flag.Name+"`") })
	if len(inherited) > 0 {
		fmt.Fprintf(page, "Also, as above: %s.\n\n", strings.Join(inherited, ", "))
	}
	for _, child := range command.Commands() {
		if child.IsAvailableCommand() {
			describe(page, child, level+1)
		}
	}
}

func describeFlags(page *strings.Builder, flags *pflag.FlagSet) {
	least := 1 // every command has --help, of which nothing is to be said
	flags.VisitAll(func(*pflag.Flag) { least-- })
	if least >= 0 {
		return
	}
	page.WriteString("| flag | default | |\n|---|---|---|\n")
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Name == "help" {
			return
		}
		name := "`--" + flag.Name + "`"
		if flag.Shorthand != "" {
			name = "`-" + flag.Shorthand + "`, " + name
		}
		value := ""
		if flag.DefValue != "" && flag.DefValue != "[]" && flag.DefValue != "false" {
			value = "`" + flag.DefValue + "`"
		}
		_, usage := pflag.UnquoteUsage(flag)
		if flag.Name == "progress" {
			usage = strings.Replace(usage, "json", "[json](progress.md)", 1)
		}
		fmt.Fprintf(page, "| %s | %s | %s |\n", name, value, strings.ReplaceAll(usage, "|", `\|`))
	})
	page.WriteString("\n")
}
