package hajoin

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// clusterFile is a file of three controllers, a worker and a load balancer.
const clusterFile = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - role: controller # the first
      ssh: {address: 10.10.0.2, user: admin, keyPath: id}
      hooks: {apply: {before: ["true"]}}
    - role: controller
      ssh: {address: 10.10.1.2, user: admin, keyPath: id}
    - role: controller
      ssh: {address: 10.10.2.2, user: admin, keyPath: id}
    - role: worker
      ssh: {address: 10.10.20.2}
  k0s:
    version: v1.36.3+k0s.2
---
apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
metadata: {name: control-plane}
spec:
  hosts:
    - ssh: {address: 10.10.4.10, user: root}
`

// write writes a cluster file into a folder of its own.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func complete(t *testing.T, file string, targets ...string) *Options {
	t.Helper()
	o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.File, o.Targets = file, targets
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestHelp(t *testing.T) {
	command := New(genericiooptions.NewTestIOStreamsDiscard())
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetArgs([]string{"--help"})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "help", out.String())
}

func TestWrongCalls(t *testing.T) {
	good := write(t, clusterFile)
	brackets := write(t, strings.Replace(clusterFile, "  hosts:\n    - role", "  hosts: [{role: controller, ssh: {address: 10.10.9.9}}]\n  x:\n    - role", 1))
	document, _, _ := strings.Cut(clusterFile, "---")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody":              {nil, cli.ExitUsage, "nobody to join: name the hosts as [USER@]HOST, or the cluster file with -f FILE"},
		"no cluster":          {[]string{"10.10.5.2", "--kubeconfig", good + "x"}, cli.ExitError, "reading the kubeconfig: "},
		"an executable twice": {[]string{"-f", good, "10.10.5.2", "--k0s-binary", "k0s"}, cli.ExitUsage, "write k0sBinaryPath into the file"},
		"an odd port":         {[]string{"10.10.5.2", "--ssh-port", "99999"}, cli.ExitUsage, "--ssh-port=99999: want a port number"},
		"no such file":        {[]string{"-f", good + "x"}, cli.ExitError, "no such file"},
		"no host":             {[]string{"-f", good, "a b"}, cli.ExitUsage, `host "a b"`},
		"an odd role":         {[]string{"-f", good, "--role", "worker", "10.10.5.2"}, cli.ExitUsage, "--role=worker: want controller or controller+worker"},
		"a role for nobody":   {[]string{"-f", good, "--role", "controller"}, cli.ExitUsage, "there are none"},
		"a worker":            {[]string{"-f", good, "10.10.20.2"}, cli.ExitError, "10.10.20.2 is a worker in "},
		"the load balancer":   {[]string{"-f", good, "10.10.4.10"}, cli.ExitError, "is a controller too"},
		"no load balancer":    {[]string{"-f", write(t, document), "10.10.5.2"}, cli.ExitError, "name its host with --lb [USER@]HOST"},
		"a file that is lost": {[]string{"-f", brackets, "10.10.5.2"}, cli.ExitError, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			command := New(genericiooptions.NewTestIOStreamsDiscard())
			command.SetArgs(c.args)
			command.SetOut(&bytes.Buffer{})
			command.SetErr(&bytes.Buffer{})
			command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &cli.UsageError{Err: err} })
			err := command.Execute()
			if err == nil || cli.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %d, %v; want %d, %s", cli.ExitCode(err), err, c.code, c.says)
			}
		})
	}
}

func TestHostsAreTakenFromTheFileOrAddedToIt(t *testing.T) {
	file := write(t, clusterFile)
	o := complete(t, file)
	if len(o.growth.Wanted) != 0 || len(o.Cluster.Cluster.Hosts) != 3 {
		t.Errorf("without arguments: %+v, %d hosts", o.growth, len(o.Cluster.Cluster.Hosts))
	}

	o = complete(t, file, "root@10.10.1.2", "10.10.5.2", "root@10.10.6.2:2222", "10.10.5.2")
	var wanted, unwritten []string
	for _, h := range o.growth.Wanted {
		wanted = append(wanted, h.Conn.String())
	}
	for _, h := range o.growth.Unwritten {
		unwritten = append(unwritten, h.Conn.String())
	}
	if got := strings.Join(wanted, " "); got != "admin@10.10.1.2:22 admin@10.10.5.2:22 root@10.10.6.2:2222 admin@10.10.5.2:22" {
		t.Errorf("wanted: %s", got)
	}
	if got := strings.Join(unwritten, " "); got != "admin@10.10.5.2:22 root@10.10.6.2:2222 admin@10.10.5.2:22" {
		t.Errorf("not in the file: %s", got)
	}
	if len(o.Cluster.Cluster.Hosts) != 5 || o.Cluster.Cluster.Hosts[3] != o.growth.Wanted[1] {
		t.Errorf("%d hosts", len(o.Cluster.Cluster.Hosts))
	}
	if got := strings.Join(o.Cluster.Warnings, "\n"); !strings.Contains(got, "10.10.5.2 gets no hooks, which the other controllers have") {
		t.Errorf("warnings: %s", got)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != clusterFile {
		t.Errorf("the file was changed already: %v\n%s", err, data)
	}
}

// The runbook in its order, for people to read.
func TestRunbook(t *testing.T) {
	var titles strings.Builder
	for i, s := range steps(new(controlplane.Cluster), controlplane.Entries{}) {
		fmt.Fprintf(&titles, "%2d. %s\n", i+1, s.Title)
	}
	golden.Compare(t, "runbook", titles.String())
}

func TestSummary(t *testing.T) {
	o := complete(t, write(t, clusterFile))
	o.File = "cluster.yaml"
	for name, c := range map[string]struct {
		result step.Result
		want   string
	}{
		"nothing": {step.Result{Skipped: 9}, "Nobody is left to join: the control plane at 10.10.4.10 has 3 controllers. Nothing was changed.\n"},
		"the end of a run that was cut off": {step.Result{Changed: 1, Skipped: 8, Elapsed: 12 * time.Second, Took: []step.Took{{Title: "Join", Elapsed: 9 * time.Second}}},
			"The control plane at 10.10.4.10 has 3 controllers, 1 step run in 12.0s, 8 not needed.\n    9.0s  Join\n" +
				"Next: kubectl etcd-members -f cluster.yaml shows how they are.\n"},
	} {
		var out bytes.Buffer
		o.summary(&out, controlplane.New(o.Cluster, o.Settings), c.result)
		if out.String() != c.want {
			t.Errorf("%s: got %s", name, out.String())
		}
	}
}
