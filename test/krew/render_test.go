package krew

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.." // of this repository

// manifest is what these tests read of a krew manifest.
type manifest struct {
	Metadata struct{ Name string }
	Spec     struct {
		Version   string
		Platforms []struct {
			URI, Bin string
			Selector struct {
				MatchLabels struct{ OS, Arch string } `yaml:"matchLabels"`
			}
			Files []struct{ From string }
		}
	}
}

// TestManifestsNameWhatAReleaseIsMadeOf holds krew/*.yaml to .goreleaser.yaml, for every platform.
func TestManifestsNameWhatAReleaseIsMadeOf(t *testing.T) {
	g, err := ReadGoreleaser(root)
	if err != nil {
		t.Fatal(err)
	}
	release := Release{Tag: "v0.3.0", Archives: t.TempDir(), Partial: true}
	for _, archive := range g.Archives {
		build := g.Build(archive)
		if archive.Plain() {
			continue // it is no plugin
		}
		text, err := release.Manifest(filepath.Join(root, "krew", build.ID+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var m manifest
		if err := yaml.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if m.Metadata.Name != build.ID || m.Spec.Version != "v0.3.0" {
			t.Errorf("%s: the manifest is that of %s %s", build.ID, m.Metadata.Name, m.Spec.Version)
		}
		var platforms []string
		for _, p := range m.Spec.Platforms {
			platform := p.Selector.MatchLabels.OS + "/" + p.Selector.MatchLabels.Arch
			platforms = append(platforms, platform)
			name, err := archive.Name(platform)
			if err != nil {
				t.Fatal(err)
			}
			if want := "https://github.com/kubectl-ha/kubectl-ha/releases/download/v0.3.0/" + name; p.URI != want {
				t.Errorf("%s for %s: got %s, want %s", build.ID, platform, p.URI, want)
			}
			program, wanted := build.Binary, []string{build.Binary, "LICENSE", "kubectl_complete-" + strings.TrimPrefix(build.Binary, "kubectl-")}
			if strings.HasPrefix(platform, "windows/") { // whose kubectl runs no such scripts
				program += ".exe"
				wanted = []string{program, "LICENSE"}
			}
			var taken []string
			for _, file := range p.Files {
				taken = append(taken, file.From)
			}
			if !slices.Equal(taken, wanted) || p.Bin != program {
				t.Errorf("%s for %s: takes %s out of the archive and runs %s; want %s and %s", build.ID, platform, taken, p.Bin, wanted, program)
			}
		}
		if !slices.Equal(platforms, build.Platforms()) {
			t.Errorf("%s: the manifest is for %s, a release for %s", build.ID, platforms, build.Platforms())
		}
	}
}

func TestArchivesThatAreMissingAreAnError(t *testing.T) {
	release := Release{Tag: "v0.3.0", Archives: t.TempDir()}
	err := release.WriteIndex(filepath.Join(root, "krew"), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "kubectl-etcd-members_linux_amd64.tar.gz") {
		t.Errorf("got %v, want an error that names the archive", err)
	}
}

func TestAnIndexIsDownloadedFromWhereOneSays(t *testing.T) {
	folder := t.TempDir()
	release := Release{Tag: "v0.3.0", Archives: t.TempDir(), URL: "https://downloads.example.org", Partial: true}
	if err := release.WriteIndex(filepath.Join(root, "krew"), folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "plugins/ha-init.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if uri, ok := strings.CutPrefix(strings.TrimSpace(line), "uri: "); ok &&
			!strings.HasPrefix(uri, "https://downloads.example.org/kubectl-ha-init_") {
			t.Errorf("got %s", uri)
		}
	}
}
