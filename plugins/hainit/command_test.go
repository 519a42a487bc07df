package hainit

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

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// clusterFile is a file of one controller and a load balancer.
const clusterFile = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {role: controller, ssh: {address: 10.10.0.2, user: root}}
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

func TestWrongCallsAreAMatterOfUsage(t *testing.T) {
	dir := t.TempDir()
	good, withoutBalancer := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "cfctl.yaml")
	put(t, good, clusterFile)
	document, _, _ := strings.Cut(clusterFile, "---")
	put(t, withoutBalancer, document)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no file":             {nil, cli.ExitUsage, "no cluster file: name it with -f FILE"},
		"an argument":         {[]string{good}, cli.ExitUsage, "unexpected argument"},
		"no such file":        {[]string{"-f", dir + "/none"}, cli.ExitError, "no such file"},
		"no load balancer":    {[]string{"-f", withoutBalancer}, cli.ExitError, "name its host with --lb [USER@]HOST"},
		"a bad load balancer": {[]string{"-f", withoutBalancer, "--lb", "root@:22"}, cli.ExitUsage, "root@:22"},
		"two of them":         {[]string{"-f", good, "--lb", "root@10.10.4.11"}, cli.ExitError, "remove one of the two"},
		"an odd dry run":      {[]string{"-f", good, "--dry-run", "server"}, cli.ExitUsage, "--dry-run=server: want none or client"},
		"no hosts at once":    {[]string{"-f", good, "--parallel", "0"}, cli.ExitUsage, "--parallel=0: want 1 or more"},
		"no time":             {[]string{"-f", good, "--timeout", "0s"}, cli.ExitUsage, "--timeout=0s: want a positive duration"},
		"a kubeconfig":        {[]string{"-f", good, "--kubeconfig", "x"}, cli.ExitUsage, "--merge-kubeconfig, which is not given"},
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

func TestValidateNamesEveryFlag(t *testing.T) {
	o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
	if err := o.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	o.DryRun, o.Parallel, o.Timeout, o.Kubeconfig = "yes", -1, -time.Second, "x"
	o.LoadBalancers = []string{"good", "not good", "@lb"}
	err := o.Validate()
	for _, want := range []string{`--lb: load balancer "not good"`, `--lb: load balancer "@lb"`, "--dry-run=yes", "--parallel=-1", "--timeout=-1s", "--kubeconfig"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
	o = newOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.Kubeconfig, o.MergeKubeconfig, o.DryRun = "x", true, "client"
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTheLoadBalancerMayBeNamedByAFlag(t *testing.T) {
	document, _, _ := strings.Cut(clusterFile, "---")
	file := filepath.Join(t.TempDir(), "cfctl.yaml")
	put(t, file, document)
	o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.File, o.LoadBalancers = file, []string{"admin@10.10.4.10:2222"}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if got := o.Cluster.LoadBalancer.Hosts[0].Conn.String(); got != "admin@10.10.4.10:2222" || o.Cluster.LoadBalancer.Address != "10.10.4.10" {
		t.Errorf("got %s, %s", got, o.Cluster.LoadBalancer.Address)
	}
}

// The runbook in its order, for people to read.
func TestRunbook(t *testing.T) {
	var titles strings.Builder
	for i, s := range steps(new(controlplane.Cluster)) {
		fmt.Fprintf(&titles, "%2d. %s\n", i+1, s.Title)
	}
	golden.Compare(t, "runbook", titles.String())
}

func TestSummary(t *testing.T) {
	o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.File = filepath.Join(t.TempDir(), "cluster.yaml")
	put(t, o.File, clusterFile)
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	done := step.Result{Changed: 2, Skipped: 14, Elapsed: time.Minute, Took: []step.Took{
		{Title: "Join the other controllers", Elapsed: 58 * time.Second}, {Title: "Write the kubeconfig", Elapsed: 300 * time.Millisecond},
	}}
	told := done
	told.Took = nil
	var all strings.Builder
	for _, c := range []struct {
		title  string
		result step.Result
		change func(o *Options)
	}{
		{"nothing to do", step.Result{Skipped: 16}, func(*Options) {}},
		{"a kubeconfig of its own", done, func(*Options) {}},
		{"no kubeconfig", done, func(o *Options) { o.WriteKubeconfig = "" }},
		{"the user's kubeconfig", done, func(o *Options) { o.MergeKubeconfig = true }},
		{"a kubeconfig of the user's", done, func(o *Options) { o.MergeKubeconfig, o.Kubeconfig = true, "mine" }},
		{"times that a program was told", told, func(*Options) {}},
	} {
		changed := *o
		c.change(&changed)
		all.WriteString("# " + c.title + "\n")
		summary(&all, controlplane.New(changed.Cluster, changed.Settings), c.result)
	}
	golden.Compare(t, "summary", all.String())
}
