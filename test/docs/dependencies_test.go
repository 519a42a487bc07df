package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestDependencies holds docs/dependencies.md to justify every module that go.mod requires by itself, and no other.
func TestDependencies(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	var justified []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .+ \\|$").FindAllStringSubmatch(string(page), -1) {
		justified = append(justified, row[1])
	}
	var required []string
	for _, module := range goMod(t).Require {
		if !module.Indirect {
			required = append(required, module.Path)
			if !slices.Contains(justified, module.Path) {
				t.Errorf("docs/dependencies.md does not say why %s is required: add a row, or do without it", module.Path)
			}
		}
	}
	for _, path := range justified {
		if !slices.Contains(required, path) {
			t.Errorf("docs/dependencies.md justifies %s, which is not required any more: remove its row", path)
		}
	}
}

// TestModuleCanBeInstalled holds go.mod to be one that `go install .../cmd/kubectl-ha_init@latest` takes: it refuses
// modules with replacements.
func TestModuleCanBeInstalled(t *testing.T) {
	if mod := goMod(t); len(mod.Replace)+len(mod.Exclude) > 0 {
		t.Errorf("go.mod replaces %v and excludes %v: go install refuses such a module", mod.Replace, mod.Exclude)
	}
}

type module struct {
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace, Exclude []any
}

func goMod(t *testing.T) module {
	t.Helper()
	command := exec.Command("go", "mod", "edit", "-json")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod module
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	return mod
}
