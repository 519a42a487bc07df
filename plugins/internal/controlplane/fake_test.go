package controlplane

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// fakeHost is a host in memory. It does what is done to it, in the log.
type fakeHost struct {
	t     *testing.T
	name  string
	facts host.Facts
	// answer runs a command; it answers nothing when nil. Commands that look for files are run against files.
	answer func(command string) (string, error)
	dial   func(network, address string) (net.Conn, error)
	lock   error
	// stopped is called when a service was stopped.
	stopped func()
	// packages can be installed.
	packages bool
	// fail makes what is done fail, by its line in the log.
	fail map[string]error

	mu    sync.Mutex
	files map[string]string
	modes map[string]fs.FileMode
	log   []string
}

var errBroken = errors.New("broken")

func newFakeHost(t *testing.T, conn config.Connection, hostname string, addresses ...string) *fakeHost {
	t.Helper()
	h := &fakeHost{
		t: t, name: conn.String(), packages: true, fail: map[string]error{}, files: map[string]string{}, modes: map[string]fs.FileMode{},
		facts: host.Facts{
			Hostname: hostname, Arch: "amd64", InitSystem: "systemd", PackageManager: "apt",
			ListeningTCP: map[int]string{}, Services: map[string]string{},
		},
	}
	for _, a := range addresses {
		h.facts.Addresses = append(h.facts.Addresses, netip.MustParseAddr(a))
	}
	return h
}

func (h *fakeHost) note(format string, args ...any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	h.log = append(h.log, line)
	return h.fail[line]
}

// did is what was done on the host, without what only looks.
func (h *fakeHost) did() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.log, "\n")
}

func (h *fakeHost) Name() string { return h.name }

func (h *fakeHost) Facts(context.Context) (*host.Facts, error) {
	facts := h.facts
	return &facts, nil
}

func (h *fakeHost) Output(ctx context.Context, command string, _ io.Reader) (string, error) {
	if file, looks := strings.CutPrefix(command, "if [ -e "); looks {
		file, _, _ = strings.Cut(file, " ]")
		if h.has(file) {
			return "yes", nil
		}
		return "no", nil
	}
	if rest, looks := strings.CutPrefix(command, "readlink -f -- '"); looks {
		file, _, _ := strings.Cut(rest, "'")
		return file, nil
	}
	if rest, looks := strings.CutPrefix(command, "[ ! -f '"); looks {
		file, _, _ := strings.Cut(rest, "'")
		if content, err := h.ReadFile(ctx, file); err == nil {
			return fmt.Sprintf("%x  -", sha256.Sum256(content)), nil
		}
		return "", nil
	}
	if h.answer != nil {
		if out, err := h.answer(command); out != "" || err != nil {
			return out, err
		}
	}
	return "", h.note("run %s", command)
}

func (h *fakeHost) has(path string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, found := h.files[path]
	return found
}

func (h *fakeHost) ReadFile(_ context.Context, path string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	data, found := h.files[path]
	if !found {
		return nil, fmt.Errorf("reading %s on %s: %w", path, h.name, fs.ErrNotExist)
	}
	return []byte(data), nil
}

func (h *fakeHost) WriteFile(_ context.Context, path string, data []byte, mode fs.FileMode) error {
	if err := h.note("write %s", path); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[path], h.modes[path] = string(data), mode
	return nil
}

func (h *fakeHost) Upload(_ context.Context, src io.ReaderAt, size int64, _, path string, mode fs.FileMode, _ func(int64)) (bool, error) {
	data, err := io.ReadAll(io.NewSectionReader(src, 0, size))
	if err == nil {
		err = h.note("upload %s", path)
	}
	if err != nil {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[path], h.modes[path] = string(data), mode
	return false, nil
}

func (h *fakeHost) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	if network == "unix" {
		return nil, fs.ErrNotExist // HAProxy does not run
	}
	if h.dial != nil {
		return h.dial(network, address)
	}
	return nil, fmt.Errorf("dialing %s from %s: connection refused", address, h.name)
}

func (h *fakeHost) Lock(context.Context, string) (func() error, error) {
	return func() error { return nil }, h.lock
}

func (h *fakeHost) PackageAvailable(context.Context, string) (bool, error) { return h.packages, nil }

func (h *fakeHost) InstallPackages(_ context.Context, names ...string) error {
	return h.note("install %s", strings.Join(names, " "))
}

func (h *fakeHost) Service(name string) service { return fakeService{h, name} }

func (h *fakeHost) Close() error { return nil }

type fakeService struct {
	host *fakeHost
	name string
}

func (s fakeService) Running(context.Context) (bool, error) { return false, nil }
func (s fakeService) Start(context.Context) error           { return s.host.note("start %s", s.name) }
func (s fakeService) Stop(context.Context) error {
	if s.host.stopped != nil {
		s.host.stopped()
	}
	return s.host.note("stop %s", s.name)
}
func (s fakeService) Restart(context.Context) error { return s.host.note("restart %s", s.name) }
func (s fakeService) Reload(context.Context) error  { return s.host.note("reload %s", s.name) }
func (s fakeService) Enable(context.Context) error  { return s.host.note("enable %s", s.name) }
func (s fakeService) Disable(context.Context) error { return s.host.note("disable %s", s.name) }

// fakeEtcd is etcd in memory.
type fakeEtcd struct {
	mu      sync.Mutex
	members []etcd.Member
	alarms  []string
	removed []string
	err     error
	// behind tells that learners are not in step with the leader.
	behind bool
}

func (e *fakeEtcd) Members(context.Context) ([]etcd.Member, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]etcd.Member{}, e.members...), e.err
}

