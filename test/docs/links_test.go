package docs

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pages are all pages for people, with what they say.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	read := func(path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(data)
	}
	read(filepath.Join(root, "README.md"))
	read(filepath.Join(root, "CONTRIBUTING.md"))
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			read(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	for path, text := range pages(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(link[1])
			if err != nil || target.Scheme != "" {
				continue
			}
			other := path
			if target.Path != "" {
				other = filepath.Join(filepath.Dir(path), target.Path)
			}
			if _, err := os.Stat(other); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", path, link[1])
				continue
			}
			if target.Fragment != "" && !hasHeading(t, other, target.Fragment) {
				t.Errorf("%s: %s has no heading for %s", path, other, link[1])
			}
		}
	}
}

// hasHeading tells whether a page has the heading that GitHub makes that fragment of.
func hasHeading(t *testing.T, path, fragment string) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(data), -1) {
		words := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		if strings.ReplaceAll(words, " ", "-") == fragment {
			return true
		}
	}
	return false
}

// TestCommandLinesAreRight looks at the flags of every line that calls one of the plugins.
func TestCommandLinesAreRight(t *testing.T) {
	lines := 0
	for path, text := range pages(t) {
		for line := range strings.Lines(text) {
			for _, command := range commands() {
				_, rest, ok := strings.Cut(line, command.DisplayName()+" ")
				if !ok {
					continue
				}
				lines++
				for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(strings.SplitN(rest, "`", 2)[0], -1) {
					if !knowsFlag(command, strings.TrimPrefix(flag, "--")) {
						t.Errorf("%s: %s has no flag %s: %s", path, command.DisplayName(), flag, strings.TrimSpace(line))
					}
				}
			}
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines call a plugin: the test does not see them any more", lines)
	}
}

// knowsFlag tells whether a command, or one below it, has a flag.
func knowsFlag(command *cobra.Command, name string) bool {
	command.InitDefaultHelpFlag()
	for _, flags := range []*pflag.FlagSet{command.Flags(), command.PersistentFlags()} {
		if flags.Lookup(name) != nil {
			return true
		}
	}
	for _, child := range command.Commands() {
		if knowsFlag(child, name) {
			return true
		}
	}
	return false
}
