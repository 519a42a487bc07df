package config

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// around is a file with the hosts in it.
func around(hosts string) string {
	return "# the cluster\napiVersion: k0sctl.k0sproject.io/v1beta1\nkind: Cluster\nspec:\n" + hosts +
		"  k0s: {version: v1.36.3+k0s.2} # pinned\n"
}

func TestWithoutHost(t *testing.T) {
	for name, c := range map[string]struct {
		hosts string
		index int
		want  string
	}{
		"in the middle, with what is said of it": {
			"  hosts:\n  # all of them\n  - role: controller\n    ssh: {address: 10.0.0.1} # one\n  # two\n  - role: controller\n" +
				"    ssh:\n      address: 10.0.0.2\n      # its own\n  # three\n  - role: worker\n    ssh: {address: 10.0.0.3}\n", 1,
			"  hosts:\n  # all of them\n  - role: controller\n    ssh: {address: 10.0.0.1} # one\n" +
				"  # three\n  - role: worker\n    ssh: {address: 10.0.0.3}\n",
		},
		"the first, below what is said of all": {
			"  hosts:\n    # all of them\n    - ssh: {address: 10.0.0.1}\n      role: controller\n    - ssh: {address: 10.0.0.2}\n", 0,
			"  hosts:\n    # all of them\n    - ssh: {address: 10.0.0.2}\n",
		},
		"the last": {
			"  hosts:\n    - ssh: {address: 10.0.0.1}\n    - ssh: {address: 10.0.0.2}\n      role: controller\n  # of k0s\n", 1,
			"  hosts:\n    - ssh: {address: 10.0.0.1}\n  # of k0s\n",
		},
		"between empty lines": {
			"  hosts:\n    - ssh: {address: 10.0.0.1}\n\n    - ssh: {address: 10.0.0.2}\n\n    - ssh: {address: 10.0.0.3}\n\n", 1,
			"  hosts:\n    - ssh: {address: 10.0.0.1}\n\n    - ssh: {address: 10.0.0.3}\n\n",
		},
		"the last, after an empty line": {
			"  hosts:\n    - ssh: {address: 10.0.0.1}\n\n    - ssh: {address: 10.0.0.2}\n", 1,
			"  hosts:\n    - ssh: {address: 10.0.0.1}\n",
		},
		"dashes below the key, and one alone in its line": {
			"  hosts:\n  - ssh: {address: 10.0.0.1}\n  -\n    # second\n    ssh: {address: 10.0.0.2}\n  - !!map {role: worker}\n", 1,
			"  hosts:\n  - ssh: {address: 10.0.0.1}\n  - !!map {role: worker}\n",
		},
		"a text with dashes and number signs": {
			"  hosts:\n    - ssh: {address: 10.0.0.1}\n      files:\n        - data: |\n            - x\n            # y\n\n    - ssh: {address: 10.0.0.2}\n", 0,
			"  hosts:\n    - ssh: {address: 10.0.0.2}\n",
		},
		"a text that keeps the empty lines at its end": {
			"  hosts:\n    - files: [{data: x}]\n      hostname: |+\n        x\n\n    - ssh: {address: 10.0.0.2}\n", 1,
			"  hosts:\n    - files: [{data: x}]\n      hostname: |+\n        x\n\n",
		},
		"lines of another system": {
			"  hosts:\r\n    - ssh: {address: 10.0.0.1}\r\n    - ssh: {address: 10.0.0.2}\r\n", 0,
			"  hosts:\r\n    - ssh: {address: 10.0.0.2}\r\n",
		},
		"in brackets": {
			"  hosts: [ {ssh: {address: é, user: 'a, ]b'}}, {ssh: {address: 2}},\n    # third\n    {ssh: {address: 3}} ] # all\n", 1,
			"  hosts: [ {ssh: {address: é, user: 'a, ]b'}}, \n    # third\n    {ssh: {address: 3}} ] # all\n",
		},
		"in brackets, a line each": {
			"  hosts: [\n    {a: 1}, # one\n    {b: 2},\n    {c: 3}, # three\n  ]\n", 1,
			"  hosts: [\n    {a: 1}, # one\n    {c: 3}, # three\n  ]\n",
		},
		"the last in brackets, below what is said of another": {
			"  hosts: [\n    {a: 1}, # one\n    {b: 2}\n  ]\n", 1, "  hosts: [\n    {a: 1}, # one\n  ]\n",
		},
		"the first in brackets": {
			"  hosts: [{a: \"]\\\"\"}, {b: it's}]\n", 0, "  hosts: [{b: it's}]\n",
		},
		"the last in brackets": {
			"  hosts: [{a: 1}, {b: 2},]\n", 1, "  hosts: [{a: 1},]\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := withoutHost([]byte(around(c.hosts)), c.index)
			if err != nil || string(got) != around(c.want) {
				t.Errorf("%v, got:\n%s", err, got)
			}
		})
	}
}

