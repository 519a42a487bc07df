package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// run runs a command line and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errOut bytes.Buffer
	root := New(strings.NewReader(""), &out, &errOut)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestVersion(t *testing.T) {
	if out, err := run(t, "version"); err != nil || out != vars.Version+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, err := run(t, "version", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var v versions
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.K0s != vars.Version || v.Etcd == "" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestInstallFlagsBecomeServiceArguments(t *testing.T) {
	root := New(nil, nil, nil)
	install, _, err := root.Find([]string{"install", "controller"})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	err = install.ParseFlags([]string{
		"-c", "k0s.yaml", "--enable-worker", "--no-taints", "--force", "--start", "-e", "A=b", "--debug",
		"--labels=a=b", "--disable-components", "coredns,helm", "--data-dir=data", "--token-file=/tmp/token",
		"--profile=lab", "--ignore-pre-flight-checks", "--kubelet-root-dir=/k", "--kubelet-extra-args=--node-ip=10.0.0.1",
		"--taints=x=y:NoSchedule",
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := unitArgs(install.Flags())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"--config=" + dir + "/k0s.yaml", "--data-dir=" + dir + "/data", "--debug=true", "--disable-components=coredns,helm",
		"--enable-worker=true", "--ignore-pre-flight-checks=true", "--kubelet-extra-args=--node-ip=10.0.0.1",
		"--kubelet-root-dir=/k", "--labels=a=b", "--no-taints=true", "--profile=lab", "--taints=x=y:NoSchedule",
		"--token-file=/tmp/token",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// The service must understand what install has written.
	controller, _, err := root.Find([]string{"controller"})
	if err != nil {
		t.Fatal(err)
	}
	if err := controller.ParseFlags(got); err != nil {
		t.Fatal(err)
	}
	options := workerOptions(controller, nil)
	if options.Labels["a"] != "b" || options.Taints[0] != "x=y:NoSchedule" {
		t.Errorf("options = %+v", options)
	}
}

func TestEnvironment(t *testing.T) {
	lookup := func(name string) string { return "value of " + name }
	got, err := resolveEnvironment([]string{"A=1", "B", "C="}, lookup)
	if err != nil || !slices.Equal(got, []string{"A=1", "B=value of B", "C="}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := resolveEnvironment([]string{"A=\x00"}, lookup); err == nil {
		t.Error("a NUL byte is accepted")
	}
}

func TestTokenSource(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, argument, variable, want, problem string }{
		"none":     {},
		"file":     {file: file, want: "from the file\n"},
		"argument": {argument: "given", want: "given"},
		"variable": {variable: "from the environment", want: "from the environment"},
		"no file":  {file: filepath.Join(dir, "none"), problem: "not found: obtain a new token"},
		"empty":    {file: empty, problem: "is empty: obtain a new token"},
		"two":      {file: file, argument: "given", problem: "only pass one token source"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tokenVariable, test.variable)
			cmd, _, err := New(nil, nil, nil).Find([]string{"controller"})
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.ParseFlags([]string{"--token-file", test.file}); err != nil {
				t.Fatal(err)
			}
			var args []string
			if test.argument != "" {
				args = append(args, test.argument)
			}
			got := ""
			if err = oneTokenSource(cmd, args); err == nil {
				got, err = tokenSource(cmd, args)()
			}
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("err = %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestConfigCommands(t *testing.T) {
	out, err := run(t, "config", "create")
	if err != nil || !strings.Contains(out, "k0sApiPort: 9443") || !strings.Contains(out, "type: etcd") {
		t.Errorf("%s, %v", out, err)
	}
	file := filepath.Join(t.TempDir(), "k0s.yaml")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "config", "validate", "-c", file); err != nil {
		t.Errorf("what config create prints is not valid: %v", err)
	}
	if err := os.WriteFile(file, []byte("spec: {api: {address: 0.0.0.0}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "config", "validate", "-c", file); err == nil {
		t.Error("a bad config is valid")
	}
}

func TestStatusWithoutK0s(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	_, err := run(t, "status", "--status-socket", socket)
	if err == nil || !strings.Contains(err.Error(), `status: can't get "status" via`) {
		t.Errorf("err = %v", err)
	}
}

func TestUnknownRole(t *testing.T) {
	_, err := run(t, "token", "create", "--role", "king")
	if err == nil || !strings.Contains(err.Error(), `unsupported role "king"`) {
		t.Errorf("err = %v", err)
	}
}

func TestRemoveTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, "pki", "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is gone already is no error
		if err := removeTree(dir); err != nil {
			t.Fatal(err)
		}
	}
}
