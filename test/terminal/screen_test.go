package terminal

import "testing"

func TestScreen(t *testing.T) {
	for _, c := range []struct{ write, want string }{
		{"one\r\ntwo", "one\ntwo"},
		{"one\ntwo", "one\n   two"}, // a terminal in raw mode
		{"abcdefgh\r\nx", "abcdef\ngh\nx"},
		{"1\r\n2\r\n3\r\n\x1b[2A\x1b[Jnew\r\n", "1\nnew\n"},
		{"\x1b[31mred\x1b[0m\r\x1b[Jx", "x"},
	} {
		s := NewScreen(6, 4)
		for i := range c.write { // cut anywhere
			if _, err := s.Write([]byte(c.write[i : i+1])); err != nil {
				t.Fatalf("%q: %v", c.write, err)
			}
		}
		if s.String() != c.want {
			t.Errorf("%q: got %q, want %q", c.write, s, c.want)
		}
	}
}

func TestAScreenRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, text := range []string{"\x1b[2K", "\x1b]0;title", "\a", "\xff\xff\xff\xff", "a\r\nb\x1b[2A",
		"1\r\n2\r\n3\r\n4\r\n\x1b[3A"} {
		if _, err := NewScreen(6, 3).Write([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestAResizedScreenReflows(t *testing.T) {
	s := NewScreen(6, 4)
	if _, err := s.Write([]byte("abcdefgh\r\nij\r\n")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		columns int
		want    string
	}{{4, "abcd\nefgh\nij\n"}, {3, "abc\ndef\ngh\nij\n"}, {20, "abcdefgh\nij\n"}} {
		s.Resize(c.columns, 4)
		if s.String() != c.want || !s.AtLineStart() {
			t.Errorf("%d columns: got %q, want %q, cursor at %d, %d", c.columns, s, c.want, s.row, s.column)
		}
	}
}
