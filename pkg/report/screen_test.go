package report

import (
	"bytes"
	"testing"
)

func TestAScreenReplacesItsText(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{out: &out, terminal: true, size: func() (int, int) { return 8, 4 }}
	for _, c := range []struct {
		show func()
		want string
	}{
		{func() { s.Show("one\ntwo\n") }, "one\ntwo\n"},
		{func() { s.Show("a line that is too long\n") }, "\x1b[2A\r\x1b[Ja line \n"},
		{func() { s.Show("1\n2\n3\n4\n5\n") }, "\x1b[1A\r\x1b[J1\n2\n3\n"},
		{func() { s.Clear() }, "\x1b[3A\r\x1b[J"},
		{func() { s.Clear() }, ""},
		{func() { s.Show("\x1b[31mred\x1b[0m and more\n") }, "\x1b[31mred\x1b[0m and\n"},
		{func() { s.Show("\x1b[31mred and more\x1b[0m\n") }, "\x1b[1A\r\x1b[J\x1b[31mred and\x1b[0m\n"},
	} {
		out.Reset()
		c.show()
		if got := out.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestElsewhereATextFollowsTheOneBefore(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out)
	if s.Replaces() {
		t.Error("a buffer is no terminal")
	}
	s.Show("one\n")
	s.Show("two\n")
	s.Clear()
	if got := out.String(); got != "one\n\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

func TestAPainterPaintsOnlyWhereColoursAreWanted(t *testing.T) {
	off, on := NewPainter(&bytes.Buffer{}), Painter{on: true}
	if off.Good("x") != "x" || off.Doubtful("x") != "x" || off.Bad("x") != "x" {
		t.Error("a buffer takes no colours")
	}
	if on.Good("x") != "\x1b[32mx\x1b[0m" || on.Doubtful("x") != "\x1b[33mx\x1b[0m" || on.Bad("x") != "\x1b[31mx\x1b[0m" {
		t.Error("a terminal does")
	}
}
