package hainit

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(readFile(t, path)); got != want {
		t.Errorf("%s differs (run the tests with -update when that is wanted); got:\n%s", path, got)
	}
}

func TestHelp(t *testing.T) {
	command := New(genericiooptions.NewTestIOStreamsDiscard())
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetArgs([]string{"--help"})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	golden(t, "help", out.String())
}

func TestWrongCallsAreAMatterOfUsage(t *testing.T) {
	dir := t.TempDir()
	good, withoutBalancer := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "cfctl.yaml")
	put(t, good, guideFile)
	document, _, _ := strings.Cut(guideFile, "---")
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
	document, _, _ := strings.Cut(guideFile, "---")
	file := filepath.Join(t.TempDir(), "cfctl.yaml")
	put(t, file, document)
	o := newOptions(genericiooptions.NewTestIOStreamsDiscard())
	o.File, o.LoadBalancers = file, []string{"admin@10.10.4.10:2222"}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if got := o.file.LoadBalancer.Hosts[0].Conn.String(); got != "admin@10.10.4.10:2222" || o.file.LoadBalancer.Address != "10.10.4.10" {
		t.Errorf("got %s, %s", got, o.file.LoadBalancer.Address)
	}
}

// A dry run prints the plan, wherever the cluster stands.
func TestDryRun(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"plan-bare": func(w *world) {
			w.o.file.Cluster.Hosts[0].Hooks = config.Hooks{"apply": {"before": {"apt-get -y upgrade"}, "after": {"touch /root/done"}}}
			w.o.file.Cluster.Hosts[0].Hostname = "cp-1"
			w.o.file.Cluster.Hosts[0].Files = []config.UploadFile{{Data: "x", Dst: "/etc/motd"}}
			w.o.file.Cluster.Hosts[1].UploadBinary = true
			w.hosts["10.10.4.10"].facts.SELinux = "enforcing"
			w.hosts["10.10.4.10"].fail["run getsebool haproxy_connect_any | grep -q 'on$'"] = errBroken
		},
		"plan-down": func(w *world) {
			w.controlPlane("10.10.0.2", "10.10.1.2", "10.10.2.2")
			w.joinWorker("10.10.20.2", testCA)
			for _, h := range w.hosts {
				h.answer = nil
			}
			w.hosts["10.10.4.10"].facts.Services["haproxy"] = "active"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.o.WriteKubeconfig = "kubeconfig"
			prepare(w)
			c := w.survey()
			if err := c.preflight(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := map[string]string{}
			for address, h := range w.hosts {
				before[address] = h.changes()
			}
			if err := w.o.printPlan(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			golden(t, name, withoutDiff(w.out.String()))
			for address, h := range w.hosts {
				if got := h.changes(); got != before[address] || got != "" {
					t.Errorf("%s was changed:\n%s", address, got)
				}
			}
		})
	}
}

// withoutDiff leaves out what becomes of haproxy.cfg, which is for pkg/haproxy to test.
func withoutDiff(plan string) string {
	const indent = "            "
	var b strings.Builder
	inDiff := false
	for line := range strings.Lines(plan) {
		inDiff = strings.HasPrefix(line, indent+"--- ") || inDiff && strings.HasPrefix(line, indent)
		if strings.HasPrefix(line, indent+"--- ") {
			b.WriteString(indent + "(diff)\n")
		}
		if !inDiff {
			b.WriteString(line)
		}
	}
	return b.String()
}

// changes is what was done on the host, without looking.
func (h *fakeHost) changes() string {
	var lines []string
	for line := range strings.Lines(h.did()) {
		looks := strings.HasPrefix(line, "run getsebool ") || strings.HasSuffix(strings.TrimSpace(line), " status -o json")
		if !looks {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestSummary(t *testing.T) {
	var all strings.Builder
	for _, c := range []struct {
		title  string
		result step.Result
		change func(o *Options)
	}{
		{"nothing to do", step.Result{Skipped: 16}, func(*Options) {}},
		{"a kubeconfig of its own", step.Result{Changed: 9, Skipped: 7}, func(*Options) {}},
		{"no kubeconfig", step.Result{Changed: 9, Skipped: 7}, func(o *Options) { o.WriteKubeconfig = "" }},
		{"the user's kubeconfig", step.Result{Changed: 9, Skipped: 7}, func(o *Options) { o.MergeKubeconfig = true }},
		{"a kubeconfig of the user's", step.Result{Changed: 9, Skipped: 7}, func(o *Options) { o.MergeKubeconfig, o.Kubeconfig = true, "mine" }},
	} {
		w := newWorld(t, guideFile)
		w.o.WriteKubeconfig = "kubeconfig"
		c.change(w.o)
		w.o.printSummary(w.survey(), c.result)
		all.WriteString("# " + c.title + "\n" + w.out.String())
	}
	golden(t, "summary", all.String())
}

func TestALockThatIsHeldIsARefusal(t *testing.T) {
	w := newWorld(t, guideFile)
	c := w.survey()
	if unlock, err := c.lock(t.Context()); err != nil || unlock() != nil {
		t.Errorf("got %v", err)
	}
	w.hosts["10.10.0.2"].lock = errBroken
	if _, err := c.lock(t.Context()); !errors.Is(err, errBroken) || cli.ExitCode(err) != cli.ExitError {
		t.Errorf("got %v", err)
	}
	w.hosts["10.10.0.2"].lock = heldLock()
	if _, err := c.lock(t.Context()); cli.ExitCode(err) != cli.ExitRefused || !strings.Contains(err.Error(), "another command is changing the control plane: ") {
		t.Errorf("got %v", err)
	}
}
