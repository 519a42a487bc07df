package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// addTo adds a host, and checks that no byte of the file changed but for the entry.
func addTo(t *testing.T, data []byte, target string, role Role) *Addition {
	t.Helper()
	added, err := source("cluster.yaml").AddController(data, target, role)
	if err != nil {
		t.Fatal(err)
	}
	checkAdded(t, data, added.Data)
	return added
}

// checkAdded sees whether a file is another one with something inserted at one place.
func checkAdded(t *testing.T, before, after []byte) {
	t.Helper()
	more := len(after) - len(before)
	for i := range len(before) + 1 {
		if more > 0 && bytes.Equal(before[:i], after[:i]) && bytes.Equal(before[i:], after[i+more:]) {
			return
		}
	}
	t.Fatalf("more changed than an entry was inserted:\n%s\nbecame\n%s", before, after)
}

func TestAHostIsAddedToTheText(t *testing.T) {
	for path, data := range readTestdata(t, "testdata/add/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			added := addTo(t, data, "10.10.9.2", "")
			text := string(added.Data)
			if len(added.LeftOut) > 0 {
				text += "# left out: " + strings.Join(added.LeftOut, "; ") + "\n"
			}
			golden.File(t, strings.TrimSuffix(path, ".yaml")+".golden", text)

			f, err := source("cluster.yaml").Parse(added.Data)
			if err != nil {
				t.Fatal(err)
			}
			if h := f.Cluster.Find("10.10.9.2"); h == nil || !h.IsController() {
				t.Errorf("it is not found: %+v", h)
			}
			again := addTo(t, added.Data, "admin@[fd00::9]:2222", "")
			if f, err = source("cluster.yaml").Parse(again.Data); err != nil || f.Cluster.Find("fd00::9").Conn.String() != "admin@[fd00::9]:2222" {
				t.Errorf("a second one: %v\n%s", err, again.Data)
			}
		})
	}
}

func TestLineBreaksStayAsTheyAre(t *testing.T) {
	for path, data := range readTestdata(t, "testdata/add/*.yaml") {
		want := addTo(t, data, "10.10.9.2", "").Data
		windows := bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
		if got := addTo(t, windows, "10.10.9.2", "").Data; !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\n"), []byte("\r\n"))) {
			t.Errorf("%s with the line breaks of Windows:\n%q", path, got)
		}
		cut := bytes.TrimRight(data, "\n")
		if got := addTo(t, cut, "10.10.9.2", "").Data; !bytes.Equal(got, bytes.TrimRight(want, "\n")) {
			t.Errorf("%s without a line break at its end:\n%s", path, got)
		}
	}
}

