package config

import (
	"errors"
	"path"
	"path/filepath"
	"strings"
)

// paths resolves paths on the user's machine.
type paths struct {
	dir  string // of the cluster file
	home string // "" when the user has none
}

// resolve returns the path with ~ expanded, made absolute from the cluster file's directory.
func (p paths) resolve(s string) (string, error) {
	switch {
	case s == "" || filepath.IsAbs(s):
		return s, nil
	case s == "~" || strings.HasPrefix(s, "~/"):
		if p.home == "" {
			return "", errors.New("~ stands for the home directory, and none is known: set HOME or write the whole path")
		}
		return filepath.Join(p.home, s[1:]), nil
	case strings.HasPrefix(s, "~"):
		return "", errors.New("the home directory of another user is not looked up: write the whole path")
	}
	return filepath.Join(p.dir, s), nil
}

// local reads a path on the user's machine.
func (p *parser) local(v value) string {
	resolved, err := p.paths.resolve(v.str())
	if err != nil {
		v.fail("%v", err)
	}
	return resolved
}

// remote reads an absolute path on a host.
func (p *parser) remote(v value) string {
	s := v.str()
	switch {
	case s == "":
	case !path.IsAbs(s):
		v.fail("%q is not an absolute path: begin it with /", s)
	case strings.ContainsFunc(s, isControl):
		v.fail("%q has control characters: remove them", s)
	}
	return s
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }
