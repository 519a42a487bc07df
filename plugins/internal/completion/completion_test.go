package completion

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestMatching(t *testing.T) {
	candidates := []candidate{{"cp2", "10.10.1.2"}, {"cp1", ""}, {"cp2", "again"}, {"db1", ""}, {"", "no name"}}
	for name, c := range map[string]struct {
		args  []string
		begun string
		want  []string
	}{
		"all":               {nil, "", []string{"cp1", "cp2\t10.10.1.2", "db1"}},
		"what is begun":     {nil, "cp", []string{"cp1", "cp2\t10.10.1.2"}},
		"what is not there": {nil, "x", nil},
		"what is typed":     {[]string{"cp1"}, "", []string{"cp2\t10.10.1.2", "db1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := matching(candidates, c.args, c.begun); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

const clusterFile = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {role: controller, hostname: cp1, ssh: {address: 10.10.0.2}}
    - {role: controller+worker, ssh: {address: 10.10.1.2}}
    - {role: worker, hostname: w1, ssh: {address: 10.10.2.2}}
`

const kubeconfig = `apiVersion: v1
kind: Config
current-context: here
contexts:
  - {name: here, context: {cluster: this, user: anna}}
  - {name: there, context: {cluster: that, user: anna}}
clusters:
  - {name: this, cluster: {server: "SERVER"}}
  - {name: that, cluster: {server: "http://127.0.0.1:1"}}
users:
  - {name: anna}
`

const etcdMemberObjects = `{"kind":"EtcdMemberList","apiVersion":"etcd.k0sproject.io/v1beta1","metadata":{},"items":[
  {"metadata":{"name":"cp3"},"status":{"peerAddress":"10.10.3.2"}}, {"metadata":{"name":"cp4"}}]}`

const controlNodeObjects = `{"kind":"ControlNodeList","apiVersion":"autopilot.k0sproject.io/v1beta2","metadata":{},"items":[
  {"metadata":{"name":"cp5"},"status":{"addresses":[{"type":"Hostname","address":"cp5"},{"type":"InternalIP","address":"10.10.5.2"}]}},
  {"metadata":{"name":"cp3"},"status":{"addresses":[{"type":"InternalIP","address":"10.10.3.2"}]}}, {"metadata":{"name":"cp0"}}]}`

// serve answers with objects, by the path of their list.
func serve(t *testing.T, lists map[string]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, ok := lists[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(list))
	}))
	t.Cleanup(server.Close)
	return server
}

func TestWhatTheShellIsTold(t *testing.T) {
	server := serve(t, map[string]string{
		"/apis/etcd.k0sproject.io/v1beta1/etcdmembers":       etcdMemberObjects,
		"/apis/autopilot.k0sproject.io/v1beta2/controlnodes": controlNodeObjects,
	})
	dir := t.TempDir()
	file, mine, broken := filepath.Join(dir, "cluster.yaml"), filepath.Join(dir, "config"), filepath.Join(dir, "broken.yaml")
	put(t, file, clusterFile)
	put(t, mine, strings.ReplaceAll(kubeconfig, "SERVER", server.URL))
	put(t, broken, "kind: [")
	t.Setenv("KUBECONFIG", mine)
	const nothing = ""
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a controller, by the kubeconfig":  {[]string{"eject", ""}, "cp0 cp3\t10.10.3.2 cp4 cp5\t10.10.5.2"},
		"a controller, by the file":        {[]string{"eject", "-f", file, ""}, "10.10.1.2\tcontroller+worker cp1\t10.10.0.2"},
		"a controller, by both":            {[]string{"eject", "-f", file, "--context", "here", "cp"}, "cp0 cp1\t10.10.0.2 cp3\t10.10.3.2 cp4 cp5\t10.10.5.2"},
		"a second controller":              {[]string{"eject", "cp3", ""}, nothing},
		"a member, by the kubeconfig":      {[]string{"remove", ""}, "cp3\t10.10.3.2 cp4"},
		"a member, by the file's names":    {[]string{"remove", "-f", file, ""}, "cp1\t10.10.0.2"},
		"hosts of the file":                {[]string{"join", "-f", file, "cp1", ""}, "10.10.1.2\tcontroller+worker"},
		"hosts of no file":                 {[]string{"join", ""}, nothing},
		"a file that cannot be read":       {[]string{"join", "-f", broken, ""}, nothing},
		"a cluster that does not answer":   {[]string{"eject", "--context", "there", ""}, nothing},
		"a context that there is not":      {[]string{"eject", "--context", "nowhere", ""}, nothing},
		"a kubeconfig that there is not":   {[]string{"eject", "--kubeconfig", file + "x", ""}, nothing},
		"a context":                        {[]string{"eject", "--context", ""}, "here there"},
		"a context of another kubeconfig":  {[]string{"eject", "--kubeconfig", file, "--context", ""}, nothing},
		"a cluster of the kubeconfig":      {[]string{"eject", "--cluster", "tha"}, "that"},
		"a user of the kubeconfig":         {[]string{"eject", "--user", ""}, "anna"},
		"a word of a flag":                 {[]string{"eject", "--dry-run", ""}, "client none"},
		"a word of a flag, after its sign": {[]string{"eject", "--dry-run=c"}, "client"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := completed(t, t.Context(), c.args)
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", strings.Join(got, " "), c.want)
			}
		})
	}
	t.Run("a file of YAML", func(t *testing.T) {
		got, directive := completed(t, t.Context(), []string{"eject", "-f", ""})
		if strings.Join(got, " ") != "yaml yml" || directive != ":8" { // ShellCompDirectiveFilterFileExt
			t.Errorf("got %q %s, want the endings of YAML files", got, directive)
		}
	})
}

func TestAControllerOfAClusterWithoutEtcdMembers(t *testing.T) {
	server := serve(t, map[string]string{"/apis/autopilot.k0sproject.io/v1beta2/controlnodes": controlNodeObjects})
	mine := filepath.Join(t.TempDir(), "config")
	put(t, mine, strings.ReplaceAll(kubeconfig, "SERVER", server.URL))
	t.Setenv("KUBECONFIG", mine)
	if got, _ := completed(t, t.Context(), []string{"eject", ""}); strings.Join(got, " ") != "cp0 cp3\t10.10.3.2 cp5\t10.10.5.2" {
		t.Errorf("got %q", got)
	}
}

func TestACompletionEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(api.Close)
	mine := filepath.Join(t.TempDir(), "config")
	put(t, mine, strings.ReplaceAll(kubeconfig, "SERVER", api.URL))
	t.Setenv("KUBECONFIG", mine)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	if got, _ := completed(t, ctx, []string{"eject", ""}); len(got) != 0 {
		t.Errorf("got %q from an API that does not answer", got)
	}
}

// completed asks a command with three commands below it what may follow, as kubectl does, and returns the words and
// cobra's directive.
func completed(t *testing.T, ctx context.Context, args []string) (words []string, directive string) { //nolint:revive // t comes first in tests
	t.Helper()
	command := &cobra.Command{Use: "plugin"}
	for _, child := range []*cobra.Command{
		Controller(&cobra.Command{Use: "eject"}), Member(&cobra.Command{Use: "remove"}), Hosts(&cobra.Command{Use: "join"}),
	} {
		child.Run = func(*cobra.Command, []string) { t.Error("the command ran") }
		child.Flags().StringP("filename", "f", "", "")
		for _, name := range []string{"kubeconfig", "context", "cluster", "user", "dry-run"} {
			child.Flags().String(name, "", "")
		}
		command.AddCommand(child)
	}
	Flags(command)
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&bytes.Buffer{})
	command.SetArgs(append([]string{cobra.ShellCompRequestCmd}, args...))
	if err := command.ExecuteContext(ctx); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[:len(lines)-1], lines[len(lines)-1]
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
