package report

import (
	"io"
	"strings"
)

// Branch is an entry of a tree, with what is below it.
type Branch struct {
	Text  string // its further lines, where it has any, are indented like the first
	Below []Branch
}

// WriteTree draws a tree, with signs that the locale of getenv can show.
func WriteTree(out io.Writer, getenv func(string) string, root Branch) error {
	var b strings.Builder
	b.WriteString(root.Text + "\n")
	drawBelow(&b, marksFor(getenv), "", root.Below)
	_, err := io.WriteString(out, b.String())
	return err
}

func drawBelow(b *strings.Builder, m marks, indent string, branches []Branch) {
	for i, branch := range branches {
		fork, beside := m.fork, m.beside
		if i == len(branches)-1 {
			fork, beside = m.end, "   "
		}
		first, rest, more := strings.Cut(branch.Text, "\n")
		b.WriteString(indent + fork + first + "\n")
		if more {
			for line := range strings.SplitSeq(rest, "\n") {
				b.WriteString(strings.TrimRight(indent+beside+line, " ") + "\n")
			}
		}
		drawBelow(b, m, indent+beside, branch.Below)
	}
}
