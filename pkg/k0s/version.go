package k0s

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is a k0s release, as "v1.36.3+k0s.2".
type Version struct {
	text                string
	Major, Minor, Patch int
	K0s                 int
}

// versionPattern takes what k0s's builds say of themselves: "v1.36.3+k0s.2", "v1.37.0-alpha.1+k0s.0",
// "v1.36.3+k0s.2-5-g1a2b3c4".
var versionPattern = regexp.MustCompile(
	`^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-[0-9A-Za-z.-]+)?\+k0s(?:\.(\d{1,9}))?(?:[.-][0-9A-Za-z.-]*)?$`)

// ParseVersion reads what `k0s version` prints or what a cluster file names.
func ParseVersion(text string) (Version, error) {
	match := versionPattern.FindStringSubmatch(text)
	if match == nil {
		return Version{}, fmt.Errorf("reading the k0s version %q: want one like v1.36.3+k0s.0", text)
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(match[i]) // digits only, or absent: 0
		return n
	}
	if text[0] != 'v' {
		text = "v" + text
	}
	return Version{text: text, Major: number(1), Minor: number(2), Patch: number(3), K0s: number(4)}, nil
}

// String gives the version as k0s prints it.
func (v Version) String() string { return v.text }

// AtLeast compares major, minor and patch.
func (v Version) AtLeast(major, minor, patch int) bool {
	if v.Major != major {
		return v.Major > major
	}
	if v.Minor != minor {
		return v.Minor > minor
	}
	return v.Patch >= patch
}

// JoinsAsLearner tells whether a joining controller enters etcd as a learner and votes only once it has caught up.
// Before v1.36.1 it votes at once, so a join that fails can cost the quorum (k0s, pkg/etcd).
func (v Version) JoinsAsLearner() bool { return v.AtLeast(1, 36, 1) }
