package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSourceFiles(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"main.go", "a/crds.yaml", "a/a.go", "a/a_test.go", ".cache/b.go", "README.md"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sourceFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], root+"/")
	}
	if want := []string{"a/a.go", "a/crds.yaml", "main.go"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	before, err := hashFiles([]string{filepath.Join(root, "main.go")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "main.go"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, _ := hashFiles([]string{filepath.Join(root, "main.go")}); after == before {
		t.Error("a changed file has the same hash")
	}
}

func TestFresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k0s")
	if err := writeStamp(path, stampOf("a", "b")); err != nil {
		t.Fatal(err)
	}
	if fresh(path, stampOf("a", "b")) {
		t.Error("a file that does not exist is fresh")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !fresh(path, stampOf("a", "b")) || fresh(path, stampOf("ab")) {
		t.Error("freshness does not follow the stamp")
	}
}

func TestVersionOfComponents(t *testing.T) {
	flags := linkFlags()
	for _, want := range []string{"gitVersion=v1.36.3+k0s", "gitMajor=1", "gitMinor=36"} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q has no %s", flags, want)
		}
	}
}
