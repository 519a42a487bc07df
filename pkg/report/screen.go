package report

import (
	"io"
	"os"
	"strings"
)

// Screen shows a text that changes: in its place on a terminal, and one below the other elsewhere.
type Screen struct {
	out      io.Writer
	size     func() (columns, rows int)
	terminal bool
	drawn    []int // how many characters each line has that is on the terminal
	shown    bool
}

// NewScreen makes a Screen of a stream.
func NewScreen(out io.Writer) *Screen {
	return &Screen{
		out:      out,
		size:     func() (int, int) { return terminalSize(out) },
		terminal: IsTerminal(out) && os.Getenv("TERM") != "dumb",
	}
}

// Show replaces the text. On a terminal what does not fit is cut off, since what has scrolled away cannot be replaced.
func (s *Screen) Show(text string) {
	if !s.terminal {
		if s.shown {
			text = "\n" + text
		}
		s.shown = true
		_, _ = io.WriteString(s.out, text) // who watches may leave
		return
	}
	columns, rows := s.size()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[:min(len(lines), max(1, rows-1))]
	var b strings.Builder
	b.WriteString(s.erase(columns, rows))
	for _, line := range lines {
		line, length := cutPainted(line, columns-1)
		b.WriteString(line + "\n")
		s.drawn = append(s.drawn, length)
	}
	_, _ = io.WriteString(s.out, b.String()) // who watches may leave
}

// Replaces tells whether a text takes the place of the one before.
func (s *Screen) Replaces() bool { return s.terminal }

// Clear takes the text off the terminal.
func (s *Screen) Clear() { _, _ = io.WriteString(s.out, s.erase(s.size())) }

func (s *Screen) erase(columns, rows int) string {
	drawn := s.drawn
	s.drawn = nil
	return erasing(drawn, columns, rows)
}

// cutPainted shortens a line to so many characters, in which colours do not count, and tells how many it has then.
func cutPainted(line string, columns int) (short string, length int) {
	colour := false
	for i, r := range line {
		switch {
		case r == '\x1b':
			colour = true
		case colour:
			colour = r != 'm'
		case length == columns:
			if strings.Contains(line[i:], "\x1b") {
				return line[:i] + "\x1b[0m", length
			}
			return line[:i], length
		default:
			length++
		}
	}
	return line, length
}

// Painter colours texts where colours are wanted: on a terminal, unless $NO_COLOR is set.
type Painter struct{ on bool }

// NewPainter makes a Painter for what goes to out.
func NewPainter(out io.Writer) Painter {
	return Painter{IsTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Good is for what is as it should be.
func (p Painter) Good(text string) string { return p.paint(green, text) }

// Doubtful is for what people should look at.
func (p Painter) Doubtful(text string) string { return p.paint(yellow, text) }

// Strong is for what people should see first.
func (p Painter) Strong(text string) string { return p.paint(bold, text) }

// Bad is for what is broken.
func (p Painter) Bad(text string) string { return p.paint(red, text) }

func (p Painter) paint(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Printable takes out of a text what could act on a terminal; line ends stay.
func Printable(text string) string { return printable(text) }
