// Command image makes an OCI archive of one static binary for several architectures, without a registry and without a
// container engine. The same binaries make the same archive.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	output := flag.String("o", "", "`file` to write")
	name := flag.String("name", "", "`name` of the image, with its tag")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: image -o FILE -name NAME:TAG OS/ARCH=BINARY...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*output, *name, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(output, name string, arguments []string) error {
	if output == "" || name == "" || len(arguments) == 0 {
		return errors.New("give -o, -name and a binary for each architecture")
	}
	var binaries []binary
	for _, argument := range arguments {
		platform, path, _ := strings.Cut(argument, "=")
		system, architecture, ok := strings.Cut(platform, "/")
		if !ok || path == "" {
			return fmt.Errorf("%q is not OS/ARCH=BINARY", argument)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		binaries = append(binaries, binary{system, architecture, content})
	}
	var archive bytes.Buffer
	if err := write(&archive, name, binaries); err != nil {
		return err
	}
	return os.WriteFile(output, archive.Bytes(), 0o644)
}

// binary is the image's one file, for one architecture.
type binary struct {
	system, architecture string
	content              []byte
}

// Where the binary lies in the image, and who runs it.
const (
	entrypoint = "/ha-syncer"
	nonroot    = "65532:65532"
)

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor, manifest, index and config are those of the OCI image specification.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type config struct {
	platform
	Config struct {
		User       string
		Entrypoint []string
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// layout writes the files of an OCI layout into an archive.
type layout struct{ tar *tar.Writer }

func (l *layout) file(name string, mode int64, content []byte) error {
	if err := l.tar.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := l.tar.Write(content)
	return err
}

func (l *layout) blob(mediaType string, content []byte) (descriptor, error) {
	sum := digest(content)
	return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(content)}, l.file("blobs/sha256/"+sum, 0o644, content)
}

func (l *layout) blobOf(mediaType string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(mediaType, content)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// write writes the archive. Its one image is an index of one manifest for each architecture.
func write(w io.Writer, name string, binaries []binary) error {
	l := &layout{tar: tar.NewWriter(w)}
	if err := l.file("oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	all := index{SchemaVersion: 2, MediaType: indexType}
	for _, b := range binaries {
		d, err := l.image(b)
		if err != nil {
			return err
		}
		all.Manifests = append(all.Manifests, d)
	}
	image, err := l.blobOf(indexType, all)
	if err != nil {
		return err
	}
	// containerd takes the name from the first of them, other programs from the second.
	image.Annotations = map[string]string{"io.containerd.image.name": withRegistry(name), "org.opencontainers.image.ref.name": name}
	top, err := json.Marshal(index{SchemaVersion: 2, MediaType: indexType, Manifests: []descriptor{image}})
	if err != nil {
		return err
	}
	return errors.Join(l.file("index.json", 0o644, top), l.tar.Close())
}

// withRegistry is an image's name with its registry, which is Docker Hub's where the name says none: its first part is a host
// when it has a dot or a port, or is localhost (github.com/distribution/reference).
func withRegistry(name string) string {
	host, _, found := strings.Cut(name, "/")
	if found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return name
	}
	return "docker.io/" + name
}

// image adds the image of one architecture.
func (l *layout) image(b binary) (descriptor, error) {
	plain, packed, err := layer(b.content)
	if err != nil {
		return descriptor{}, err
	}
	files, err := l.blob(layerType, packed)
	if err != nil {
		return descriptor{}, err
	}
	c := config{platform: platform{Architecture: b.architecture, OS: b.system}}
	c.Config.User, c.Config.Entrypoint = nonroot, []string{entrypoint}
	c.RootFS.Type, c.RootFS.DiffIDs = "layers", []string{"sha256:" + digest(plain)}
	about, err := l.blobOf(configType, c)
	if err != nil {
		return descriptor{}, err
	}
	d, err := l.blobOf(manifestType, manifest{SchemaVersion: 2, MediaType: manifestType, Config: about, Layers: []descriptor{files}})
	d.Platform = &c.platform
	return d, err
}

// layer is the file system: one file.
func layer(content []byte) (plain, packed []byte, err error) {
	var archive, compressed bytes.Buffer
	l := &layout{tar: tar.NewWriter(&archive)}
	if err := errors.Join(l.file(strings.TrimPrefix(entrypoint, "/"), 0o755, content), l.tar.Close()); err != nil {
		return nil, nil, err
	}
	zipper := gzip.NewWriter(&compressed)
	_, err = zipper.Write(archive.Bytes())
	err = errors.Join(err, zipper.Close()) // before its output is looked at
	return archive.Bytes(), compressed.Bytes(), err
}
