package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

func TestOriginOf(t *testing.T) {
	for name, c := range map[string]struct {
		host    config.Host
		there   string // version that is on the host
		version string // wanted
		want    origin
	}{
		"nothing said":                       {config.Host{}, "", "v1.36.3+k0s.2", originDownload},
		"there":                              {config.Host{}, "v1.36.3+k0s.2", "v1.36.3+k0s.2", originHost},
		"there, written without v":           {config.Host{}, "v1.36.3+k0s.2", "1.36.3+k0s.2", originHost},
		"there, any will do":                 {config.Host{}, "v1.36.3+k0s.2", "", originHost},
		"another one there":                  {config.Host{}, "v1.35.0+k0s.0", "v1.36.3+k0s.2", originDownload},
		"upload":                             {config.Host{UploadBinary: true}, "", "v1.36.3+k0s.2", originCache},
		"upload, there":                      {config.Host{UploadBinary: true}, "v1.36.3+k0s.2", "v1.36.3+k0s.2", originHost},
		"a file":                             {config.Host{K0sBinaryPath: "k0s"}, "", "", originFile},
		"a file, compared by its checksum":   {config.Host{K0sBinaryPath: "k0s"}, "v1.36.3+k0s.2", "v1.36.3+k0s.2", originFile},
		"the user's own, whatever it is":     {config.Host{UseExistingK0s: true}, "v1.35.0+k0s.0", "v1.36.3+k0s.2", originHost},
		"the user's own, which is not there": {config.Host{UseExistingK0s: true, UploadBinary: true}, "", "", originHost},
	} {
		m := &machine{host: &c.host, facts: &host.Facts{K0sVersion: c.there}}
		if got := originOf(m, c.version); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestCheckBinaries(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "k0s")
	if err := os.WriteFile(executable, []byte("k0s"), 0o700); err != nil {
		t.Fatal(err)
	}
	const version = "v1.36.3+k0s.2"
	for name, c := range map[string]struct {
		change func(c *Cluster)
		want   []string
	}{
		"downloads": {func(*Cluster) {}, nil},
		"a file for all": {
			func(c *Cluster) {
				for _, m := range c.machines() {
					m.host.K0sBinaryPath = executable
				}
			}, nil,
		},
		"no such file": {
			func(c *Cluster) { c.controllers[1].host.K0sBinaryPath = executable + "-none" },
			[]string{"root@10.10.1.2:22: reading k0sBinaryPath: open " + executable + "-none"},
		},
		"none where one should be": {
			func(c *Cluster) { c.controllers[1].host.UseExistingK0s = true },
			[]string{"root@10.10.1.2:22: there is no k0s on it, though useExistingK0s says so"},
		},
		"another one where this one should be": {
			func(c *Cluster) {
				c.controllers[1].host.UseExistingK0s = true
				c.controllers[1].facts.K0sVersion = "v1.35.0+k0s.0"
			},
			[]string{"root@10.10.1.2:22: its k0s is v1.35.0+k0s.0, not v1.36.3+k0s.2: name one version"},
		},
		"different ones, and none is named": {
			func(c *Cluster) {
				c.file.Cluster.K0s.Version = ""
				for i, m := range c.machines() {
					m.facts.K0sVersion = fmt.Sprintf("v1.36.%d+k0s.0", i/3)
				}
			},
			[]string{"root@10.10.20.2:22: its k0s is v1.36.1+k0s.0, not v1.36.0+k0s.0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newWorld(t, guideFile).survey()
			c.change(cluster)
			expectProblems(t, cluster.checkBinaries(t.Context()), c.want...)
			if len(c.want) == 0 && cluster.version != version {
				t.Errorf("the version is %q", cluster.version)
			}
		})
	}
}

// web is a client for which every site is the handler's.
func web(t *testing.T, handler http.HandlerFunc) *http.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &http.Client{Transport: rewrite{server.Listener.Addr().String()}}
}

type rewrite struct{ address string }

func (r rewrite) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Host = request.URL.Host
	request.URL.Scheme, request.URL.Host = "http", r.address
	return http.DefaultTransport.RoundTrip(request)
}

