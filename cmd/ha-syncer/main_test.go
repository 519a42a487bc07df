package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"regexp"
	"strings"
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

// TestFlagsAreDocumented holds docs/reference/ha-syncer.md to the flags that there are, and their defaults.
func TestFlagsAreDocumented(t *testing.T) {
	var usage bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, io.Discard, &usage); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/reference/ha-syncer.md")
	if err != nil {
		t.Fatal(err)
	}
	there, documented := map[string]string{}, map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^  -([a-z-]+).*\n.*?(?: \(default "?([^"]*?)"?\))?$`).FindAllSubmatch(usage.Bytes(), -1) {
		there[string(match[1])] = string(match[2])
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`([^`]*)`)?").FindAllSubmatch(page, -1) {
		documented[string(row[1])] = string(row[2])
	}
	if len(there) < 10 || !maps.EqualFunc(there, documented, strings.EqualFold) { // log levels are of either case
		t.Errorf("the page describes the flags and defaults\n%q, ha-syncer has\n%q", documented, there)
	}
}
