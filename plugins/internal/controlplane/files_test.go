package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// tree makes files of this machine and returns their directory.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("content of "+name), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDestinations(t *testing.T) {
	dir := tree(t, "a.tar", "b.tar", "c.txt", "sub/d.tar", "sub/deep/e.tar", "[odd].tar")
	if err := os.Symlink(filepath.Join(dir, "a.tar"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file config.UploadFile
		want string // or the error
	}{
		"data":                         {config.UploadFile{Data: "x", Dst: "/etc/motd"}, "/etc/motd"},
		"data with a name":             {config.UploadFile{Data: "x", Name: "motd", DstDir: "/etc"}, "/etc/motd"},
		"dst is the whole path":        {config.UploadFile{Data: "x", Dst: "/etc/motd", DstDir: "/tmp"}, "/etc/motd"},
		"a URL":                        {config.UploadFile{Source: "https://x.example/a/b.tar?x=/y", DstDir: "/d"}, "/d/b.tar from https://x.example/a/b.tar?x=/y"},
		"a URL with a name":            {config.UploadFile{Source: "https://x.example/a/b.tar", Name: "c", DstDir: "/d"}, "/d/c from https://x.example/a/b.tar"},
		"one file":                     {config.UploadFile{Source: dir + "/a.tar", DstDir: "/d"}, "/d/a.tar"},
		"one file by another name":     {config.UploadFile{Source: dir + "/a.tar", Dst: "/d/x"}, "/d/x"},
		"a symbolic link":              {config.UploadFile{Source: dir + "/link", DstDir: "/d"}, "/d/link"},
		"one whose name is a pattern":  {config.UploadFile{Source: dir + "/[odd].tar", DstDir: "/d"}, "/d/[odd].tar"},
		"a directory keeps its layout": {config.UploadFile{Source: dir + "/sub", DstDir: "/d"}, "/d/d.tar, /d/deep/e.tar"},
		"a pattern":                    {config.UploadFile{Source: dir + "/[ab].tar", DstDir: "/d"}, "/d/a.tar, /d/b.tar"},
		"a pattern of directories":     {config.UploadFile{Source: dir + "/s*/d.tar", DstDir: "/d"}, "/d/sub/d.tar"},
		"a pattern of one":             {config.UploadFile{Source: dir + "/a*", Dst: "/d/x"}, "/d/x"},
		"a pattern of two as one":      {config.UploadFile{Name: "n", Source: dir + "/[ab].tar", Dst: "/d/x"}, `file "n": `},
		"not there":                    {config.UploadFile{Name: "n", Source: dir + "/none", DstDir: "/d"}, `file "n": there is no ` + dir + "/none"},
		"not a pattern":                {config.UploadFile{Name: "n", Source: dir + "/[", DstDir: "/d"}, `file "n": ` + dir + "/[ is no pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := destinations(c.file)
			if err != nil && !strings.HasPrefix(err.Error(), c.want) || err == nil && strings.Join(got, ", ") != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	dir := tree(t, "images/a.tar")
	w := newWorld(t, guideFile)
	first := w.file.Cluster.Hosts[0]
	first.Hostname = "CP-1"
	first.Files = []config.UploadFile{
		{Data: "hello\n", Name: "motd", DstDir: "/etc", Perm: "0600", User: "root", Group: "adm"},
		{Source: dir + "/images", DstDir: "/var/lib/k0s/images", DirPerm: "0750"},
		{Source: dir + "/images/a.tar", Dst: "/root/secret", Perm: "0400"},
		{Source: "https://example.com/x", Dst: "/root/x", Perm: "0700"},
	}
	w.file.Cluster.Hosts[1].Hostname = "cp2" // as it is
	w.file.Cluster.Hosts[2].Hostname = "other"
	w.controlPlane("10.10.2.2")
	c := w.survey()

	lines, err := c.detailPrepare(t.Context())
	want := "root@10.10.0.2:22: hostname CP-1\ncp-1: file /etc/motd\ncp-1: file /var/lib/k0s/images/a.tar\n" +
		"cp-1: file /root/secret\ncp-1: file /root/x from https://example.com/x"
	if got := strings.Join(lines, "\n"); err != nil || got != want {
		t.Errorf("detail:\n%s, %v", got, err)
	}
	if err := c.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := w.hosts["10.10.0.2"]
	if h.files["/etc/motd"] != "hello\n" || h.files["/var/lib/k0s/images/a.tar"] != "content of images/a.tar" ||
		h.modes["/var/lib/k0s/images/a.tar"] != 0o640 {
		t.Errorf("files: %v, %v", h.files, h.modes)
	}
	if h.modes["/etc/motd"] != 0o600 || h.modes["/root/secret"] != 0o400 {
		t.Errorf("files that others may not read had another mode for a moment: %v", h.modes)
	}
	const did = `run hostnamectl set-hostname 'CP-1' 2>/dev/null || { echo 'CP-1' >/etc/hostname && hostname 'CP-1'; }
run [ -d '/etc' ] || mkdir -p -m 0755 '/etc'
write /etc/motd
run chmod '0600' '/etc/motd' && chown 'root:adm' '/etc/motd'
run [ -d '/var/lib/k0s/images' ] || mkdir -p -m 0750 '/var/lib/k0s/images'
upload /var/lib/k0s/images/a.tar
run chmod '0640' '/var/lib/k0s/images/a.tar'
run [ -d '/root' ] || mkdir -p -m 0755 '/root'
upload /root/secret
run chmod '0400' '/root/secret'
run [ -d '/root' ] || mkdir -p -m 0755 '/root'
run { umask 077 && { if command -v curl >/dev/null; then curl -fsSL -o '/root/x.part' 'https://example.com/x'; ` +
		`else wget -qO '/root/x.part' 'https://example.com/x'; fi; } && chmod 0700 '/root/x.part' && mv -f '/root/x.part' '/root/x'; }; ` +
		`status=$?; rm -f '/root/x.part' '/root/x.part.sums'; exit $status
run chmod '0700' '/root/x'`
	if got := h.did(); got != did {
		t.Errorf("did:\n%s", got)
	}
	for _, address := range []string{"10.10.1.2", "10.10.2.2"} {
		if got := w.hosts[address].did(); got != "" {
			t.Errorf("%s has its name, or has joined; did:\n%s", address, got)
		}
	}
	if c.seed.name() != "cp3" || c.controllers[0].name() != "cp-1" {
		t.Errorf("names: %s, %s", c.seed.name(), c.controllers[0].name())
	}

	t.Run("missing files are found before anything is done", func(t *testing.T) {
		first.Files = []config.UploadFile{{Name: "images", Source: dir + "/none", DstDir: "/x"}}
		expectProblems(t, w.survey().checkFiles(), `root@10.10.0.2:22: file "images": there is no `)
	})
}
