package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestSyntaxErrorsNameTheLineAndTheRemedy(t *testing.T) {
	deep := strings.Repeat("[", 101) + strings.Repeat("]", 101)
	laughs := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'f'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	chain := "a: &a x\n"
	for i := range 110 {
		if i == 0 {
			chain += "b0: &b0 [*a]\n"
			continue
		}
		chain += fmt.Sprintf("b%d: &b%d [*b%d]\n", i, i, i-1)
	}
	for _, test := range []struct{ name, data, want string }{
		{"nothing", "", "f:1: the file is empty: write a document of kind Cluster (apiVersion k0sctl.k0sproject.io/v1beta1)"},
		{"empty documents", "---\n---\n# nothing\n", "f:1: the file is empty: write a document of kind Cluster (apiVersion k0sctl.k0sproject.io/v1beta1)"},
		{"tab", "a: 1\nb:\n\tc: 2\n", "f:3: not YAML: the line is indented with a tab: use spaces"},
		{"tab after CR alone", "a: 1\rb:\r\tc: 2\r", "f:3: not YAML: the line is indented with a tab: use spaces"},
		{"reserved character", "x: 1\ny: @foo\n", "f:2: not YAML: found character that cannot start any token: put the value in quotes"},
		{"two colons", "a: 1\nb: c: d\n", "f:2: not YAML: mapping values are not allowed in this context: check the line's indentation, and put values with a colon in quotes"},
		{"two colons in a later document", "a: 1\n---\nb: 2\nc: d: e\n", "f:4: not YAML: mapping values are not allowed in this context: check the line's indentation, and put values with a colon in quotes"},
		{"indented less", "spec:\n  hosts:\n    - ssh:\n        address: 1\n       user: x\n    - b\n",
			"f:5: not YAML: did not find expected key: indent the line as its neighbours are"},
		{"list ended", "a:\n  - x\n  y: 2\nz: 3\n", "f:3: not YAML: did not find expected '-' indicator: indent the line as its neighbours are"},
		{"list begun", "a: 1\n- b\n", "f:2: not YAML: did not find expected key: indent the line as its neighbours are"},
		{"bracket", "a: 1\nb: [1, 2\nc: 3\n", "f:2: not YAML: did not find expected ',' or ']': close the bracket, and put values with brackets or commas in quotes"},
		{"variable in braces", "a: {b: ${X}}\n", "f:1: not YAML: did not find expected ',' or '}': close the bracket, and put values with brackets or commas in quotes"},
		{"quote", "a: 1\nb: \"x\nc: 3\n", "f:2: not YAML: found unexpected end of stream: close the quotes"},
		{"no colon", "a: 1\nb\nc: 2\n", "f:2: not YAML: could not find expected ':': write a colon after the name, and close the quotes above"},
		{"escape", "x: 1\ny: \"\\z\"\n", "f:2: not YAML: found unknown escape character: check the YAML"},
		{"directive", "%YAML 1.2\n---\na: 1\n", "f:1: not YAML: found incompatible YAML document: check the YAML"},
		{"unknown anchor", "a: 1\r\nb: *x\r\n", "f:2: not YAML: nothing is anchored as &x: define it above, or put *x in quotes"},
		{"anchor in itself", "a: 1\nb: &x\n  c: *x\n", "f:3: the anchor &x contains itself: write the value out"},
		{"deep", "a: 1\nb: " + deep, "f:2: nested more than 100 levels deep: this is no cluster file"},
		{"deep by aliases", chain, "f:1: nested more than 100 levels deep once aliases are followed: write fewer aliases"},
		{"many by aliases", laughs, "f:1: more than 100000 values once aliases are followed: write fewer aliases"},
		{"Latin-1", "a: 1\nb: caf\xe9\n", "f:2: byte 0xe9 is not UTF-8 text: save the file as UTF-8"},
		{"UTF-16", "\xff\xfea\x00", "f:1: the file is UTF-16 text: save it as UTF-8"},
		{"control character", "a: 1\nb: \x1b[0m\n", "f:2: control character U+001B is not allowed in YAML: remove it"},
		{"BOM inside", "a: 1\n\xef\xbb\xbfb: 2\n", "f:2: control character U+FEFF is not allowed in YAML: remove it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := source("f").Parse([]byte(test.data))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestBOMAndCRLFMakeNoDifference(t *testing.T) {
	for path, data := range readTestdata(t, "testdata/good/*.yaml") {
		unix, err := source("f").Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		windows, err := source("f").Parse([]byte("\xef\xbb\xbf" + strings.ReplaceAll(string(data), "\n", "\r\n")))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if asJSON(t, unix) != asJSON(t, windows) {
			t.Errorf("%s: CRLF makes a difference", path)
		}
	}
}
