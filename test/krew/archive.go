package krew

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"
)

// Goreleaser is what this package reads of .goreleaser.yaml: the archives that it makes are those of a release.
type Goreleaser struct {
	Before   struct{ Hooks []string }
	Builds   []Build
	Archives []Archive
	Release  struct {
		ExtraFiles []struct{ Glob string } `yaml:"extra_files"`
	}
}

// Build is one program, for some platforms.
type Build struct {
	ID, Main, Binary string
	Env              []string
	GOOS, GOARCH     []string
	Flags, LDFlags   []string
}

// Archive is what one build is packed into.
type Archive struct {
	ID           string
	IDs          []string // of builds: one
	NameTemplate string   `yaml:"name_template"`
	Formats      []string // "binary" is the program itself
	Files        []any    // a path, or a mapping with src
}

// Plain says that the program is not packed.
func (a Archive) Plain() bool { return slices.Equal(a.Formats, []string{"binary"}) }

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
	for _, a := range g.Archives {
		if len(a.IDs) != 1 || g.Build(a).ID == "" {
			return g, fmt.Errorf("reading .goreleaser.yaml: archive %s is of the builds %q, not of one that is there", a.ID, a.IDs)
		}
	}
	return g, nil
}

// Build is what an archive holds.
func (g Goreleaser) Build(a Archive) Build {
	i := slices.IndexFunc(g.Builds, func(b Build) bool { return slices.Contains(a.IDs, b.ID) })
	if i < 0 {
		return Build{}
	}
	return g.Builds[i]
}

// Platforms are those that a program is for, as linux/amd64.
func (b Build) Platforms() []string {
	var platforms []string
	for _, os := range b.GOOS {
		for _, arch := range b.GOARCH {
			platforms = append(platforms, os+"/"+arch)
		}
	}
	return platforms
}

// Make builds the programs that are for one platform and packs each into its archive.
func (g Goreleaser) Make(ctx context.Context, root, folder, platform string) error {
	programs, err := os.MkdirTemp("", "kubectl-ha-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(programs) }() // they are in the archives
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, a := range g.Archives {
		build := g.Build(a)
		if !slices.Contains(build.Platforms(), platform) {
			continue
		}
		program, err := build.run(ctx, root, programs, platform)
		if err != nil {
			return err
		}
		name, err := a.Name(platform)
		if err == nil {
			err = a.pack(root, program, filepath.Join(folder, name))
		}
		if err != nil {
			return fmt.Errorf("packing %s: %w", a.ID, err)
		}
	}
	return nil
}

// run builds the program for one platform.
func (b Build) run(ctx context.Context, root, folder, platform string) (program string, err error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	program = filepath.Join(folder, b.Binary)
	if goos == "windows" {
		program += ".exe"
	}
	args := append([]string{"build"}, b.Flags...)
	command := exec.CommandContext(ctx, "go", append(args, "-ldflags", strings.Join(b.LDFlags, " "), "-o", program, b.Main)...)
	command.Dir = root
	command.Env = append(append(os.Environ(), b.Env...), "GOOS="+goos, "GOARCH="+goarch)
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s for %s: %w\n%s", b.Main, platform, err, out)
	}
	return program, nil
}

// pack writes the archive of a program.
func (a Archive) pack(root, program, to string) error {
	if a.Plain() {
		return copyFile(program, to, 0o755)
	}
	files := []string{program}
	for _, file := range a.Files {
		if entry, ok := file.(map[string]any); ok {
			file = entry["src"]
		}
		files = append(files, filepath.Join(root, fmt.Sprint(file)))
	}
	at, err := committed(program)
	if err != nil {
		return err
	}
	if filepath.Ext(to) == ".zip" {
		return writeZip(to, files, at)
	}
	return writeTarGz(to, files, at)
}

// committed is the time of the commit that a program is made of, as the go command writes it there. With it for the time of
// every file, the archives of one commit are the same bytes whenever they are made. It is zero without a repository.
func committed(program string) (time.Time, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return time.Time{}, err
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			return time.Parse(time.RFC3339, setting.Value)
		}
	}
	return time.Time{}, nil
}

// Name is the archive's file for a platform.
func (a Archive) Name(platform string) (string, error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	name, err := fill(a.NameTemplate, map[string]string{"Os": goos, "Arch": goarch})
	switch {
	case err != nil || a.Plain():
		return name, err
	case goos == "windows":
		return name + ".zip", nil
	}
	return name + ".tar.gz", nil
}

func fill(text string, values map[string]string) (string, error) {
	t, err := template.New("text").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var filled strings.Builder
	err = t.Execute(&filled, values)
	return filled.String(), err
}

// MakeExtra runs the hooks, and puts what they make, and is no archive, beside the archives.
func (g Goreleaser) MakeExtra(ctx context.Context, root, folder, tag string) error {
	for _, hook := range g.Before.Hooks {
		line, err := fill(hook, map[string]string{"Tag": tag})
		if err != nil {
			return err
		}
		words := strings.Fields(line)
		command := exec.CommandContext(ctx, words[0], words[1:]...)
		command.Dir = root
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("running %s: %w\n%s", line, err, out)
		}
	}
	for _, extra := range g.Release.ExtraFiles {
		found, err := filepath.Glob(filepath.Join(root, extra.Glob))
		if err != nil || len(found) == 0 {
			return errors.Join(err, fmt.Errorf("there is no %s", extra.Glob))
		}
		for _, file := range found {
			if err := copyFile(file, filepath.Join(folder, filepath.Base(file)), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyFile copies a file, also to another file system.
func copyFile(from, to string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}

// writeTarGz packs files, all at the archive's top and of one time.
func writeTarGz(path string, files []string, at time.Time) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	err = eachFile(files, func(info os.FileInfo, content io.Reader) error {
		header := &tar.Header{Name: info.Name(), Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: at}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.Copy(archive, content)
		return err
	})
	return errors.Join(err, archive.Close(), compressed.Close(), out.Close())
}

// writeZip packs files, all at the archive's top and of one time.
func writeZip(path string, files []string, at time.Time) error {
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
		header.Method, header.Modified = zip.Deflate, at
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

// WriteChecksums writes checksums.txt for the files of a folder.
func WriteChecksums(folder string) error {
	const to = "checksums.txt"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		if !entry.Type().IsRegular() || entry.Name() == to {
			continue
		}
		sum, err := sumOf(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, entry.Name())
	}
	return os.WriteFile(filepath.Join(folder, to), []byte(sums.String()), 0o644)
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
