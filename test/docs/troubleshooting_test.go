package docs

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// explainedElsewhere are error types whose messages are not on the page, and why.
var explainedElsewhere = map[string]string{
	"cli.RefusedError":      "made by Refuse, whose texts are on the page",
	"cli.UsageError":        "says how the command is called, as --help does",
	"config.Problem":        "names file, line and field, which docs/reference/cluster-file.md describes",
	"config.Problems":       "is a list of them",
	"haproxy.ConflictError": "is a list of haproxy.Conflict, whose texts are on the page",
	"host.lockedError":      "says why a private key cannot be opened, in texts that are on the page",
	"host.unknownKeyError":  "is what is asked about; where the answer is no, ErrUnknownHostKey is said",
}

// TestTroubleshooting holds docs/troubleshooting.md to speak of every sentinel error, of every type of error and of every
// reason to refuse, in the words of the code.
func TestTroubleshooting(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs/troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, sources := string(data), product(t)

	types := errorTypes(sources)
	if len(types) < 20 {
		t.Fatalf("only %d types of errors were found: the test does not see them any more", len(types))
	}
	made := []string{"haproxy.Conflict"} // with their text
	for _, name := range slices.Sorted(maps.Keys(types)) {
		opening, why := types[name], explainedElsewhere[name]
		switch {
		case opening == "" && why == "":
			made = append(made, name)
		case opening != "" && why == "" && !strings.Contains(page, "`"+opening):
			t.Errorf("docs/troubleshooting.md says nothing of %s, `%s`: add its cause and remedy", name, opening)
		}
	}
	for name := range explainedElsewhere {
		if _, ok := types[name]; !ok {
			t.Errorf("there is no %s any more: take it off the list", name)
		}
	}

	found := messages(sources, made)
	if len(found) < 50 {
		t.Fatalf("only %d messages were found: the test does not see them any more", len(found))
	}
	for _, m := range found {
		if !strings.Contains(page, "`"+m+"`") {
			t.Errorf("docs/troubleshooting.md says nothing of `%s`: add its cause and remedy", m)
		}
	}

	// The page has no message that the code does not have any more.
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(page, -1) {
		if !slices.Contains(found, row[1]) {
			t.Errorf("docs/troubleshooting.md has `%s`, which the code does not say: correct or remove it", row[1])
		}
	}
	var said strings.Builder
	for _, s := range sources {
		said.WriteString(strings.Join(literals(s.File), "\n") + "\n")
	}
	for _, row := range regexp.MustCompile("(?m)^\\| [^`|]+ \\| `([^`]+)`").FindAllStringSubmatch(page, -1) {
		parts := strings.Split(row[1], "…")
		longest := slices.MaxFunc(parts, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
		if !strings.Contains(said.String(), strings.Trim(longest, " :")) {
			t.Errorf("docs/troubleshooting.md has `%s`, which the code does not say: correct or remove it", row[1])
		}
	}
}
