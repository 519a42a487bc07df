package krew

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// Goreleaser is what this package reads of .goreleaser.yaml: the archives that it makes are those of a release.
type Goreleaser struct {
	Builds []struct {
		ID, Main, Binary string
		Env              []string
		GOOS, GOARCH     []string
		Flags, LDFlags   []string
	}
	Archives []struct {
		ID           string
		NameTemplate string `yaml:"name_template"`
		Files        []any  // a path, or a mapping with src
	}
}

// ReadGoreleaser reads the file in the root of the repository.
func ReadGoreleaser(root string) (Goreleaser, error) {
	var g Goreleaser
	data, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		return g, err
	}
	if err := yaml.Unmarshal(data, &g); err != nil {
		return g, fmt.Errorf("reading .goreleaser.yaml: %w", err)
	}
	if len(g.Builds) == 0 || len(g.Builds) != len(g.Archives) {
		return g, errors.New("reading .goreleaser.yaml: it has not one archive for each build")
	}
	return g, nil
}

// Platforms are all that a release is for, as linux/amd64.
func (g Goreleaser) Platforms() []string {
	var platforms []string
	for _, os := range g.Builds[0].GOOS {
		for _, arch := range g.Builds[0].GOARCH {
			platforms = append(platforms, os+"/"+arch)
		}
	}
	return platforms
}

// Make builds the programs for one platform and packs each into its archive.
func (g Goreleaser) Make(ctx context.Context, root, folder, platform string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	programs, err := os.MkdirTemp("", "kubectl-ha-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(programs) }() // they are in the archives
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for i, build := range g.Builds {
		program := filepath.Join(programs, build.Binary)
		if goos == "windows" {
			program += ".exe"
		}
		args := append([]string{"build"}, build.Flags...)
		args = append(args, "-ldflags", strings.Join(build.LDFlags, " "), "-o", program, build.Main)
		command := exec.CommandContext(ctx, "go", args...)
		command.Dir = root
		command.Env = append(append(os.Environ(), build.Env...), "GOOS="+goos, "GOARCH="+goarch)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s for %s: %w\n%s", build.Main, platform, err, out)
		}
		files := []string{program}
		for _, file := range g.Archives[i].Files {
			if entry, ok := file.(map[string]any); ok {
				file = entry["src"]
			}
			files = append(files, filepath.Join(root, fmt.Sprint(file)))
		}
		name, err := g.name(i, platform)
		if err != nil {
			return err
		}
		write := writeTarGz
		if filepath.Ext(name) == ".zip" {
			write = writeZip
		}
		if err := write(filepath.Join(folder, name), files); err != nil {
			return fmt.Errorf("packing %s: %w", name, err)
		}
	}
	return nil
}

// name is the file of one archive for a platform.
func (g Goreleaser) name(i int, platform string) (string, error) {
	t, err := template.New("name").Parse(g.Archives[i].NameTemplate)
	if err != nil {
		return "", err
	}
	goos, goarch, _ := strings.Cut(platform, "/")
	ending := ".tar.gz"
	if goos == "windows" {
		ending = ".zip"
	}
	var name bytes.Buffer
	err = t.Execute(&name, map[string]string{"Os": goos, "Arch": goarch})
	return name.String() + ending, err
}

// writeTarGz packs files, all at the archive's top.
func writeTarGz(path string, files []string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	err = eachFile(files, func(info os.FileInfo, content io.Reader) error {
		header := &tar.Header{Name: info.Name(), Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime()}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.Copy(archive, content)
		return err
	})
	return errors.Join(err, archive.Close(), compressed.Close(), out.Close())
}

// writeZip packs files, all at the archive's top.
func writeZip(path string, files []string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(out)
	err = eachFile(files, func(info os.FileInfo, content io.Reader) error {
		header, err := zip.FileInfoHeader(info)
		if err != nil {
			return err
		}
		header.Method = zip.Deflate
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = io.Copy(entry, content)
		return err
	})
	return errors.Join(err, archive.Close(), out.Close())
}

func eachFile(files []string, pack func(info os.FileInfo, content io.Reader) error) error {
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		info, err := file.Stat()
		if err == nil {
			err = pack(info, file)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// WriteChecksums writes checksums.txt for the archives of a folder.
func WriteChecksums(folder string) error {
	var names []string
	for _, pattern := range []string{"*.tar.gz", "*.zip"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	var sums strings.Builder
	for _, name := range names {
		sum, err := sumOf(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, filepath.Base(name))
	}
	return os.WriteFile(filepath.Join(folder, "checksums.txt"), []byte(sums.String()), 0o644)
}

// sumOf is a file's SHA-256 in hexadecimal.
func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}
