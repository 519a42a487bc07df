package config

import (
	"slices"
	"testing"
)

func TestSplitWordsSplitsAsAShellDoes(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"  ", nil},
		{"--debug", []string{"--debug"}},
		{`--labels="a=b,c=d"`, []string{"--labels=a=b,c=d"}},
		{"--disable-components coredns", []string{"--disable-components", "coredns"}},
		{"--disable-components\tcoredns\n", []string{"--disable-components", "coredns"}},
		{`--kubelet-extra-args='--node-ip=10.0.0.1 --v="2"'`, []string{`--kubelet-extra-args=--node-ip=10.0.0.1 --v="2"`}},
		{`--x="a \"b\" \\ \$c \d"`, []string{`--x=a "b" \ $c \d`}},
		{`a\ b c\"`, []string{"a b", `c"`}},
		{`'' ""`, []string{"", ""}},
		{`'$(x) ; | & > ` + "`" + `'`, []string{"$(x) ; | & > `"}},
		{`a$ b$/ "c$"`, []string{"a$", "b$/", "c$"}},
		{`{a,b} *.x ? ~ #`, []string{"{a,b}", "*.x", "?", "~", "#"}},
		{"ü=é", []string{"ü=é"}},
	} {
		got, err := splitWords(test.text)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("splitWords(%q) = %q, %v; want %q", test.text, got, err, test.want)
		}
	}
}

func TestSplitWordsRefusesWhatAShellWouldInterpret(t *testing.T) {
	for _, text := range []string{
		"a;b", "a|b", "a&b", "a>b", "a<b", "a(b", "a)b", "a`b`", "$x", "${x}", "$(x)", "$1", "$?", `"$x"`, `"$(x)"`, "\"`x`\"",
		`"a`, "'a", `a\`, `"a\"`,
	} {
		if words, err := splitWords(text); err == nil {
			t.Errorf("splitWords(%q) = %q, want an error", text, words)
		}
	}
}
