//go:build e2e

// Package e2e proves on real hosts what the product promises.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/test/lab"
)

// The built plugins; `make e2e` builds them first.
const (
	haInit      = "../../bin/kubectl-ha_init"
	etcdMembers = "../../bin/kubectl-etcd_members"
)

// loadBalancer is the guide's HAProxy host.
const loadBalancer = "haproxy"

// site is a lab of one test, with a folder for its cluster file and its kubeconfig.
type site struct {
	*lab.Lab
	t   *testing.T
	dir string
}

// newSite makes a lab with the hosts (see lab.ParseHost; "guide" is all four of the guide) and removes it when the test
// ends. A test that failed keeps what its hosts logged. All but load balancers, and hosts that are said to be bare, have
// k0s's executable already, so that not every test uploads it.
func newSite(t *testing.T, hosts ...string) *site {
	t.Helper()
	specs := parseHosts(t, hosts)
	for i, h := range specs {
		if h.Flavour == "" && !strings.HasPrefix(h.Name, loadBalancer) {
			specs[i].Flavour = lab.K0s
		}
	}
	return makeSite(t, specs)
}

// bareSite is newSite with hosts that have nothing yet.
func bareSite(t *testing.T, hosts ...string) *site {
	t.Helper()
	return makeSite(t, parseHosts(t, hosts))
}

func parseHosts(t *testing.T, hosts []string) []lab.HostSpec {
	t.Helper()
	var specs []lab.HostSpec
	for _, h := range hosts {
		if h == "guide" {
			specs = append(specs, lab.GuideHosts()...)
			continue
		}
		spec, err := lab.ParseHost(h)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	return specs
}

func makeSite(t *testing.T, hosts []lab.HostSpec) *site {
	t.Helper()
	name := fmt.Sprintf("e2e-%d-%d", os.Getpid(), siteNumber.Add(1))
	l, err := lab.Up(t.Context(), lab.Config{Name: name, Hosts: hosts, Executable: k0sExecutable, Log: testWriter{t}})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Lab: l, t: t, dir: t.TempDir()}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			s.keepLogs(ctx)
		}
		if err := l.Down(ctx); err != nil {
			t.Errorf("removing the lab: %v", err)
		}
	})
	s.putHostFiles()
	return s
}

// in is the site within a subtest, which is the one that fails.
func (s *site) in(t *testing.T) *site { return &site{Lab: s.Lab, t: t, dir: s.dir} }

// keepLogs puts what the hosts logged beside the programs, so that the reason of a failure is not lost among it.
func (s *site) keepLogs(ctx context.Context) {
	for _, h := range s.Hosts() {
		out, err := h.Exec(ctx, "journalctl -q --no-pager 2>&1 | tail -c 1000000", nil)
		if err != nil {
			out += err.Error()
		}
		s.keepLog(h.Name(), out)
	}
}

// keepLog keeps what somebody said in a test that failed.
func (s *site) keepLog(name, text string) {
	path := filepath.Join(filepath.Dir(haInit), "e2e-logs", s.t.Name(), name+".log")
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	s.t.Logf("the log of %s is in %s (%v)", name, path, err)
}

// host is a host of the lab by name.
func (s *site) host(name string) *lab.Host {
	s.t.Helper()
	h, err := s.Host(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// sh runs a command as root on a host.
func (s *site) sh(name, command string) string {
	s.t.Helper()
	out, err := s.host(name).Exec(s.t.Context(), command, nil)
	if err != nil {
		s.t.Fatalf("on %s: %v", name, err)
	}
	return out
}

// result is what a run of a plugin gave.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
	maxRSS         int64 // bytes
}

// haInit runs the plugin on the site's cluster file, without a terminal.
func (s *site) haInit(args ...string) result {
	s.t.Helper()
	return s.haInitContext(s.t.Context(), args...)
}

// haInitContext is haInit; when ctx ends, the plugin is killed as by `kill -9`.
func (s *site) haInitContext(ctx context.Context, args ...string) result {
	s.t.Helper()
	return s.run(ctx, haInit, append([]string{"-f", s.path("cluster.yaml")}, args...)...)
}

// command is a plugin in the site's folder.
func (s *site) command(ctx context.Context, plugin string, args ...string) *exec.Cmd {
	s.t.Helper()
	command := exec.CommandContext(ctx, absolute(s.t, plugin), args...)
	command.Dir = s.dir
	command.Env = append(os.Environ(), "SSH_KNOWN_HOSTS="+s.KnownHosts(), "SSH_AUTH_SOCK=")
	return command
}

// run runs a plugin in the site's folder, without a terminal; when ctx ends, it is killed as by `kill -9`.
func (s *site) run(ctx context.Context, plugin string, args ...string) result {
	s.t.Helper()
	command := s.command(ctx, plugin, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	start := time.Now()
	err := command.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("running the plugin: %v", err)
	}
	r.code = command.ProcessState.ExitCode()
	if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.maxRSS = usage.Maxrss * 1024
	}
	return r
}

// mustInit runs the plugin and expects it to succeed.
func (s *site) mustInit(args ...string) result {
	s.t.Helper()
	r := s.haInit(args...)
	s.t.Logf("ha-init %s: exit code %d after %s\n%s%s", strings.Join(args, " "), r.code, r.took.Round(time.Millisecond),
		r.stderr, r.stdout)
	if r.code != 0 {
		s.t.Fatalf("ha-init failed")
	}
	return r
}

// path is a file in the site's folder.
func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// api is the cluster through the kubeconfig that ha-init wrote: through the load balancer.
func (s *site) api() *kube.Cluster {
	s.t.Helper()
	kubeconfig, err := os.ReadFile(s.path("kubeconfig"))
	if err != nil {
		s.t.Fatal(err)
	}
	cluster, err := kube.Connect(kubeconfig, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return cluster
}

// eventually waits for a condition, three minutes at most.
func (s *site) eventually(what string, condition func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	if err := kube.Wait(ctx, 200*time.Millisecond, condition); err != nil {
		s.t.Fatalf("waiting until %s: %v", what, err)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	p, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testWriter shows what the lab says while it builds its images.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
