package k0sbin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// release is the pinned k0s release.
type release struct {
	version string
	sums    map[string]string // SHA-256 in hex, by architecture
}

func parseRelease(text string) (release, error) {
	r := release{sums: map[string]string{}}
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		case len(fields) == 2 && fields[0] == "version":
			r.version = fields[1]
		case len(fields) == 3 && fields[0] == "sha256":
			if sum, err := hex.DecodeString(fields[2]); err != nil || len(sum) != 32 {
				errs = append(errs, fmt.Errorf("line %d: not a SHA-256 in hex: %q", number, fields[2]))
			}
			r.sums[fields[1]] = strings.ToLower(fields[2])
		default:
			errs = append(errs, fmt.Errorf("line %d: neither a version nor a checksum", number))
		}
	}
	if r.version == "" {
		errs = append(errs, errors.New("no version"))
	}
	if err := errors.Join(errs...); err != nil {
		return release{}, fmt.Errorf("reading the pinned k0s release: %w", err)
	}
	return r, nil
}

// fileName is the release's executable, as its page names it.
func (r release) fileName(arch string) string { return "k0s-" + r.version + "-" + arch }

// path is where the executable is below the project's downloads; a plus sign is a space to some servers.
func (r release) path(arch string) string {
	return strings.ReplaceAll(url.PathEscape(r.version)+"/"+url.PathEscape(r.fileName(arch)), "+", "%2B")
}
