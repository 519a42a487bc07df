// Package terminal is for tests and recordings: a pseudo-terminal that programs run on, and the screen that a person
// would see there.
package terminal

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Screen is what a terminal shows. It knows the control characters and sequences that this project writes, and no
// others: line ends, "up", "erase below" and colours. It wraps long lines, reflows them when it is resized, and keeps
// what scrolls away.
type Screen struct {
	columns, rows int
	lines         []line
	top           int // the first line that has not scrolled away
	row, column   int // of the cursor
	style         string
	rest          []byte // the start of what is not there as a whole yet
}

// Cell is a character and the Select Graphic Rendition codes it is painted with, such as "32"; empty for none.
type Cell struct {
	Rune  rune
	Style string
}

type line struct {
	cells []Cell
	wraps bool // it goes on in the next one
}

// NewScreen makes an empty screen.
func NewScreen(columns, rows int) *Screen {
	return &Screen{columns: columns, rows: rows, lines: make([]line, 1)}
}

// escape is a sequence, and begun the beginning of one.
var (
	escape = regexp.MustCompile(`^\x1b\[([0-9;]*)([A-Za-z])`)
	begun  = regexp.MustCompile(`^\x1b(\[[0-9;]*)?$`)
)

// Write shows what a program writes. Its error says what this screen does not know, or what no terminal can do.
func (s *Screen) Write(p []byte) (int, error) {
	text := slices.Concat(s.rest, p)
	s.rest = nil
	for len(text) > 0 {
		if text[0] == '\x1b' {
			m := escape.FindSubmatch(text)
			switch {
			case m != nil:
				text = text[len(m[0]):]
				if err := s.obey(string(m[1]), string(m[2])); err != nil {
					return len(p), err
				}
				continue
			case begun.Match(text):
				s.rest = bytes.Clone(text)
				return len(p), nil
			}
			return len(p), fmt.Errorf("escape sequence in %q: this screen does not know it", text[:min(16, len(text))])
		}
		if !utf8.FullRune(text) {
			s.rest = bytes.Clone(text)
			return len(p), nil
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if err := s.put(r); err != nil {
			return len(p), err
		}
	}
	return len(p), nil
}

func (s *Screen) put(r rune) error {
	switch {
	case r == '\n':
		s.down()
	case r == '\r':
		s.column = 0
	case r < ' ' || r == 0x7f || r == utf8.RuneError:
		return fmt.Errorf("control character %q: this screen does not know it", r)
	default:
		if s.column == s.columns {
			s.lines[s.row].wraps = true
			s.down()
			s.column = 0
		}
		l := &s.lines[s.row]
		for len(l.cells) <= s.column {
			l.cells = append(l.cells, Cell{Rune: ' '})
		}
		l.cells[s.column] = Cell{r, s.style}
		s.column++
	}
	return nil
}

func (s *Screen) down() {
	s.row++
	if s.row == len(s.lines) {
		s.lines = append(s.lines, line{})
	}
	s.top = max(s.top, s.row-s.rows+1)
}

func (s *Screen) obey(argument, command string) error {
	switch command {
	case "A":
		n, err := strconv.Atoi(argument)
		if err != nil || n > s.row-s.top {
			return fmt.Errorf("up %q from line %d of the screen: there is nothing above the first", argument, s.row-s.top)
		}
		s.row -= n
	case "J":
		s.lines = s.lines[:s.row+1]
		l := &s.lines[s.row]
		l.cells, l.wraps = l.cells[:min(s.column, len(l.cells))], false
		if s.column == 0 && s.row > 0 {
			s.lines[s.row-1].wraps = false
		}
	case "m":
		switch {
		case argument == "" || argument == "0":
			s.style = ""
		case s.style == "":
			s.style = argument
		default:
			s.style += ";" + argument
		}
	default:
		return fmt.Errorf("escape sequence %s%s: this screen does not know it", argument, command)
	}
	return nil
}

// Resize gives the screen another size, as when somebody drags the corner of its window.
func (s *Screen) Resize(columns, rows int) {
	var lines []line
	var row, column int
	for i := 0; i < len(s.lines); {
		var whole []Cell
		cursor := -1
		for more := true; more; i++ {
			if i == s.row {
				cursor = len(whole) + s.column
			}
			whole = append(whole, s.lines[i].cells...)
			more = s.lines[i].wraps
		}
		first := len(lines)
		for len(whole) > columns {
			lines = append(lines, line{whole[:columns:columns], true})
			whole = whole[columns:]
		}
		lines = append(lines, line{cells: whole})
		if cursor >= 0 {
			row = min(first+cursor/columns, len(lines)-1)
			column = cursor - (row-first)*columns
		}
	}
	s.columns, s.rows, s.lines, s.row, s.column = columns, rows, lines, row, column
	s.top = max(0, row-rows+1)
}

func (s *Screen) clone() *Screen {
	c := *s
	c.lines = slices.Clone(s.lines)
	for i := range c.lines {
		c.lines[i].cells = slices.Clone(c.lines[i].cells)
	}
	return &c
}

// Size returns columns and rows.
func (s *Screen) Size() (columns, rows int) { return s.columns, s.rows }

// Cells returns a copy of what is on the screen now, from its first row; rows at the end that were never used are left out.
func (s *Screen) Cells() [][]Cell {
	var cells [][]Cell
	for _, l := range s.lines[s.top:] {
		cells = append(cells, slices.Clone(l.cells))
	}
	return cells
}

// Coloured tells whether anything is painted, on the screen or scrolled away.
func (s *Screen) Coloured() bool {
	for _, l := range s.lines {
		for _, c := range l.cells {
			if c.Style != "" {
				return true
			}
		}
	}
	return false
}

// AtLineStart tells whether the cursor is where a shell's prompt belongs: at the start of the last line, which is empty.
func (s *Screen) AtLineStart() bool {
	return s.column == 0 && s.row == len(s.lines)-1 && len(s.lines[s.row].cells) == 0
}

// String is all lines, with those that have scrolled away, without colours.
func (s *Screen) String() string {
	texts := make([]string, len(s.lines))
	for i, l := range s.lines {
		var b strings.Builder
		for _, c := range l.cells {
			b.WriteRune(c.Rune)
		}
		texts[i] = b.String()
	}
	return strings.Join(texts, "\n")
}
