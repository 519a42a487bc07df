package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// source is a Source with a made-up outside world.
func source(name string) Source {
	environment := map[string]string{"SITE": "site-a", "EMPTY": "", "PORT": "2222", "ADDRESS": "10.10.0.2"}
	return Source{Name: name, Dir: "/srv/cluster", Home: "/home/me", LookupEnv: func(name string) (string, bool) {
		text, ok := environment[name]
		return text, ok
	}}
}

func readTestdata(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files like %s: %v", pattern, err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = data
	}
	return files
}

func TestGoodFilesAreReadCompletely(t *testing.T) {
	for path, data := range readTestdata(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := source(filepath.Base(path)).Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if f.LoadBalancer == nil {
				if err := f.SetLoadBalancer("admin@10.10.4.10:2222"); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Complete(); err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(f, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.File(t, strings.TrimSuffix(path, ".yaml")+".golden", string(text)+"\n")
		})
	}
}

func TestBadFilesAreReportedWholly(t *testing.T) {
	for path, data := range readTestdata(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := source(filepath.Base(path)).Parse(data)
			if err == nil {
				err = f.Complete()
			}
			if err == nil {
				t.Fatal("read without an error")
			}
			golden.File(t, strings.TrimSuffix(path, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestNumbersTooBigForAnyTypeAreOutOfRange(t *testing.T) {
	for number, want := range map[string]string{
		"99999999999999999999":  "99999999999999999999 is out of range: write a number from 1 to 65535",
		"-99999999999999999999": "-99999999999999999999 is out of range: write a number from 1 to 65535",
		"1e3":                   `"1e3" is not a number: write one from 1 to 65535`,
	} {
		_, err := source("f").Parse([]byte(strings.Replace(oneController, "10.10.0.2", "10.10.0.2, port: "+number, 1)))
		if want = "f:5: spec.hosts[0].ssh.port: " + want; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
