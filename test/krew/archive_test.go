//go:build krew

package krew

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestArchivesOfOneCommitAreTheSame makes them in two clones, one after the other.
func TestArchivesOfOneCommitAreTheSame(t *testing.T) {
	origin, clone := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	for name, content := range map[string]string{
		"go.mod": "module example.org/program\n", "main.go": "package main\n\nfunc main() {}\n", "LICENSE": "Do as you like.\n",
	} {
		if err := os.WriteFile(filepath.Join(origin, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, origin)
	output(t, "touch", "-d", "2 days ago", filepath.Join(origin, "LICENSE"))
	output(t, "git", "clone", "-q", origin, clone)
	g := Goreleaser{
		Builds:   []Build{{ID: "program", Main: ".", Binary: "program", Env: []string{"CGO_ENABLED=0"}, Flags: []string{"-trimpath", "-buildvcs=true"}, GOOS: []string{"linux", "windows"}, GOARCH: []string{"amd64"}}},
		Archives: []Archive{{ID: "program", IDs: []string{"program"}, NameTemplate: "{{ .Os }}_{{ .Arch }}", Files: []any{"LICENSE"}}},
	}
	for _, platform := range g.Builds[0].Platforms() {
		var made [][]byte
		for _, from := range []string{origin, clone} {
			to := t.TempDir()
			if err := g.Make(t.Context(), from, to, platform); err != nil {
				t.Fatal(err)
			}
			name, err := g.Archives[0].Name(platform)
			if err != nil {
				t.Fatal(err)
			}
			archive, err := os.ReadFile(filepath.Join(to, name))
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, archive)
		}
		if !bytes.Equal(made[0], made[1]) {
			t.Errorf("the archives for %s differ", platform)
		}
	}
}
