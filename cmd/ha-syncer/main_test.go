package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/version"
)

func TestVersionIsPrintedInPlaceOfARun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--version"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if want := version.Short() + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestFlagsAreDocumented holds docs/reference/ha-syncer.md to the flags that there are.
func TestFlagsAreDocumented(t *testing.T) {
	var usage bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, io.Discard, &usage); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/reference/ha-syncer.md")
	if err != nil {
		t.Fatal(err)
	}
	var there, documented []string
	for _, line := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllSubmatch(usage.Bytes(), -1) {
		there = append(there, string(line[1]))
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` ").FindAllSubmatch(page, -1) {
		documented = append(documented, string(row[1]))
	}
	slices.Sort(there)
	slices.Sort(documented)
	if len(there) < 10 || !slices.Equal(there, documented) {
		t.Errorf("the page describes the flags\n%q, ha-syncer has\n%q", documented, there)
	}
}
