package controlplane

import (
	"strings"
	"testing"
)

func TestBranches(t *testing.T) {
	for name, c := range map[string]struct{ lines, want string }{
		"none":                       {"", ""},
		"one for each line":          {"a\nb", "a|b"},
		"one for a diff":             {"a\n--- f\n+++ f (new)\n@@ -1,2 +1,2 @@\n x\n-y\n+z\nb", "a|--- f+++ f (new)@@ -1,2 +1,2 @@ x-y+z|b"},
		"a diff after a diff":        {"--- f\n+++ f\n-y\n--- g\n+++ g\n+z", "--- f+++ f-y|--- g+++ g+z"},
		"a line of a diff with rule": {"--- f\n+++ f\n@@ -1 +1 @@\n--- x\n y", "--- f+++ f@@ -1 +1 @@--- x y"},
		"no diff":                    {"--- a\n-b", "--- a|-b"},
	} {
		var lines, texts []string
		if c.lines != "" {
			lines = strings.Split(c.lines, "\n")
		}
		for _, b := range branches(lines) {
			texts = append(texts, strings.ReplaceAll(b.Text, "\n", ""))
		}
		if got := strings.Join(texts, "|"); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