func TestAnEntryThatCannotBeCutOut(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"others are like it":    {around("  hosts:\n    - &cp {role: controller}\n    - *cp\n"), "without changing what the others say"},
		"the last one":          {around("  hosts:\n    - role: controller\n"), "without changing what the others say"},
		"the list is another's": {"x: &h [{a: 1}]\nkind: Cluster\nspec: {hosts: *h}\n", "no plain list"},
		"no YAML":               {"kind: [", "not YAML"},
		"too few":               {around("  hosts: []\n"), "it has 0 hosts"},
	} {
		if got, err := withoutHost([]byte(c.text), 0); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// Every entry of every file of the tests can be taken out, save the last one of a list.
func TestRemoveHostGolden(t *testing.T) {
	for path, data := range readTestdata(t, "testdata/good/*.yaml") {
		file, err := source(filepath.Base(path)).Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for i, h := range file.Cluster.Hosts {
			all.WriteString("#### without " + h.Conn.String() + "\n")
			got, err := withoutHost(data, i)
			if err != nil {
				all.WriteString(err.Error() + "\n")
				continue
			}
			all.WriteString(removedLines(data, got))
		}
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		golden.Compare(t, "removed/"+name, all.String())
	}
}

// removedLines is what is missing in after, which lacks one run of bytes.
func removedLines(before, after []byte) string {
	n := 0
	for n < len(after) && before[n] == after[n] {
		n++
	}
	for cut := len(before) - len(after); n > 0 && before[n-1] == before[n-1+cut]; {
		n-- // where it could be one run as well as another: the one that begins first
	}
	return string(before[n : n+len(before)-len(after)])
}

func TestRemoveHost(t *testing.T) {
	text := around("  hosts:\n    - {role: controller, ssh: {address: 10.0.0.1}}\n    - {role: controller, ssh: {address: 10.0.0.2, port: 2222}}\n")
	dir := t.TempDir()
	path, link := filepath.Join(dir, "cluster.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("cluster.yaml", link); err != nil {
		t.Fatal(err)
	}
	conn := func(address string, port int) Connection {
		return Connection{SSH: &SSH{Address: address, User: "whoever", Port: port}}
	}
	for _, c := range []struct {
		conn    Connection
		removed bool
	}{{conn("10.0.0.2", 22), false}, {conn("10.0.0.2", 2222), true}, {conn("10.0.0.2", 2222), false}} {
		removed, err := RemoveHost(link, c.conn)
		if err != nil || removed != c.removed {
			t.Errorf("%s: got %v, %v", c.conn, removed, err)
		}
	}
	data, err := os.ReadFile(path)
	if want := around("  hosts:\n    - {role: controller, ssh: {address: 10.0.0.1}}\n"); err != nil || string(data) != want {
		t.Errorf("%v, got:\n%s", err, data)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link has become something else: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("something is left beside it: %v, %v", entries, err)
	}
	if _, err := RemoveHost(path, conn("10.0.0.1", 22)); err == nil || !strings.Contains(err.Error(), "remove its entry by hand") {
		t.Errorf("got %v", err)
	}
	if _, err := RemoveHost(filepath.Join(dir, "none"), conn("10.0.0.1", 22)); err == nil {
		t.Error("there is no such file")
	}
}

func FuzzWithoutHost(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		for _, data := range readTestdata(f, pattern) {
			f.Add(data, uint8(0))
			f.Add(data, uint8(1))
		}
	}
	f.Add([]byte("kind: cluster\nspec: {hosts: [a, 'b', \"c\", # d\n{e: [f]}]}"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, index uint8) {
		edited, err := withoutHost(data, int(index))
		if err != nil {
			return
		}
		before, _ := decodeAll(data)
		after, err := decodeAll(edited)
		if err != nil {
			t.Fatalf("it is no YAML any more: %v", err)
		}
		old, _ := hostsOf(before)
		left, err := hostsOf(after)
		if err != nil || !slices.EqualFunc(slices.Delete(old.Content, int(index), int(index)+1), left.Content, sameYAML) {
			t.Fatalf("other entries changed: %v", err)
		}
		n := 0
		for n < len(edited) && edited[n] == data[n] {
			n++
		}
		for from := n; from >= 0; from-- {
			if bytes.Equal(edited[from:], data[from+len(data)-len(edited):]) {
				return
			}
		}
		t.Fatal("more than one run of bytes was cut out of " + strconv.Quote(string(data)))
	})
}
