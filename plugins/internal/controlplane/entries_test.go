package controlplane

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// letIn reads the guide's file, in a folder of its own, with the hosts that it does not name.
func letIn(t *testing.T, targets ...string) (*Options, Growth, Entries) {
	t.Helper()
	o := NewOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.File = filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(o.File, []byte(guideFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	growth, entries, err := o.LetIn("", targets...)
	if err != nil {
		t.Fatal(err)
	}
	return &o, growth, entries
}

// changed is what a diff adds and removes.
func changed(diff []string) string {
	return strings.Join(slices.DeleteFunc(diff, func(line string) bool {
		return !strings.HasPrefix(line, "+ ") && !strings.HasPrefix(line, "- ")
	}), "\n")
}

func TestTheFileGetsTheEntriesThatItLacks(t *testing.T) {
	o, _, entries := letIn(t, "10.10.1.2", "10.10.5.2")
	const entry = "{role: controller+worker, noTaints: true, ssh: {address: 10.10.5.2, user: root}}"
	s := entries.Add("Add it")
	if reason, err := s.Skip(t.Context()); reason != "" || err != nil {
		t.Errorf("got %q, %v", reason, err)
	}
	if lines, err := s.Detail(t.Context()); changed(lines) != "+    - "+entry || err != nil {
		t.Errorf("got %q, %v", lines, err)
	}
	if reason, err := entries.Kept().Add("Add it").Skip(t.Context()); reason != "not wanted (--edit-file=false): add the entry of 10.10.5.2 yourself" || err != nil {
		t.Errorf("got %q, %v", reason, err)
	}
	// Somebody edits the file meanwhile.
	if err := os.WriteFile(o.File, []byte("# mine\n"+guideFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "# mine\n" + strings.Replace(guideFile, "    - {role: worker", "    - "+entry+"\n    - {role: worker", 1)
	if data, err := os.ReadFile(o.File); err != nil || string(data) != want {
		t.Errorf("got %v\n%s", err, data)
	}
	if reason, err := s.Skip(t.Context()); reason != "it names them all" || err != nil {
		t.Errorf("got %q, %v", reason, err)
	}
}

// The only entry of a file cannot be taken out of it, unless another one is there by then.
func TestTheOnlyEntryGoesOnceAnotherOneIsThere(t *testing.T) {
	o, growth, entries := letIn(t, "10.10.5.2")
	text := `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {role: controller, ssh: {address: 10.10.0.2, user: root}}
`
	if err := os.WriteFile(o.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newRemovalWorld(t)
	w.c.file.Name = o.File
	l := w.find(Removal{Controller: "cp1", EditFile: true})
	if _, err := w.c.skipEdit(t.Context()); err == nil {
		t.Error("the list of hosts would be empty")
	}
	l.ReplacedBy = &Replacement{Growth: growth, Entries: entries}
	if reason, err := w.c.skipEdit(t.Context()); err != nil || reason != "" {
		t.Errorf("got %q, %v", reason, err)
	}
}
