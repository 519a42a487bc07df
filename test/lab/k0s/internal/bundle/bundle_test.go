package bundle

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// pack writes a program that carries the given components.
func pack(t *testing.T, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var files []string
	for name, content := range contents {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	var packed bytes.Buffer
	if err := Append(&packed, program, files); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "packed")
	if err := os.WriteFile(out, packed.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return out
}

func stage(t *testing.T, self, dir, name string) string {
	t.Helper()
	path, err := Stage(self, dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestComponentsAreStaged(t *testing.T) {
	self, bin := pack(t, map[string]string{"etcd": "the etcd", "kube": "the kube"}), filepath.Join(t.TempDir(), "bin")
	path := stage(t, self, bin, "etcd")
	if path != filepath.Join(bin, "etcd") {
		t.Errorf("staged at %s", path)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "the etcd" {
		t.Errorf("content = %q, %v", data, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode = %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(bin); len(entries) != 1 {
		t.Errorf("left beside it: %v", entries)
	}
}

func TestProgramStillRuns(t *testing.T) {
	self := pack(t, map[string]string{"etcd": "the etcd"})
	err := exec.Command(self).Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("err = %v, want the program's own exit code", err)
	}
}

func TestUnchangedComponentIsNotWrittenAgain(t *testing.T) {
	self, bin := pack(t, map[string]string{"etcd": "the etcd"}), t.TempDir()
	path := stage(t, self, bin, "etcd")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stage(t, self, bin, "etcd")
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Error("the file was replaced")
	}
	// Another time of modification means another file.
	if err := os.Chtimes(path, time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	stage(t, self, bin, "etcd")
	after, err = os.Stat(path)
	if err != nil || os.SameFile(before, after) {
		t.Error("a file that differs was kept")
	}
}

func TestComponentFromPath(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "bare")
	if err := os.WriteFile(empty, []byte("no archive"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, self := range map[string]string{
		"not in the archive": pack(t, map[string]string{"etcd": "the etcd"}), "no archive": empty,
	} {
		t.Run(name, func(t *testing.T) {
			if path := stage(t, self, t.TempDir(), "sh"); path != sh {
				t.Errorf("path = %s, want %s", path, sh)
			}
		})
	}
	if _, err := Stage(empty, t.TempDir(), "no-such-component"); err == nil {
		t.Error("a component that is nowhere is no error")
	}
}
