package haproxy

import (
	"slices"
	"testing"
)

func TestWordsAreCutAsHAProxyDoes(t *testing.T) {
	tests := []struct {
		name, line string
		words      []string
		dynamic    bool
	}{
		{"blanks of all kinds", "\t bind\t:6443 \v ssl\f\n", []string{"bind", ":6443", "ssl"}, false},
		{"nothing", " \t\n", nil, false},
		{"comment", "# bind :6443", nil, false},
		{"comment behind words", "bind :6443#no blank before", []string{"bind", ":6443"}, false},
		{"hash in quotes", `acl a path "#x" '#y' \#z`, []string{"acl", "a", "path", "#x", "#y", "#z"}, false},
		{"double quotes", `log-format "a b 'c' \"d\" \$e"`, []string{"log-format", `a b 'c' "d" $e`}, false},
		{"single quotes escape nothing", `log-format 'a "b" \n \'`, []string{"log-format", `a "b" \n \`}, false},
		{"quotes inside a word", `set a"b c"d'e f'`, []string{"set", "ab cde f"}, false},
		{"escapes", `x a\ b c\\d e\tf g\x41h i\qj k\x4`, []string{"x", "a b", `c\d`, "e\tf", "gAh", `i\qj`, `k\x4`}, false},
		{"backslash at the end", "x a\\", []string{"x", `a\`}, false},
		{"an empty word ends the line", `server a "" check`, []string{"server", "a"}, false},
		{"a carriage return ends the line", "mode tcp\r\n", []string{"mode", "tcp"}, false},
		{"a carriage return ends it anywhere", "mode \"t\rcp\"", []string{"mode", "t"}, false},
		{"NUL ends the line", "mode t\x00cp", []string{"mode", "t"}, false},
		{"a variable in double quotes", `bind "${A}:6443"`, []string{"bind", "${A}:6443"}, true},
		{"a dollar elsewhere", `x $a '$b' "\$c"`, []string{"x", "$a", "$b", "$c"}, false},
		{"bytes that are no UTF-8", "x \xff\xfe", []string{"x", "\xff\xfe"}, false},
		{"a quote that stays open", `x "a b`, []string{"x", "a b"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			words, dynamic := splitWords([]byte(test.line))
			if !slices.Equal(words, test.words) || dynamic != test.dynamic {
				t.Errorf("got %q, dynamic %t; want %q, %t", words, dynamic, test.words, test.dynamic)
			}
		})
	}
}

func TestLinesKeepTheirPlace(t *testing.T) {
	cfg := []byte("a\n\n# c\r\n  b c\r\nd")
	lines := scanLines(cfg)
	var got []string
	for _, l := range lines {
		got = append(got, string(cfg[l.start:l.end]))
	}
	if want := []string{"a\n", "  b c\r\n", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if lines[1].number != 4 || lines[2].number != 5 {
		t.Errorf("numbers %d and %d, want 4 and 5", lines[1].number, lines[2].number)
	}
}
