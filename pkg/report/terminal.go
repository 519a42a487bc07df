package report

import (
	"os"
	"strings"

	"golang.org/x/term"
)

// IsTerminal tells whether a stream is a terminal that somebody sits at.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// terminalSize returns columns and rows of a terminal, 80 by 24 where they cannot be had.
func terminalSize(stream any) (columns, rows int) {
	if file, ok := stream.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}

// marks are the signs before lines.
type marks struct {
	done, skipped, failed, warning, host, ellipsis string
	fork, end, beside                              string // of a tree that is not live, each three columns wide
	spinner                                        []string
}

// marksFor picks signs that the locale can show.
func marksFor(getenv func(string) string) marks {
	locale := getenv("LC_ALL")
	if locale == "" {
		locale = getenv("LC_CTYPE")
	}
	if locale == "" {
		locale = getenv("LANG")
	}
	locale = strings.ToLower(locale)
	if strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8") {
		return marks{"✓", "–", "✗", "!", "└", "…", "├─ ", "└─ ", "│  ", []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}}
	}
	return marks{"+", "-", "x", "!", " ", "...", "|- ", "`- ", "|  ", []string{"|", "/", "-", "\\"}}
}
