package controlplane

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// placement is one file that goes from this machine to a host.
type placement struct {
	from string
	to   string
	mode fs.FileMode
}

// placements lists the files that an entry's source stands for, as k0sctl does: one file; all files of a directory,
// which keep their places below it; or what matches a pattern, which keeps its place below the pattern's fixed part.
func placements(f config.UploadFile) ([]placement, error) {
	matches, err := filepath.Glob(f.Source)
	if err != nil {
		return nil, fmt.Errorf("file %q: %s is no pattern: %w", f.Name, f.Source, err)
	}
	base := filepath.Dir(f.Source)
	switch info, err := os.Stat(f.Source); {
	case err == nil && info.IsDir():
		matches, base = []string{f.Source}, f.Source
	case err == nil:
		matches = []string{f.Source}
	default:
		for strings.ContainsAny(base, `*?[\`) {
			base = filepath.Dir(base)
		}
	}
	var list []placement
	for _, match := range matches {
		err := filepath.WalkDir(match, func(name string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(name) // of what a symbolic link leads to
			if err != nil || info.IsDir() {
				return err
			}
			relative, err := filepath.Rel(base, name)
			list = append(list, placement{name, destination(f, filepath.ToSlash(relative)), info.Mode().Perm()})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Name, err)
		}
	}
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("file %q: there is no %s: correct src", f.Name, f.Source)
	case len(list) > 1 && f.Dst != "":
		return nil, fmt.Errorf("file %q: %s is %d files, but dst is the name of one: write dstDir", f.Name, f.Source, len(list))
	}
	return list, nil
}

// destination is where a source, given by its place relative to the others, goes to on the host.
func destination(f config.UploadFile, relative string) string {
	if f.Dst != "" {
		return f.Dst
	}
	return path.Join(f.DstDir, relative)
}

// downloaded is where a host puts what it downloads itself.
func downloaded(f config.UploadFile) string {
	name := f.Name
	if u, err := url.Parse(f.Source); name == "" && err == nil {
		name = path.Base(u.Path)
	}
	return destination(f, name)
}

// destinations lists where an entry's files go, for people.
func destinations(f config.UploadFile) ([]string, error) {
	switch {
	case f.Data != "":
		return []string{destination(f, f.Name)}, nil
	case f.IsURL():
		return []string{downloaded(f) + " from " + f.Source}, nil
	}
	list, err := placements(f)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range list {
		names = append(names, p.to)
	}
	slices.Sort(names)
	return names, nil
}
