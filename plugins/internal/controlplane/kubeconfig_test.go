package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// adminKubeconfig is what `k0s kubeconfig admin` prints.
func adminKubeconfig(t *testing.T, server, ca string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: []byte(ca)}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: []byte("CERT"), ClientKeyData: []byte("KEY")}
	config.Contexts["Default"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: "user"}
	config.CurrentContext = "Default"
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// runningWorld has a control plane whose kubeconfig can be asked for.
func runningWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, guideFile)
	w.controlPlane("10.10.0.2")
	status := w.hosts["10.10.0.2"].answer
	w.hosts["10.10.0.2"].answer = func(command string) (string, error) {
		if strings.HasSuffix(command, " kubeconfig admin") {
			return adminKubeconfig(t, "https://10.10.4.10:6443", testCA), nil
		}
		return status(command)
	}
	return w
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string) *clientcmdapi.Config {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

const otherKubeconfig = `apiVersion: v1
kind: Config
preferences: {}
clusters:
- cluster: {server: "https://other.example:6443", certificate-authority: relative/ca.crt}
  name: other
contexts:
- context: {cluster: other, user: me, namespace: mine}
  name: other
current-context: other
users:
- name: me
  user: {token: abc}
`

func TestTheKubeconfigIsWrittenForItsOwnerAlone(t *testing.T) {
	w := runningWorld(t)
	c := w.survey()
	path := w.o.WriteKubeconfig
	expectProblems(t, c.checkKubeconfig())
	if reason, err := c.skipKubeconfig(t.Context()); err != nil || reason != "" {
		t.Errorf("got %q, %v", reason, err)
	}
	if err := c.writeKubeconfig(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	config := load(t, path)
	if config.CurrentContext != "prod" || config.Clusters["prod"].Server != "https://10.10.4.10:6443" || len(config.AuthInfos) != 1 {
		t.Errorf("got %+v", config)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}

	// Again: nothing to do.
	expectProblems(t, c.checkKubeconfig())
	if reason, err := c.skipKubeconfig(t.Context()); err != nil || reason != path+" leads to the cluster" {
		t.Errorf("got %q, %v", reason, err)
	}
	// A cluster set up anew at the same address.
	put(t, path, strings.Replace(string(readFile(t, path)), "certificate-authority-data: ", "certificate-authority-data: AAAA", 1))
	if reason, err := c.skipKubeconfig(t.Context()); err != nil || reason != "" {
		t.Errorf("got %q, %v", reason, err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestMergingKeepsWhatIsTheUsers(t *testing.T) {
	w := runningWorld(t)
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "config")
	put(t, real, otherKubeconfig)
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	w.o.MergeKubeconfig, w.o.Kubeconfig = true, link
	c := w.survey()
	expectProblems(t, c.checkKubeconfig())
	if err := c.writeKubeconfig(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the symbolic link is gone: %v, %v", info, err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	config := load(t, real)
	if config.CurrentContext != "other" || config.Contexts["other"].Namespace != "mine" || config.AuthInfos["me"].Token != "abc" ||
		config.Clusters["other"].CertificateAuthority != "relative/ca.crt" {
		t.Errorf("the user's own: %+v", config)
	}
	if config.Contexts["prod"].AuthInfo != "prod-admin" || string(config.AuthInfos["prod-admin"].ClientKeyData) != "KEY" {
		t.Errorf("the cluster's: %+v", config.Contexts["prod"])
	}
}

func TestMergingMakesTheFirstKubeconfigOfAUser(t *testing.T) {
	w := runningWorld(t)
	w.o.MergeKubeconfig, w.o.Kubeconfig = true, filepath.Join(t.TempDir(), ".kube", "config")
	c := w.survey()
	expectProblems(t, c.checkKubeconfig())
	if err := c.writeKubeconfig(t.Context()); err != nil {
		t.Fatal(err)
	}
	if config := load(t, w.o.Kubeconfig); config.CurrentContext != "prod" {
		t.Errorf("got %+v", config)
	}
}

func TestCheckKubeconfig(t *testing.T) {
	mine := strings.NewReplacer("name: other", "name: prod", "https://other.example:6443", "https://10.10.4.10:6443")
	for name, c := range map[string]struct {
		text   string
		change func(o *Settings)
		want   []string
	}{
		"none there":                 {"", func(*Settings) {}, nil},
		"not wanted":                 {otherKubeconfig, func(o *Settings) { o.WriteKubeconfig = "" }, nil},
		"the cluster's":              {mine.Replace(otherKubeconfig), func(*Settings) {}, nil},
		"the cluster's, by its name": {strings.ReplaceAll(mine.Replace(otherKubeconfig), "10.10.4.10", "[::ffff:10.10.4.10]"), func(*Settings) {}, nil},
		"another cluster's":          {otherKubeconfig, func(*Settings) {}, []string{"is the kubeconfig of something else: name another file"}},
		"merged with another's":      {otherKubeconfig, func(o *Settings) { o.MergeKubeconfig, o.Kubeconfig = true, o.WriteKubeconfig }, nil},
		"its name is taken": {
			strings.ReplaceAll(otherKubeconfig, "name: other", "name: prod"), func(o *Settings) { o.MergeKubeconfig, o.Kubeconfig = true, o.WriteKubeconfig },
			[]string{`its cluster "prod" is at https://other.example:6443, not at https://10.10.4.10:6443`},
		},
		"not a kubeconfig": {"{", func(*Settings) {}, []string{"reading "}},
		"no such directory": {
			"", func(o *Settings) { o.WriteKubeconfig = filepath.Join(o.WriteKubeconfig, "none", "kubeconfig") },
			[]string{"there is no such directory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			if c.text != "" {
				put(t, w.o.WriteKubeconfig, c.text)
			}
			c.change(w.o)
			expectProblems(t, w.survey().checkKubeconfig(), c.want...)
		})
	}
}
