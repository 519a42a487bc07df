package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// filesOf reads an archive.
func filesOf(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

// read follows a descriptor.
func read(t *testing.T, files map[string][]byte, d descriptor, into any) []byte {
	t.Helper()
	content, ok := files["blobs/sha256/"+d.Digest[len("sha256:"):]]
	if !ok || len(content) != d.Size || "sha256:"+digest(content) != d.Digest {
		t.Fatalf("%+v: %d bytes of %s", d, len(content), digest(content))
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

func TestArchiveHoldsTheBinaryOfEachArchitecture(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "image.tar")
	arguments := []string{}
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(dir, arch)
		if err := os.WriteFile(path, []byte("binary for "+arch), 0o700); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "linux/"+arch+"="+path)
	}
	if err := run(output, "kubectl-ha/ha-syncer:test", arguments); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, archive)
	var top, image index
	if err := json.Unmarshal(files["index.json"], &top); err != nil || len(top.Manifests) != 1 {
		t.Fatalf("%+v, %v", top, err)
	}
	if name := top.Manifests[0].Annotations["io.containerd.image.name"]; name != "docker.io/kubectl-ha/ha-syncer:test" {
		t.Errorf("it is called %q", name)
	}
	read(t, files, top.Manifests[0], &image)
	for _, d := range image.Manifests {
		var m manifest
		var c config
		read(t, files, d, &m)
		read(t, files, m.Config, &c)
		if c.Config.User != nonroot || c.platform != *d.Platform || len(m.Layers) != 1 {
			t.Errorf("%+v, %+v", c, m)
		}
		zipped, err := gzip.NewReader(bytes.NewReader(read(t, files, m.Layers[0], nil)))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(zipped)
		if err != nil || "sha256:"+digest(plain) != c.RootFS.DiffIDs[0] {
			t.Errorf("%v", err)
		}
		if content := filesOf(t, plain)["ha-syncer"]; string(content) != "binary for "+c.Architecture {
			t.Errorf("%s has %q", c.Architecture, content)
		}
	}
	if len(image.Manifests) != 2 {
		t.Errorf("%d architectures", len(image.Manifests))
	}
	if err := run(output, "again:1", arguments[:0]); err == nil {
		t.Error("made an image of nothing")
	}
	if err := run(output, "again:1", []string{"amd64"}); err == nil {
		t.Error("made an image of no file")
	}
}

func TestTheNameOfARegistryIsKept(t *testing.T) {
	for name, want := range map[string]string{
		"kubectl-ha/ha-syncer:test":       "docker.io/kubectl-ha/ha-syncer:test",
		"ghcr.io/kubectl-ha/ha-syncer:v1": "ghcr.io/kubectl-ha/ha-syncer:v1",
		"registry:5000/ha-syncer:v1":      "registry:5000/ha-syncer:v1",
		"localhost/ha-syncer:v1":          "localhost/ha-syncer:v1",
		"ha-syncer:v1.2":                  "docker.io/ha-syncer:v1.2",
	} {
		if got := withRegistry(name); got != want {
			t.Errorf("%s became %s", name, got)
		}
	}
}