func TestTheRoleOfAnAddedHost(t *testing.T) {
	const file = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - role: controller+worker
      noTaints: true
      ssh: {address: 10.0.0.1}
      installFlags: [--enable-worker, --debug]
`
	for role, want := range map[Role]string{
		"": "role: controller+worker\nnoTaints: true\nssh: {address: 10.0.0.2}\ninstallFlags: [--enable-worker, --debug]",
		RoleControllerWorker: "role: controller+worker\nnoTaints: true\nssh: {address: 10.0.0.2}\n" +
			"installFlags: [--enable-worker, --debug]",
		RoleController: "role: controller\nssh: {address: 10.0.0.2}\ninstallFlags: [--debug]",
	} {
		if got := addTo(t, []byte(file), "10.0.0.2", role).Entry; got != want {
			t.Errorf("%q: got\n%s", role, got)
		}
	}
	two := file + "    - role: controller\n      ssh: {address: 10.0.0.3, user: admin, keyPath: k}\n"
	if got, want := addTo(t, []byte(two), "10.0.0.2", RoleController).Entry, "role: controller\nssh: {address: 10.0.0.2, user: admin, keyPath: k}"; got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestFilesThatAreNotAddedTo(t *testing.T) {
	const head = "apiVersion: k0sctl.k0sproject.io/v1beta1\nkind: Cluster\nspec:\n"
	for name, c := range map[string]struct{ file, target, says string }{
		"in brackets": {
			head + "  hosts: [{role: controller, ssh: {address: 10.0.0.1}}]\n", "10.0.0.2",
			`adding the host "10.0.0.2" to the cluster file: cluster.yaml:4: spec.hosts is written in brackets, and an entry can only be ` +
				"added to a list with a dash for each host: add it by hand, below the other hosts:\n- {role: controller, ssh: {address: 10.0.0.2}}",
		},
		"there already": {head + "  hosts:\n  - {role: controller, ssh: {address: 10.0.0.1}}\n", "10.0.0.1", "with its entry the file would be wrong: "},
		"wrong already": {head + "  hosts: []\n", "10.0.0.1", "no hosts"},
		"no host":       {head + "  hosts:\n  - {role: controller, ssh: {address: 10.0.0.1}}\n", "root@", "neither an IP address nor a host name"},
		"no user":       {head, "@10.0.0.1", "the user before @ is empty"},
		"no port":       {head, "10.0.0.1:0", "port 0 is out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := source("cluster.yaml").AddController([]byte(c.file), c.target, "")
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	f, err := source("cluster.yaml").Parse([]byte(`apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - {role: controller, ssh: {address: 192.0.2.1, port: 2201}, privateAddress: 10.0.0.1, hostname: cp1}
    - {role: controller, ssh: {address: 192.0.2.1, port: 2202}, privateAddress: 10.0.0.2}
    - {role: worker, openSSH: {address: w1.example}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]int{
		"192.0.2.1": 0, "192.0.2.1:2201": 0, "root@192.0.2.1:2202": 1, "10.0.0.2": 1, "CP1": 0, "w1.example": 2, "w1.example:22": 2,
		"192.0.2.1:22": -1, "10.0.0.3": -1, "nobody": -1, "@": -1,
	} {
		got := f.Cluster.Find(target)
		if want < 0 && got != nil || want >= 0 && got != f.Cluster.Hosts[want] {
			t.Errorf("%s: got %+v", target, got)
		}
	}
	if err := CheckTarget("root@10.0.0.1:22"); err != nil {
		t.Error(err)
	}
	if err := CheckTarget("a b"); err == nil || !strings.HasPrefix(err.Error(), `host "a b": `) {
		t.Errorf("got %v", err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "cluster.yaml")
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Fatal(err)
	}
	if err := Replace(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	info, statErr := os.Lstat(file)
	if err != nil || statErr != nil || string(data) != "new" || info.Mode() != 0o640 {
		t.Errorf("got %q, %v, %v, %v", data, info.Mode(), err, statErr)
	}
	if target, err := os.Readlink(link); err != nil || target != "real.yaml" {
		t.Errorf("the link is gone: %q, %v", target, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := Replace(filepath.Join(dir, "none"), nil); err == nil || !strings.HasPrefix(err.Error(), "writing ") {
		t.Errorf("got %v", err)
	}
}

func FuzzAddController(f *testing.F) {
	addSeeds(f)
	for _, data := range readTestdata(f, "testdata/add/*.yaml") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const target = "root@203.0.113.77:2022"
		before, err := source("file.yaml").Parse(data)
		added, addErr := source("file.yaml").AddController(data, target, "")
		if addErr != nil {
			return
		}
		if err != nil {
			t.Fatalf("a file that is wrong was added to: %v", err)
		}
		checkAdded(t, data, added.Data)
		after, err := source("file.yaml").Parse(added.Data)
		if err != nil {
			t.Fatal(err)
		}
		h := after.Cluster.Find(target)
		if h == nil || !h.IsController() {
			t.Fatalf("the host is not in the file:\n%s", added.Data)
		}
		var rest []*Host
		for _, other := range after.Cluster.Hosts {
			if other != h {
				rest = append(rest, other)
			}
		}
		after.Cluster.Hosts = rest
		if want, got := withoutLines(t, before), withoutLines(t, after); got != want {
			t.Fatalf("the file says something else:\n%s\n%s\n%s", want, got, added.Data)
		}
	})
}

// withoutLines is all that a file says, without where it says so.
func withoutLines(t *testing.T, f *File) string {
	t.Helper()
	f.Cluster.Line = 0
	for _, h := range f.Cluster.Hosts {
		h.Line = 0
		for i := range h.Files {
			h.Files[i].Line = 0
		}
	}
	if f.LoadBalancer != nil {
		f.LoadBalancer.Line = 0
		for _, h := range f.LoadBalancer.Hosts {
			h.Line = 0
		}
	}
	return fmt.Sprint(asJSON(t, f.Cluster), asJSON(t, f.LoadBalancer))
}
