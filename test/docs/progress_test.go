package docs

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestProgress holds docs/reference/progress.md to describe the events of pkg/report and their fields, and no others.
func TestProgress(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs/reference/progress.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	kinds, fields := eventsOfReport(t)
	described := map[string][]string{} // the fields of each event
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| .* \\| (.*) \\|$").FindAllStringSubmatch(section(t, page, "Events"), -1) {
		described[row[1]] = []string{"time", "event"}
		for _, field := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[2], -1) {
			described[row[1]] = append(described[row[1]], field[1])
		}
	}
	if got := slices.Sorted(maps.Keys(described)); !slices.Equal(got, kinds) {
		t.Errorf("the page describes the events\n%q, the code has\n%q", got, kinds)
	}
	types := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(section(t, page, "Fields"), -1) {
		types[row[1]] = row[2]
	}
	if !reflect.DeepEqual(types, fields) {
		t.Errorf("the page describes the fields\n%v, the code has\n%v", types, fields)
	}

	// What the tests of pkg/report make happen is everything that can, and the example happened.
	played, err := os.ReadFile(filepath.Join(root, "pkg/report/testdata/json.golden"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section(t, page, "An example"))
	if example == nil {
		t.Fatal("the page has no example")
	}
	seen := map[string][]string{}
	for line := range strings.Lines(string(played) + example[1]) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kind, _ := event["event"].(string)
		for field := range event {
			if !slices.Contains(described[kind], field) {
				t.Errorf("the page does not say that %s has %s: %s", kind, field, line)
			}
			seen[kind] = append(seen[kind], field)
		}
	}
	for kind, fields := range described {
		for _, field := range fields {
			if !slices.Contains(seen[kind], field) {
				t.Errorf("the page says that %s has %s, which nobody has seen", kind, field)
			}
		}
	}
}

// section is what stands below a heading of a page.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the page has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// eventsOfReport reads pkg/report/event.go: the kinds of events, sorted, and the JSON types of the fields.
func eventsOfReport(t *testing.T) (kinds []string, fields map[string]string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "pkg/report/event.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	fields = map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if of, ok := n.Type.(*ast.Ident); ok && of.Name == "kind" {
				kinds = append(kinds, unquoted(t, n.Values[0].(*ast.BasicLit).Value))
			}
		case *ast.TypeSpec:
			if n.Name.Name != "event" {
				return false
			}
		case *ast.Field:
			if n.Tag != nil {
				name, _, _ := strings.Cut(reflect.StructTag(unquoted(t, n.Tag.Value)).Get("json"), ",")
				fields[name] = "number"
				if of, ok := n.Type.(*ast.Ident); !ok || of.Name == "string" || of.Name == "kind" { // time.Time is a selector
					fields[name] = "string"
				}
			}
		}
		return true
	})
	slices.Sort(kinds)
	return kinds, fields
}

func unquoted(t *testing.T, literal string) string {
	t.Helper()
	text, err := strconv.Unquote(literal)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
