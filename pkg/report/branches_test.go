package report

import (
	"strings"
	"testing"
)

func TestWriteTree(t *testing.T) {
	tree := Branch{Text: "root", Below: []Branch{
		{Text: "first", Below: []Branch{{Text: "a\nits second line\n\nits last"}, {Text: "b"}}},
		{Text: "second"},
		{Text: "last", Below: []Branch{{Text: "c\nand more"}}},
	}}
	for locale, want := range map[string]string{
		"de_AT.UTF-8": `
root
├─ first
│  ├─ a
│  │  its second line
│  │
│  │  its last
│  └─ b
├─ second
└─ last
   └─ c
      and more
`,
		"C": `
root
|- first
|  |- a
|  |  its second line
|  |
|  |  its last
|  ` + "`" + `- b
|- second
` + "`" + `- last
   ` + "`" + `- c
      and more
`,
	} {
		var out strings.Builder
		err := WriteTree(&out, func(name string) string {
			if name == "LC_ALL" {
				return locale
			}
			return ""
		}, tree)
		if got := "\n" + out.String(); err != nil || got != want {
			t.Errorf("%s: got %v%s", locale, err, got)
		}
	}
}