func (e *fakeEtcd) Alarms(context.Context) ([]string, error) { return e.alarms, e.err }

func (e *fakeEtcd) Promote(_ context.Context, member etcd.Member) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.members, func(m etcd.Member) bool { return m.ID == member.ID && m.Learner })
	if i < 0 || e.behind {
		return fmt.Errorf("%s is no learner in step with the leader", member)
	}
	e.members[i].Learner = false
	return nil
}

func (e *fakeEtcd) RemoveIdle(_ context.Context, member etcd.Member) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removed = append(e.removed, member.String())
	for i, m := range e.members {
		if m.ID == member.ID {
			e.members = append(e.members[:i:i], e.members[i+1:]...)
			return nil
		}
	}
	return errors.New("no such member")
}

func (e *fakeEtcd) Close() error { return nil }

func member(id uint64, name, address string) etcd.Member {
	return etcd.Member{ID: id, Name: name, PeerURLs: []string{"https://" + net.JoinHostPort(address, "2380")}}
}

func learner(id uint64, name, address string) etcd.Member {
	m := member(id, name, address)
	m.Learner = true
	return m
}

// guideFile is a file of three controllers, a worker and a load balancer.
const guideFile = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {role: controller+worker, noTaints: true, ssh: {address: 10.10.0.2, user: root}}
    - {role: controller+worker, noTaints: true, ssh: {address: 10.10.1.2, user: root}}
    - {role: controller, ssh: {address: 10.10.2.2, user: ops}}
    - {role: worker, ssh: {address: 10.10.20.2, user: root}}
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

// world is the hosts of a cluster file, in memory.
type world struct {
	t     *testing.T
	o     *Settings
	file  *config.File
	out   *bytes.Buffer
	err   *bytes.Buffer
	hosts map[string]*fakeHost // by address
}

// newWorld makes a bare host of each one in the file: cp1, cp2, ..., w1, ..., lb1, ...
func newWorld(t *testing.T, file string) *world {
	t.Helper()
	parsed, err := config.Parse("cluster.yaml", []byte(file))
	if err == nil {
		err = parsed.Complete()
	}
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultSettings()
	o.Timeout = 50 * time.Millisecond
	o.WriteKubeconfig = t.TempDir() + "/kubeconfig"
	w := &world{t: t, o: &o, file: parsed, out: &bytes.Buffer{}, err: &bytes.Buffer{}, hosts: map[string]*fakeHost{}}
	add := func(prefix string, i int, conn config.Connection, address string) {
		w.hosts[address] = newFakeHost(t, conn, fmt.Sprintf("%s%d", prefix, i+1), address)
	}
	for i, h := range parsed.Cluster.Controllers() {
		add("cp", i, h.Conn, h.Address())
	}
	for i, h := range parsed.Cluster.Workers() {
		add("w", i, h.Conn, h.Address())
	}
	for i, h := range parsed.LoadBalancer.Hosts {
		add("lb", i, h.Conn, h.Address())
	}
	return w
}

func (w *world) connect(_ context.Context, conn config.Connection) (remote, error) {
	h := w.hosts[conn.Address()]
	if h == nil {
		return nil, fmt.Errorf("connecting to %s: no route to host", conn)
	}
	return h, nil
}

// survey looks at the hosts as a run does.
func (w *world) survey() *Cluster {
	w.t.Helper()
	c, err := survey(w.t.Context(), w.file, *w.o, w.connect, report.New(w.err, report.Options{Mode: report.ModePlain}))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// controlPlane makes the hosts at the addresses members of a running control plane behind the load balancer.
func (w *world) controlPlane(addresses ...string) {
	for _, address := range addresses {
		h := w.hosts[address]
		h.facts.K0sVersion, h.facts.K0sPath = "v1.36.3+k0s.2", k0s.DefaultBinary
		h.facts.Services[k0s.ControllerService] = "active"
		h.files["/var/lib/k0s/pki/ca.crt"] = testCA
		h.files["/var/lib/k0s/etcd/member/snap/db"] = ""
		h.files[k0s.ConfigPath] = "spec: {api: {address: " + address + ", externalAddress: 10.10.4.10}}\n"
		h.answer = func(command string) (string, error) {
			if strings.HasSuffix(command, " status -o json") {
				return `{"Version":"v1.36.3+k0s.2","Role":"controller","ClusterConfig":{"spec":{"api":{"externalAddress":"10.10.4.10"}}},` +
					`"K0sVars":{"DataDir":"/var/lib/k0s","StartupConfigPath":"/etc/k0s/k0s.yaml"}}`, nil
			}
			return "", nil
		}
	}
}

// testCA and otherCA are any two PEM blocks: only their fingerprints matter.
const (
	testCA  = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	otherCA = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"
)

func texts(problems []error) string {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// expectProblems compares problems with what each of them has to contain, in order.
func expectProblems(t *testing.T, problems []error, want ...string) {
	t.Helper()
	if len(problems) != len(want) {
		t.Errorf("%d problems, want %d:\n%s", len(problems), len(want), texts(problems))
		return
	}
	for i, p := range problems {
		if !strings.Contains(p.Error(), want[i]) {
			t.Errorf("problem %d is %q, want one with %q", i+1, p, want[i])
		}
	}
}

// clientCertificate is one that ends in so many days.
func clientCertificate(t *testing.T, days int) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(time.Duration(days) * 24 * time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.AddDate(-1, 0, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func heldLock() error {
	return &host.LockedError{Host: "root@10.10.0.2:22", Path: cli.LockPath, Holder: "anna@laptop, process 1", PID: "2"}
}