func TestChooseVersion(t *testing.T) {
	channels := func(w http.ResponseWriter, r *http.Request) {
		switch r.Host + r.URL.Path {
		case "docs.k0sproject.io/stable.txt":
			fmt.Fprintln(w, "v1.36.3+k0s.2")
		case "docs.k0sproject.io/latest.txt":
			fmt.Fprintln(w, "<html>")
		default:
			http.NotFound(w, r)
		}
	}
	for name, c := range map[string]struct {
		change func(w *world)
		want   string // or the error
	}{
		"the file's":     {func(*world) {}, "v1.36.3+k0s.2"},
		"the channel's":  {func(w *world) { w.file.Cluster.K0s.Version = "" }, "v1.36.3+k0s.2"},
		"not a version":  {func(w *world) { w.file.Cluster.K0s.Version = "newest" }, `spec.k0s.version: reading the k0s version "newest"`},
		"not a release":  {func(w *world) { w.file.Cluster.K0s.Version, w.file.Cluster.K0s.VersionChannel = "", "latest" }, "finding out the latest version of k0s: reading the k0s version"},
		"no such answer": {func(w *world) { w.file.Cluster.K0s.Version, w.file.Cluster.K0s.VersionChannel = "", "edge" }, "finding out the edge version of k0s: https://docs.k0sproject.io/edge.txt: 404"},
		"none is needed": {
			func(w *world) {
				w.file.Cluster.K0s.Version = ""
				for _, h := range w.hosts {
					h.facts.K0sVersion = "v1.36.3+k0s.2"
				}
			}, "",
		},
		"the cluster's": {
			func(w *world) {
				w.file.Cluster.K0s.Version = ""
				w.controlPlane("10.10.1.2")
			}, "v1.36.3+k0s.2",
		},
		"another one than the cluster's": {
			func(w *world) {
				w.file.Cluster.K0s.Version = "v1.37.0+k0s.0"
				w.controlPlane("10.10.1.2")
			}, "the cluster runs k0s v1.36.3+k0s.2, the file says v1.37.0+k0s.0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.o.Web = web(t, channels)
			c.change(w)
			got, err := w.survey().chooseVersion(t.Context())
			if err != nil && (c.want == "" || !strings.HasPrefix(err.Error(), c.want)) || err == nil && got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestChecksumOf(t *testing.T) {
	const sums = "aaaa *k0s-v1.36.3+k0s.2-amd64\nbbbb  k0s-v1.36.3+k0s.2-arm64\ncccc *k0s-v1.36.3+k0s.2-amd64.exe\nnonsense\n"
	for name, want := range map[string]string{
		"k0s-v1.36.3+k0s.2-amd64": "aaaa", "k0s-v1.36.3+k0s.2-arm64": "bbbb", "k0s-v1.36.3+k0s.2-arm": "", "": "",
	} {
		if got := checksumOf(sums, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestRelease(t *testing.T) {
	c := newWorld(t, guideFile).survey()
	c.version = "v1.36.3+k0s.2"
	const folder = "https://github.com/k0sproject/k0s/releases/download/v1.36.3%2Bk0s.2/"
	want := release{folder + "k0s-v1.36.3%2Bk0s.2-amd64", folder + "sha256sums.txt", "k0s-v1.36.3+k0s.2-amd64"}
	if got := c.release(c.seed); got != want {
		t.Errorf("got %+v", got)
	}
	c.seed.host.K0sDownloadURL = "https://mirror.example/%v/%p"
	if got, want := c.release(c.seed), (release{url: "https://mirror.example/v1.36.3%2Bk0s.2/amd64"}); got != want {
		t.Errorf("got %+v", got)
	}
}

// releases serves a k0s and its checksums as GitHub does.
func releases(content, listed string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/sha256sums.txt"):
			sum := sha256.Sum256([]byte(listed))
			fmt.Fprintf(w, "0000 *another\n%s *k0s-v1.36.3+k0s.2-amd64\n", hex.EncodeToString(sum[:]))
		case strings.HasSuffix(r.URL.EscapedPath(), "/k0s-v1.36.3%2Bk0s.2-amd64"):
			fmt.Fprint(w, content)
		default:
			http.NotFound(w, r)
		}
	}
}

func TestADownloadIsCheckedAndKept(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	w := newWorld(t, guideFile)
	c := w.survey()
	c.version = "v1.36.3+k0s.2"
	downloads := 0
	serve := releases("the right k0s", "the right k0s")
	c.settings.Web = web(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".txt") {
			downloads++
		}
		serve(w, r)
	})
	for range 2 {
		u, err := c.fetch(t.Context(), c.seed)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(u.path); err != nil || string(data) != "the right k0s" || u.size != int64(len(data)) {
			t.Errorf("got %q, %v of %+v", data, err, u)
		}
	}
	if downloads != 1 {
		t.Errorf("it was downloaded %d times", downloads)
	}

	t.Run("wrong checksum", func(t *testing.T) {
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		c.settings.Web = web(t, releases("another k0s", "the right k0s"))
		if _, err := c.fetch(t.Context(), c.seed); err == nil || !strings.Contains(err.Error(), "its SHA-256 is ") {
			t.Errorf("got %v", err)
		}
		if left, err := filepath.Glob(os.Getenv("XDG_CACHE_HOME") + "/*/*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	t.Run("no checksum", func(t *testing.T) {
		c.settings.Web = web(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "0000 *another") })
		if _, err := c.fetch(t.Context(), c.seed); err == nil || !strings.Contains(err.Error(), "has no checksum of k0s-v1.36.3+k0s.2-amd64") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not there", func(t *testing.T) {
		c.settings.Web = web(t, http.NotFound)
		if _, err := c.fetch(t.Context(), c.seed); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("got %v", err)
		}
	})
}

