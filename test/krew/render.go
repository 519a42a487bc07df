// Package krew makes a release on this machine, for a custom index of krew and to install it before it is one: the
// archives that .goreleaser.yaml names, and, of the templates in krew/, the manifests that krew-release-bot makes for
// krew's own index.
package krew

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

// Release is the archives of one version.
type Release struct {
	Tag      string // as v0.3.0
	Archives string // folder that holds them
	URL      string // folder that they are downloaded from; empty for the one that the templates name
	// Partial leaves an archive that is not there with a checksum that none has, so that the manifest is valid and only
	// the archives that are there can be installed.
	Partial bool
}

// Manifest renders the template of one plugin.
func (r Release) Manifest(file string) ([]byte, error) {
	t, err := template.New(filepath.Base(file)).Funcs(template.FuncMap{"addURIAndSha": r.addURIAndSha}).ParseFiles(file)
	if err != nil {
		return nil, err
	}
	var manifest bytes.Buffer
	if err := t.Execute(&manifest, map[string]string{"TagName": r.Tag}); err != nil {
		return nil, err
	}
	return manifest.Bytes(), nil
}

// addURIAndSha is the bot's function of that name.
func (r Release) addURIAndSha(pattern, tag string) (string, error) {
	t, err := template.New("url").Parse(pattern)
	if err != nil {
		return "", err
	}
	var url bytes.Buffer
	if err := t.Execute(&url, map[string]string{"TagName": tag}); err != nil {
		return "", err
	}
	name := path.Base(url.String())
	sum, err := r.sum(name)
	if err != nil {
		return "", err
	}
	uri := url.String()
	if r.URL != "" {
		uri = r.URL + "/" + name
	}
	return fmt.Sprintf("uri: %s\n    sha256: %s", uri, sum), nil
}

func (r Release) sum(name string) (string, error) {
	sum, err := sumOf(filepath.Join(r.Archives, name))
	if r.Partial && errors.Is(err, fs.ErrNotExist) {
		return strings.Repeat("f", 2*sha256.Size), nil
	}
	return sum, err
}

// WriteIndex makes the layout of a krew index in a folder: plugins/NAME.yaml, of all the templates in another.
func (r Release) WriteIndex(templates, folder string) error {
	files, err := filepath.Glob(filepath.Join(templates, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s holds no templates: name the folder krew of this repository", templates)
	}
	plugins := filepath.Join(folder, "plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		manifest, err := r.Manifest(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(plugins, filepath.Base(file)), manifest, 0o644); err != nil {
			return err
		}
	}
	return nil
}
