//go:build krew

package krew

import (
	"debug/buildinfo"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	krewModule  = "sigs.k8s.io/krew/cmd/krew@v0.4.4"
	checkModule = "sigs.k8s.io/krew/cmd/validate-krew-manifest@v0.4.4"
)

// TestInstall installs the plugins as a user does, by the real krew and the real kubectl. The archives are those that
// KREW_ARCHIVES holds, as `make release-snapshot` leaves them, or else this platform's, made here by what
// .goreleaser.yaml says.
func TestInstall(t *testing.T) {
	user := newUser(t)
	user.run("kubectl", "krew", "update")
	release := Release{Tag: "v0.0.1", Archives: os.Getenv("KREW_ARCHIVES")}
	if release.Archives == "" {
		release.Archives, release.Partial = t.TempDir(), true
		g, err := ReadGoreleaser(root)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Make(t.Context(), root, release.Archives, runtime.GOOS+"/"+runtime.GOARCH); err != nil {
			t.Fatal(err)
		}
	}
	for _, plugin := range plugins() {
		const most = 20_000_000
		archives, err := filepath.Glob(filepath.Join(release.Archives, "kubectl-"+plugin+"_*"))
		if err != nil || len(archives) == 0 {
			t.Fatalf("no archive of %s: %v", plugin, err)
		}
		for _, file := range archives {
			if info, err := os.Stat(file); err != nil || info.Size() >= most {
				t.Errorf("%s: %v, %d bytes: keep it below %d", file, err, info.Size(), most)
			}
		}
	}
	index := t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(release.Archives)))
	t.Cleanup(server.Close)
	fromServer := release
	fromServer.URL = server.URL
	if err := fromServer.WriteIndex(filepath.Join(root, "krew"), index); err != nil {
		t.Fatal(err)
	}

	t.Run("krew's own validation", func(t *testing.T) {
		user := user.in(t)
		for _, plugin := range plugins() {
			user.run("validate-krew-manifest", "-skip-install", "-manifest", filepath.Join(index, "plugins", plugin+".yaml"))
		}
	})
	t.Run("a manifest and an archive", func(t *testing.T) {
		user := user.in(t)
		for _, plugin := range plugins() {
			file := manifestFile(t, release, plugin)
			user.run("kubectl", "krew", "install", "--manifest", file, "--archive", filepath.Join(release.Archives, archive(plugin)))
			user.wantsWorking(plugin, "detached/"+plugin)
			user.run("kubectl", "krew", "uninstall", plugin)
			user.wantsGone(plugin)
		}
	})
	t.Run("platforms", func(t *testing.T) { // all of them, unless the release is a partial one
		for _, plugin := range plugins() {
			file := manifestFile(t, release, plugin)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var m manifest
			if err := yaml.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			for _, p := range m.Spec.Platforms {
				archive, on := filepath.Join(release.Archives, path.Base(p.URI)), p.Selector.MatchLabels
				if !isFile(archive) {
					continue
				}
				t.Run(fmt.Sprintf("%s for %s/%s", plugin, on.OS, on.Arch), func(t *testing.T) {
					user := user.on(t, on.OS, on.Arch)
					user.run("kubectl", "krew", "install", "--manifest", file, "--archive", archive)
					var files []string
					for _, file := range p.Files {
						files = append(files, file.From)
					}
					user.wantsInstalled(plugin, on.OS, on.Arch, files)
				})
			}
		}
	})
	t.Run("an index of one's own", func(t *testing.T) {
		user := user.in(t)
		commit(t, index)
		user.run("kubectl", "krew", "index", "add", "ha", index)
		for _, plugin := range plugins() {
			if out := user.run("kubectl", "krew", "search", plugin); !strings.Contains(out, "ha/"+plugin) {
				t.Errorf("krew search %s does not find it in the index: %s", plugin, out)
			}
			user.run("kubectl", "krew", "install", "ha/"+plugin)
			user.wantsWorking(plugin, "ha/"+plugin)
		}
	})
	t.Run("completion", func(t *testing.T) { // of what is installed by now
		user := user.in(t)
		for _, plugin := range plugins() {
			user.run("cp", filepath.Join(user.krew, "store", plugin, release.Tag, completion(plugin)), filepath.Join(user.krew, "bin"))
			if out := user.run("kubectl", "__complete", plugin, "--vers"); !strings.Contains(out, "--version\tprint the version") {
				t.Errorf("kubectl completes %s --vers to %q", plugin, out)
			}
		}
		file := filepath.Join(t.TempDir(), "cluster.yaml")
		if err := os.WriteFile(file, []byte(clusterFile), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := user.run("kubectl", "__complete", "ha-eject", "-f", file, "c"); !strings.Contains(out, "\ncp1\t10.10.0.2\n:4\n") {
			t.Errorf("kubectl completes a controller to %q", out)
		}
		if out := user.run("kubectl", "plugin", "list"); strings.Contains(out, "_complete") {
			t.Errorf("kubectl takes what completes for plugins: %s", out)
		}
	})
}