// The command is run as a host would run it, with each program that a host may have.
func TestDownloadCommand(t *testing.T) {
	server := httptest.NewServer(releases("the right k0s", "the right k0s"))
	defer server.Close()
	const name = "k0s-v1.36.3+k0s.2-amd64"
	right := release{server.URL + "/d/k0s-v1.36.3%2Bk0s.2-amd64", server.URL + "/d/sha256sums.txt", name}
	ran := 0
	for _, program := range []string{"curl", "wget"} {
		if _, err := exec.LookPath(program); err != nil {
			continue
		}
		ran++
		path := toolbox(t, program)
		for title, c := range map[string]struct {
			release release
			ok      bool
			says    string
		}{
			"checked":          {right, true, ""},
			"without checksum": {release{url: right.url}, true, ""},
			"another's name":   {release{right.url, right.sums, "another"}, false, "its SHA-256 is "},
			"not in the list":  {release{right.url, right.sums, "k0s-v1.36.3.k0s.2-amd64"}, false, "not listed"},
			"not there":        {release{url: server.URL + "/none"}, false, ""},
			"no list":          {release{right.url, server.URL + "/none", name}, false, ""},
		} {
			t.Run(program+", "+title, func(t *testing.T) {
				dir := t.TempDir()
				to := filepath.Join(dir, "it's k0s")
				command := exec.Command("/bin/sh", "-c", downloadCommand(c.release, to, "0755"))
				command.Env = []string{"PATH=" + path}
				out, err := command.CombinedOutput()
				if (err == nil) != c.ok || !strings.Contains(string(out), c.says) {
					t.Errorf("got %v: %s", err, out)
				}
				entries, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				if !c.ok {
					if len(entries) > 0 {
						t.Errorf("left behind: %v", entries)
					}
					return
				}
				info, err := os.Stat(to)
				if err != nil || info.Mode().Perm() != 0o755 || len(entries) != 1 {
					t.Errorf("got %v, %v among %v", info, err, entries)
				}
				if data, err := os.ReadFile(to); err != nil || string(data) != "the right k0s" {
					t.Errorf("got %q, %v", data, err)
				}
			})
		}
	}
	if ran == 0 {
		t.Error("neither curl nor wget is here")
	}
}

// toolbox is a directory with the programs that a host has, and only one that downloads.
func toolbox(t *testing.T, downloader string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range []string{downloader, "sha256sum", "awk", "cut", "chmod", "mv", "rm"} {
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(path, filepath.Join(dir, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStage(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "k0s")
	if err := os.WriteFile(executable, []byte("k0s"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, guideFile)
	for _, m := range w.file.Cluster.Hosts[:3] {
		m.K0sBinaryPath = executable
	}
	installed := "v1.36.3+k0s.2"
	for _, h := range w.hosts {
		h.facts.K0sPath = "/usr/bin/k0s" // of another version
		h.facts.K0sVersion = "v1.30.0+k0s.0"
		h.answer = func(command string) (string, error) {
			if command == k0s.DefaultBinary+" version" {
				return installed, nil
			}
			return "", nil
		}
	}
	c := w.survey()
	expectProblems(t, c.checkBinaries(t.Context()))
	if err := c.stage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.hosts["10.10.0.2"].did(); got != "upload /usr/local/bin/k0s" {
		t.Errorf("did %s", got)
	}
	if got := w.hosts["10.10.20.2"].did(); !strings.Contains(got, "https://github.com/k0sproject/k0s/releases/") {
		t.Errorf("did %s", got)
	}

	// What the file is shows on the host alone.
	installed = "v1.35.0+k0s.0"
	err := c.stage(context.Background())
	if err == nil || !strings.Contains(err.Error(), "root@10.10.0.2:22: its k0s is v1.35.0+k0s.0, not v1.36.3+k0s.2") {
		t.Errorf("got %v", err)
	}
}
