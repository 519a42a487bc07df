package haeject

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

	"github.com/kubectl-ha/kubectl-ha/pkg/node"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// clusterFile is a file of two controllers and a load balancer.
const clusterFile = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {role: controller, ssh: {address: 10.10.0.2, user: root}}
    - {role: controller, ssh: {address: 10.10.1.2, user: root}}
    - {role: worker, ssh: {address: 10.10.20.2, user: root}}
---
apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
metadata: {name: control-plane}
spec:
  hosts:
    - ssh: {address: 10.10.4.10, user: root}
`

func put(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, []byte(clusterFile), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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

// The runbook in its order, for people to read.
func TestRunbook(t *testing.T) {
	c := new(controlplane.Cluster)
	for name, list := range map[string][]step.Step{
		"runbook":              steps(c),
		"runbook-replace":      replacement(c, controlplane.Entries{}, false),
		"runbook-replace-dead": replacement(c, controlplane.Entries{}, true),
	} {
		var titles strings.Builder
		for i, s := range list {
			fmt.Fprintf(&titles, "%2d. %s\n", i+1, s.Title)
		}
		golden.Compare(t, name, titles.String())
	}
}

func TestWrongCallsAreAMatterOfUsage(t *testing.T) {
	good := put(t)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody":                {[]string{"-f", good}, cli.ExitUsage, "no controller: name it"},
		"two":                   {[]string{"cp1", "cp2", "-f", good}, cli.ExitUsage, "controllers leave one at a time"},
		"an empty name":         {[]string{"", "-f", good}, cli.ExitUsage, "name is empty"},
		"no cluster":            {[]string{"cp1", "--kubeconfig", good + "x"}, cli.ExitError, "reading the kubeconfig: "},
		"no such file":          {[]string{"cp1", "-f", "none"}, cli.ExitError, "no such file"},
		"two wishes":            {[]string{"cp1", "-f", good, "--snapshot", "x", "--skip-snapshot"}, cli.ExitUsage, "give one of the two"},
		"an odd dry run":        {[]string{"cp1", "-f", good, "--dry-run", "server"}, cli.ExitUsage, "--dry-run=server: want none or client"},
		"an odd replacement":    {[]string{"cp1", "-f", good, "--replace-with", "a b"}, cli.ExitUsage, `host "a b"`},
		"a worker in its place": {[]string{"cp1", "-f", good, "--replace-with", "10.10.20.2"}, cli.ExitError, "10.10.20.2 is a worker in "},
		"an odd selector":       {[]string{"cp1", "-f", good, "--pod-selector", "a=b=c"}, cli.ExitUsage, "--pod-selector: "},
		"an odd period":         {[]string{"cp1", "-f", good, "--grace-period", "x"}, cli.ExitUsage, "grace-period"},
		"no time to drain":      {[]string{"cp1", "-f", good, "--timeout", "0"}, cli.ExitUsage, "--timeout=0s: want a positive duration"},
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

func TestComplete(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *Options)
		want   controlplane.Removal
	}{
		"as it comes": {func(*Options) {}, controlplane.Removal{
			Controller: "cp1", Drain: node.Options{GracePeriod: -1, IgnoreDaemonSets: true}, Snapshot: "etcd-prod-20260102T030405Z.db", EditFile: true,
		}},
		"force is of the drain, too": {func(o *Options) { o.Force, o.Snapshot = true, "mine.db" }, controlplane.Removal{
			Controller: "cp1", Drain: node.Options{GracePeriod: -1, IgnoreDaemonSets: true, Force: true}, Snapshot: "mine.db", Force: true, EditFile: true,
		}},
		"no snapshot": {func(o *Options) { o.SkipSnapshot = true }, controlplane.Removal{
			Controller: "cp1", Drain: node.Options{GracePeriod: -1, IgnoreDaemonSets: true}, EditFile: true,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
			o.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
			o.File, o.Controller = put(t), "cp1"
			c.change(o)
			if err := o.Validate(); err != nil {
				t.Fatal(err)
			}
			if err := o.Complete(); err != nil || o.Removal != c.want {
				t.Errorf("got %+v, %v", o.Removal, err)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	var out bytes.Buffer
	o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.File = "cluster.yaml"
	o.say(&out, []string{"cp3 is gone."}, step.Result{Changed: 1, Skipped: 11, Elapsed: 2 * time.Second, Took: []step.Took{
		{Title: "Stop k0s on the host", Elapsed: 1700 * time.Millisecond},
	}})
	want := "cp3 is gone.\n1 step run in 2.0s, 11 not needed.\n    1.7s  Stop k0s on the host\n" +
		"Next: kubectl etcd-members -f cluster.yaml shows how the others are.\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestTheReplacementHasAnEntry(t *testing.T) {
	for target, inFile := range map[string]bool{"10.10.1.2": true, "root@10.10.5.2": false} {
		o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
		o.File, o.Controller, o.ReplaceWith = put(t), "cp1", target
		if err := o.Complete(); err != nil {
			t.Fatal(err)
		}
		if o.Cluster.Cluster.Find(target) != o.ReplacedBy.Host() {
			t.Errorf("%s: %+v", target, o.ReplacedBy)
		}
		if reason, err := o.ReplacedBy.Entries.Add("Add it").Skip(t.Context()); err != nil || reason != "" != inFile {
			t.Errorf("%s: %q, %v", target, reason, err)
		}
	}
}
