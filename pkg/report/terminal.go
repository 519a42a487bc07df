package report

import (
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/term"
)

// IsTerminal tells whether a stream is a terminal that somebody sits at.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// ReadSecret reads a line from a terminal, which does not show it. When ctx ends, the terminal is left as it was found.
func ReadSecret(ctx context.Context, stream any) ([]byte, error) {
	file, ok := stream.(*os.File)
	if !ok {
		return nil, errors.New("there is no terminal to ask on")
	}
	fd := int(file.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type reply struct {
		secret []byte
		err    error
	}
	replies := make(chan reply, 1)
	go func() { // reading a terminal cannot be cancelled; the process ends soon after ctx does
		secret, err := term.ReadPassword(fd)
		replies <- reply{secret, err}
	}()
	select {
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	case r := <-replies:
		return r.secret, r.err
	}
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
