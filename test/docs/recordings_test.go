package docs

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRecordingsShowTheRunbook holds the recordings to the commands: one that lacks a step was made before that step was there.
func TestRecordingsShowTheRunbook(t *testing.T) {
	function := regexp.MustCompile(`(?s)\nfunc steps\(.*?\n}\n`)
	title := regexp.MustCompile(`(?m)^\t\tc\.\w+\("([^"]+)"`)
	for plugin, recording := range map[string]string{"hainit": "ha-init.svg", "haeject": "ha-eject.svg"} {
		source, err := os.ReadFile(filepath.Join(root, "plugins", plugin, "steps.go"))
		if err != nil {
			t.Fatal(err)
		}
		svg, err := os.ReadFile(filepath.Join(root, "docs", "recordings", recording))
		if err != nil {
			t.Fatal(err)
		}
		shown := html.UnescapeString(string(svg))
		titles := title.FindAllSubmatch(function.Find(source), -1)
		if len(titles) == 0 {
			t.Errorf("no step of %s was found", plugin)
		}
		for _, match := range titles {
			const most = 60 // of a line that the terminal's width may cut
			if begin := string(match[1])[:min(most, len(match[1]))]; !strings.Contains(shown, begin) {
				t.Errorf("%s does not show the step %q: make recordings", recording, match[1])
			}
		}
	}
}
