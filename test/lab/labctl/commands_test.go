package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/lab"
)

func TestHostArgumentsBecomeHosts(t *testing.T) {
	names := func(args ...string) []string {
		hosts, err := parseHosts(args)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, h := range hosts {
			names = append(names, h.Name)
		}
		return names
	}
	guide := []string{"k0s-ch-sion-1", "k0s-at-vie-1", "k0s-de-fra-1", "haproxy"}
	if got := names(); !slices.Equal(got, guide) {
		t.Errorf("without arguments: %v", got)
	}
	if got := names("guide", "cp4", "edge=7.2"); !slices.Equal(got, append(guide, "cp4", "edge")) {
		t.Errorf("got %v", got)
	}
	_, err := parseHosts([]string{"cp9", "cp4", "edge=x"})
	if err == nil || !strings.Contains(err.Error(), "cp9") || !strings.Contains(err.Error(), "edge=x") {
		t.Errorf("got %v", err)
	}
}

func TestCommandsNeedALabThatIsThere(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"exec", "a", "--", "true"}, {"cut", "a"}, {"clock", "a", "-60s"}, {"ssh-config"}} {
		var out bytes.Buffer
		cmd := newCommand(streams{in: strings.NewReader(""), out: &out, err: &out})
		cmd.SetArgs(append(args[:1:1], append([]string{"--state", t.TempDir(), "--name", "none"}, args[1:]...)...))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "no lab none") {
			t.Errorf("%v: got %v", args, err)
		}
	}
}

func TestNamesAreCheckedBeforeAnythingIsDone(t *testing.T) {
	cmd := newCommand(streams{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}})
	cmd.SetArgs([]string{"up", "--state", t.TempDir(), "--name", "../x"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "lab name") {
		t.Errorf("got %v", err)
	}
	if err := lab.Down(t.Context(), t.TempDir(), ".."); err == nil {
		t.Error("a lab named .. was taken down")
	}
}
