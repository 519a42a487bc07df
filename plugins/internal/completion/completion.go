// Package completion says what the shell may complete on a plugin's command line. It runs while somebody types: it asks
// nothing, reaches no host by SSH, and has no answer rather than a late one.
package completion

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// patience is how long somebody who types waits for the cluster's answer.
const patience = 2 * time.Second

// source finds what may be completed; what it cannot find out is left out.
type source func(ctx context.Context, f flags) []candidate

// candidate is one word, and what a shell shows beside it.
type candidate struct{ word, about string }

// Flags lets the shell complete the flags that the plugins share, of a command and of those below it.
func Flags(command *cobra.Command) {
	for flag, words := range map[string][]string{
		"dry-run":  {"none", "client"},
		"progress": {"auto", "tty", "plain", "json"},
		"output":   {"table", "wide", "json", "yaml", "name"},
		"role":     {"controller", "controller+worker"},
	} {
		register(command, flag, func(context.Context, flags) []candidate { return plain(words) })
	}
	register(command, "context", contexts)
	register(command, "cluster", clusters)
	register(command, "user", users)
	register(command, "replace-with", hosts)
	for _, set := range []*pflag.FlagSet{command.Flags(), command.PersistentFlags()} {
		if set.Lookup("filename") != nil {
			// The flag is there, which is the one thing that can be wrong.
			_ = cobra.MarkFlagFilename(set, "filename", "yaml", "yml")
		}
		set.VisitAll(func(flag *pflag.Flag) {
			if !namesFile(flag.Name) {
				register(command, flag.Name, func(context.Context, flags) []candidate { return nil })
			}
		})
	}
	for _, child := range command.Commands() {
		Flags(child)
	}
}

// namesFile tells whether a flag's value is a file on this machine, which the shell completes by itself.
func namesFile(flag string) bool {
	return slices.Contains([]string{
		"filename", "kubeconfig", "write-kubeconfig", "ssh-key", "ssh-config", "k0s-binary", "snapshot",
	}, flag)
}

// register gives a flag its words, where the command has the flag and none gave it others.
func register(command *cobra.Command, flag string, find source) {
	if command.Flag(flag) == nil {
		return
	}
	if _, given := command.GetFlagCompletionFunc(flag); given {
		return
	}
	_ = command.RegisterFlagCompletionFunc(flag, complete(find, func([]string) bool { return true }))
}

// Controller lets the shell complete the one argument of a command, which names a controller of the cluster.
func Controller(command *cobra.Command) *cobra.Command {
	command.ValidArgsFunction = complete(controllers, func(args []string) bool { return len(args) == 0 })
	return command
}

// Member lets the shell complete the one argument of a command, which names a member of etcd.
func Member(command *cobra.Command) *cobra.Command {
	command.ValidArgsFunction = complete(members, func(args []string) bool { return len(args) == 0 })
	return command
}

// Hosts lets the shell complete the arguments of a command, which name hosts of the cluster file.
func Hosts(command *cobra.Command) *cobra.Command {
	command.ValidArgsFunction = complete(hosts, func([]string) bool { return true })
	return command
}

// complete makes cobra's function of a source. No file is offered where a name is wanted.
func complete(find source, wanted func(args []string) bool) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if !wanted(args) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := command.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return matching(find(ctx, flags{command}), args, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// matching are the candidates that begin with what is typed, each once, without those that the line has already.
func matching(candidates []candidate, args []string, begun string) []cobra.Completion {
	var words []cobra.Completion
	var seen []string
	for _, c := range candidates {
		if c.word == "" || !strings.HasPrefix(c.word, begun) || slices.Contains(args, c.word) || slices.Contains(seen, c.word) {
			continue
		}
		seen = append(seen, c.word)
		if c.about == "" {
			words = append(words, c.word)
		} else {
			words = append(words, cobra.CompletionWithDesc(c.word, c.about))
		}
	}
	slices.Sort(words)
	return words
}

func plain(words []string) []candidate {
	candidates := make([]candidate, len(words))
	for i, word := range words {
		candidates[i].word = word
	}
	return candidates
}
