package etcdmembers

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

func TestHelp(t *testing.T) {
	var all strings.Builder
	for _, args := range [][]string{{}, {"remove"}, {"promote"}, {"move-leader"}, {"snapshot"}, {"defrag"}, {"alarms"}, {"alarms", "disarm"}} {
		command := New(genericiooptions.NewTestIOStreamsDiscard())
		var out bytes.Buffer
		command.SetOut(&out)
		command.SetArgs(append(args, "--help"))
		if err := command.Execute(); err != nil {
			t.Fatal(err)
		}
		text, _, _ := strings.Cut(out.String(), "\nGlobal Flags:")
		all.WriteString("# " + strings.Join(append([]string{"etcd-members"}, args...), " ") + "\n" + text + "\n")
	}
	golden.Compare(t, "help", all.String())
}

func TestWrongCallsAreAMatterOfUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an unknown command":   {[]string{"everything"}, cli.ExitUsage, `unexpected argument "everything": see --help`},
		"an unknown output":    {[]string{"-o", "xml"}, cli.ExitUsage, "--output=xml: want one of table, wide, json, yaml, name"},
		"no time":              {[]string{"--timeout", "0s"}, cli.ExitUsage, "--timeout=0s: want a positive duration"},
		"no interval":          {[]string{"--interval", "-1s"}, cli.ExitUsage, "--interval=-1s: want a positive duration"},
		"no port":              {[]string{"--ssh-port", "99999"}, cli.ExitUsage, "--ssh-port=99999: want a port number"},
		"hosts and no SSH":     {[]string{"--ssh=false", "-f", "x"}, cli.ExitUsage, "give one of the two"},
		"an unknown flag":      {[]string{"--everything"}, cli.ExitUsage, "unknown flag"},
		"no such file":         {[]string{"-f", "none.yaml"}, cli.ExitError, "no such file"},
		"nobody to remove":     {[]string{"remove"}, cli.ExitUsage, "an argument is missing: name the member"},
		"two to remove":        {[]string{"remove", "a", "b"}, cli.ExitUsage, `unexpected argument "b"`},
		"nobody to promote":    {[]string{"promote"}, cli.ExitUsage, "an argument is missing"},
		"two leaders":          {[]string{"move-leader", "a", "b"}, cli.ExitUsage, `unexpected argument "b"`},
		"no file to write":     {[]string{"snapshot"}, cli.ExitUsage, "an argument is missing: name one file"},
		"one to defragment":    {[]string{"defrag", "a"}, cli.ExitUsage, `unexpected argument "a"`},
		"an unknown on alarms": {[]string{"alarms", "arm"}, cli.ExitUsage, `unexpected argument "arm"`},
		"one to disarm":        {[]string{"alarms", "disarm", "a"}, cli.ExitUsage, `unexpected argument "a"`},
		"an odd dry run":       {[]string{"defrag", "--dry-run", "server"}, cli.ExitUsage, "--dry-run=server: want none or client"},
		"no SSH for a change":  {[]string{"defrag", "--ssh=false"}, cli.ExitUsage, "unknown flag: --ssh"},
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

func TestTheFileNeedNameNoLoadBalancer(t *testing.T) {
	o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.File = filepath.Join(t.TempDir(), "k0sctl.yaml")
	const text = "apiVersion: k0sctl.k0sproject.io/v1beta1\nkind: Cluster\nspec: {hosts: [{role: controller, ssh: {address: 10.10.0.2}}]}\n"
	if err := os.WriteFile(o.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.Complete(); err != nil {
		t.Error(err)
	}
}