const clusterFile = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - {role: controller, hostname: cp1, ssh: {address: 10.10.0.2}}
`

// plugins are the names that follow kubectl.
func plugins() []string { return []string{"ha-init", "ha-join", "ha-eject", "etcd-members"} }

// executable is the file of a plugin, without the ending that Windows wants.
func executable(plugin string) string { return "kubectl-" + strings.ReplaceAll(plugin, "-", "_") }

// archive is the file that krew/*.yaml names for this platform.
func archive(plugin string) string {
	return fmt.Sprintf("kubectl-%s_%s_%s.tar.gz", plugin, runtime.GOOS, runtime.GOARCH)
}

// manifestFile writes the manifest of a plugin to a file.
func manifestFile(t *testing.T, release Release, plugin string) string {
	t.Helper()
	text, err := release.Manifest(filepath.Join(root, "krew", plugin+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), plugin+".yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// user is somebody who has kubectl and krew, and nothing else.
type user struct {
	t    *testing.T
	krew string // krew's folder
	env  []string
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{t: t, krew: t.TempDir()}
	bin, empty := t.TempDir(), filepath.Join(t.TempDir(), "index")
	build := func(dir string, args ...string) {
		t.Helper()
		command := exec.Command("go", args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+bin)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	build(root, "install", "-trimpath", krewModule)
	build(root, "install", "-trimpath", checkModule)
	build("kubectl", "install", "-trimpath", ".")
	if err := os.Rename(filepath.Join(bin, "krew"), filepath.Join(bin, "kubectl-krew")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(empty, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(empty, "plugins", ".keep"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, empty)
	u.env = []string{
		"HOME=" + t.TempDir(),
		"KREW_ROOT=" + u.krew,
		"KREW_DEFAULT_INDEX_URI=" + empty, // krew's own is on the internet
		"KREW_NO_UPGRADE_CHECK=1",
		"PATH=" + strings.Join([]string{filepath.Join(u.krew, "bin"), bin, "/usr/bin", "/bin"}, ":"),
	}
	return u
}

// in is the same user in a part of a test.
func (u *user) in(t *testing.T) *user { return &user{t: t, krew: u.krew, env: u.env} }

// on is the same user with a krew that takes this for another platform, and has a folder of its own.
func (u *user) on(t *testing.T, goos, goarch string) *user {
	krew := t.TempDir()
	other := []string{"KREW_ROOT=" + krew, "KREW_OS=" + goos, "KREW_ARCH=" + goarch}
	return &user{t: t, krew: krew, env: slices.Insert(slices.Clone(u.env), len(u.env)-1, other...)}
}

// run runs a program, which has to succeed, and returns what it prints.
func (u *user) run(name string, args ...string) string {
	u.t.Helper()
	out, err := u.command(name, args...).CombinedOutput()
	if err != nil {
		u.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// command is looked for where the user would find it.
func (u *user) command(name string, args ...string) *exec.Cmd {
	u.t.Helper()
	list := u.env[len(u.env)-1]
	for _, folder := range filepath.SplitList(strings.TrimPrefix(list, "PATH=")) {
		if path := filepath.Join(folder, name); isFile(path) {
			command := exec.Command(path, args...)
			command.Env = u.env
			return command
		}
	}
	u.t.Fatalf("%s is not on the user's %s", name, list)
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// wantsWorking wants an installed plugin to be listed, to run, and to have brought its licence.
func (u *user) wantsWorking(plugin, listed string) {
	u.t.Helper()
	if out := u.run("kubectl", "krew", "list"); !slices.Contains(strings.Fields(out), listed) {
		u.t.Errorf("krew list does not name %s: %s", listed, out)
	}
	out := u.run("kubectl", plugin, "--version")
	lines := []string{"Client Version: ", "Platform: " + runtime.GOOS + "/" + runtime.GOARCH}
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
		lines = append(lines, "Git Commit: ", "Commit Date: ")
	}
	for _, line := range lines {
		if !strings.Contains(out, line) {
			u.t.Errorf("kubectl %s --version prints %q, without %s", plugin, out, line)
		}
	}
	if out := u.run("kubectl", plugin, "--help"); !strings.Contains(out, "kubectl "+plugin) {
		u.t.Errorf("kubectl %s --help prints %q", plugin, out)
	}
	if out := u.run("kubectl", "plugin", "list"); !strings.Contains(out, executable(plugin)) || strings.Contains(out, "warning") {
		u.t.Errorf("kubectl plugin list prints %q", out)
	}
	installed := filepath.Join(u.krew, "store", plugin, "v0.0.1")
	for _, name := range []string{"LICENSE", completion(plugin)} {
		if !isFile(filepath.Join(installed, name)) {
			u.t.Errorf("%s was not installed with %s", name, plugin)
		}
	}
}

// wantsInstalled wants these files of a plugin and no others, and a program of the platform where kubectl finds it.
func (u *user) wantsInstalled(plugin, goos, goarch string, files []string) {
	u.t.Helper()
	entries, err := os.ReadDir(filepath.Join(u.krew, "store", plugin, "v0.0.1"))
	if err != nil {
		u.t.Fatal(err)
	}
	var installed []string
	for _, entry := range entries {
		installed = append(installed, entry.Name())
	}
	slices.Sort(files)
	if !slices.Equal(installed, files) {
		u.t.Errorf("%s was installed as %q, want %q", plugin, installed, files)
	}
	program := filepath.Join(u.krew, "bin", executable(plugin))
	if goos == "windows" {
		program += ".exe"
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, want := range []debug.BuildSetting{{Key: "GOOS", Value: goos}, {Key: "GOARCH", Value: goarch}} {
		if !slices.Contains(info.Settings, want) {
			u.t.Errorf("%s is not for %s %s", program, want.Key, want.Value)
		}
	}
}

func (u *user) wantsGone(plugin string) {
	u.t.Helper()
	if path := filepath.Join(u.krew, "bin", executable(plugin)); isFile(path) {
		u.t.Errorf("%s is still there", path)
	}
}

// completion is the file that kubectl asks to complete a plugin's arguments.
func completion(plugin string) string {
	return "kubectl_complete-" + strings.ReplaceAll(plugin, "-", "_")
}

// commit makes a git repository of a folder.
func commit(t *testing.T, folder string) {
	t.Helper()
	for _, args := range [][]string{
		{"init", "-q"}, {"add", "."},
		{"-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-q", "-m", "Add plugins"},
	} {
		command := exec.Command("git", args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}
