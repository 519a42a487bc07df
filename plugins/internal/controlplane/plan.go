package controlplane

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
)

// printPlan prints the steps that a run of the command would take, as a tree: what they do on which host is below them.
func printPlan(ctx context.Context, out io.Writer, getenv func(string) string, command string, steps []step.Step) error {
	planned, err := step.Plan(ctx, steps)
	if err != nil {
		return err
	}
	tree := report.Branch{Text: command}
	for i, p := range planned {
		b := report.Branch{Text: fmt.Sprintf("%2d. run   %s", i+1, p.Title), Below: branches(p.Detail)}
		if p.Reason != "" {
			b.Text = fmt.Sprintf("%2d. skip  %s: %s", i+1, p.Title, p.Reason)
		}
		tree.Below = append(tree.Below, b)
	}
	if err := report.WriteTree(out, getenv, tree); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "Nothing was changed (dry run).")
	return err
}

// branches makes a branch of each line, but for those of a diff, which are one.
func branches(lines []string) []report.Branch {
	var all []report.Branch
	inDiff := false
	for i, line := range lines {
		line = strings.TrimRight(line, "\n")
		begins := strings.HasPrefix(line, "--- ") && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "+++ ")
		if inDiff && !begins && strings.ContainsAny(line[:min(1, len(line))], "+-@ \\") {
			all[len(all)-1].Text += "\n" + line
			continue
		}
		inDiff = begins
		all = append(all, report.Branch{Text: line})
	}
	return all
}
