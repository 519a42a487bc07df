package controlplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

func TestBareHostsPassPreflight(t *testing.T) {
	w := newWorld(t, guideFile)
	c := w.survey()
	if err := c.Preflight(t.Context()); err != nil {
		t.Error(err)
	}
	for _, h := range w.hosts {
		if did := h.did(); did != "" {
			t.Errorf("preflight did something on %s:\n%s", h.name, did)
		}
	}
}

func TestPreflightReportsAllAtOnce(t *testing.T) {
	w := newWorld(t, guideFile)
	delete(w.hosts, "10.10.1.2")
	w.hosts["10.10.2.2"].facts.ListeningTCP[6443] = "nginx"
	w.hosts["10.10.20.2"].facts.ClockOffset = time.Minute
	w.hosts["10.10.4.10"].packages = false
	err := w.survey().Preflight(t.Context())
	if cli.ExitCode(err) != cli.ExitRefused {
		t.Errorf("exit code %d", cli.ExitCode(err))
	}
	const want = `preflight found 4 problems, nothing was changed:
  - connecting to root@10.10.1.2:22: no route to host
  - root@10.10.20.2:22: its clock is 1m0s apart from that of root@10.10.4.10:22: synchronise the hosts' clocks (chrony, systemd-timesyncd)
  - ops@10.10.2.2:22: port 6443, which k0s needs, is taken by nginx: stop it
  - root@10.10.4.10:22: there is no package "haproxy": add a repository that has it, or install it by hand`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestPreflightWithoutAnyHost(t *testing.T) {
	w := newWorld(t, guideFile)
	clear(w.hosts)
	err := w.survey().Preflight(t.Context())
	if err == nil || strings.Count(err.Error(), "no route to host") != 5 {
		t.Errorf("got %v", err)
	}
}

func TestCheckClocks(t *testing.T) {
	for name, c := range map[string]struct {
		offsets []time.Duration // of the three controllers, the worker and the load balancer
		within  time.Duration
		want    []string
	}{
		"all alike":                  {[]time.Duration{0, 0, 0, 0, 0}, 0, nil},
		"ours is the wrong one":      {[]time.Duration{time.Hour, time.Hour, time.Hour, time.Hour, time.Hour}, 0, nil},
		"a little apart":             {[]time.Duration{0, time.Second, -time.Second, 4 * time.Second, 0}, 0, nil},
		"one is ahead":               {[]time.Duration{0, time.Minute, 0, 0, 0}, 0, []string{"root@10.10.1.2:22: its clock is 1m0s apart"}},
		"one is behind":              {[]time.Duration{0, 0, 0, 0, -time.Minute}, 0, []string{"root@10.10.4.10:22: its clock is 1m0s apart"}},
		"two are":                    {[]time.Duration{-time.Minute, time.Minute, 0, 0, 0}, 0, []string{"10.10.0.2", "10.10.1.2"}},
		"too slow a line to tell":    {[]time.Duration{0, 6 * time.Second, 0, 0, 0}, time.Second, nil},
		"a slow line, but far apart": {[]time.Duration{0, time.Minute, 0, 0, 0}, time.Second, []string{"10.10.1.2"}},
		"centuries apart":            {[]time.Duration{0, 1 << 62, 0, 0, -(1 << 61)}, 0, []string{"10.10.4.10", "10.10.1.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			for i, address := range []string{"10.10.0.2", "10.10.1.2", "10.10.2.2", "10.10.20.2", "10.10.4.10"} {
				w.hosts[address].facts.ClockOffset, w.hosts[address].facts.ClockOffsetError = c.offsets[i], c.within
			}
			expectProblems(t, w.survey().checkClocks(), c.want...)
		})
	}
	if problems := (&Cluster{}).checkClocks(); problems != nil {
		t.Errorf("no hosts, no clocks: %v", problems)
	}
}

func TestComparePair(t *testing.T) {
	addr := netip.MustParseAddr
	machineOf := func(name, hostname, address string, others ...string) *machine {
		m := &machine{
			host:    &config.Host{},
			address: addr(address),
			conn:    &fakeHost{name: name},
			facts:   &host.Facts{Hostname: hostname},
		}
		for _, a := range append(others, address) {
			m.facts.Addresses = append(m.facts.Addresses, addr(a))
		}
		return m
	}
	withID := func(id string, m *machine) *machine {
		m.host.Role, m.facts.MachineID, m.fresh = config.RoleController, id, true
		return m
	}
	for name, c := range map[string]struct {
		a, b *machine
		want []string
	}{
		"two hosts": {machineOf("a", "cp1", "10.0.0.1"), machineOf("b", "cp2", "10.0.0.2"), nil},
		"one host by two addresses": {
			machineOf("a", "cp1", "10.0.0.1", "192.0.2.1"), machineOf("b", "cp1", "192.0.2.1", "10.0.0.1"),
			[]string{"a and b are the same host (10.0.0.1 is on both)"},
		},
		"one host by IPv4 and IPv6": {
			machineOf("a", "cp1", "10.0.0.1", "fd00::1"), machineOf("b", "cp1", "fd00::1", "10.0.0.1"),
			[]string{"are the same host"},
		},
		"addresses of Docker's bridge": {
			machineOf("a", "cp1", "10.0.0.1", "172.17.0.1"), machineOf("b", "cp2", "10.0.0.2", "172.17.0.1"), nil,
		},
		"clones of one machine": {
			withID("0123", machineOf("a", "cp1", "10.0.0.1")), withID("0123", machineOf("b", "cp2", "10.0.0.2")),
			[]string{"a and b have the same /etc/machine-id, by which k0s tells controllers apart: give one a new one"},
		},
		"machines of their own": {
			withID("0123", machineOf("a", "cp1", "10.0.0.1")), withID("4567", machineOf("b", "cp2", "10.0.0.2")), nil,
		},
		"one name, whatever its case": {
			machineOf("a", "CP", "10.0.0.1"), machineOf("b", "cp", "10.0.0.2"), []string{`a and b are both named "cp"`},
		},
	} {
		t.Run(name, func(t *testing.T) { expectProblems(t, comparePair(c.a, c.b), c.want...) })
	}
}

func TestCheckHostsKnowsWhatTheFileMistook(t *testing.T) {
	w := newWorld(t, strings.Replace(guideFile, "{address: 10.10.1.2, user: root}}", "{address: 10.10.1.2, user: root}, privateAddress: 10.10.9.9}", 1))
	w.hosts["10.10.1.2"] = w.hosts["10.10.9.9"]
	w.hosts["10.10.1.2"].facts.Addresses = []netip.Addr{netip.MustParseAddr("10.10.1.2")}
	expectProblems(t, w.survey().checkHosts(), "root@10.10.1.2:22: it does not have the address 10.10.9.9")
}

func TestCheckK0s(t *testing.T) {
	const seed, other, worker = "10.10.0.2", "10.10.1.2", "10.10.20.2"
	status := func(text string) func(string) (string, error) {
		return func(command string) (string, error) {
			if strings.HasSuffix(command, " status -o json") {
				return text, nil
			}
			return "", nil
		}
	}
	for name, c := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"bare hosts":     {func(*world) {}, nil},
		"a member alone": {func(w *world) { w.controlPlane(seed) }, nil},
		"all members":    {func(w *world) { w.controlPlane(seed, other, "10.10.2.2") }, nil},
		"no service manager": {
			func(w *world) { w.hosts[worker].facts.InitSystem = "" },
			[]string{"root@10.10.20.2:22: it has no service manager"},
		},
		"--single": {
			func(w *world) {
				w.controlPlane(seed)
				w.hosts[seed].answer = status(`{"Role":"controller","SingleNode":true}`)
			},
			[]string{"k0s runs with --single"},
		},
		"a worker that is to be a controller": {
			func(w *world) {
				w.hosts[other].facts.Services[k0s.WorkerService] = "active"
			},
			[]string{"root@10.10.1.2:22: k0s runs as a worker, not as a controller"},
		},
		"a status of a worker": {
			func(w *world) { w.controlPlane(seed); w.hosts[seed].answer = status(`{"Role":"worker"}`) },
			[]string{"k0s runs as worker, not as a controller"},
		},
		"a controller that is to be a worker": {
			func(w *world) { w.hosts[worker].facts.Services[k0s.ControllerService] = "active" },
			[]string{"root@10.10.20.2:22: k0s runs as a controller, not as a worker"},
		},
		"members of two clusters": {
			func(w *world) {
				w.controlPlane(seed, other)
				w.hosts[other].files["/var/lib/k0s/pki/ca.crt"] = otherCA
			},
			[]string{"root@10.10.1.2:22: it belongs to another cluster than root@10.10.0.2:22"},
		},
		"left over data": {
			func(w *world) { w.hosts[other].files["/var/lib/k0s/etcd/member/snap/db"] = "" },
			[]string{"root@10.10.1.2:22: there is data of an earlier etcd membership in /var/lib/k0s"},
		},
		"another data directory than the file's": {
			func(w *world) {
				w.controlPlane(seed)
				delete(w.hosts[seed].files, "/var/lib/k0s/pki/ca.crt")
				delete(w.hosts[seed].files, "/var/lib/k0s/etcd/member/snap/db")
				w.hosts[seed].answer = status(`{"Role":"controller","K0sVars":{"DataDir":"/data/k0s"}}`)
			},
			[]string{"root@10.10.0.2:22: k0s runs, but its data is not in /var/lib/k0s: correct dataDir to /data/k0s"},
		},
		"another configuration file": {
			func(w *world) {
				w.controlPlane(seed)
				w.hosts[seed].answer = status(`{"Role":"controller","K0sVars":{"StartupConfigPath":"/root/k0s.yaml"}}`)
			},
			[]string{"root@10.10.0.2:22: k0s runs with the configuration /root/k0s.yaml"},
		},
		"a worker of this cluster": {
			func(w *world) { w.controlPlane(seed); w.joinWorker(worker, testCA) }, nil,
		},
		"a worker of another cluster": {
			func(w *world) { w.controlPlane(seed); w.joinWorker(worker, otherCA) },
			[]string{"root@10.10.20.2:22: it belongs to another cluster, whose API is at https://10.10.0.2:6443"},
		},
		"a worker of a cluster that is gone": {
			func(w *world) { w.joinWorker(worker, otherCA) },
			[]string{"root@10.10.20.2:22: it belongs to another cluster"},
		},
		"kine, node-local load balancing, another load balancer": {
			func(w *world) {
				w.controlPlane(seed)
				w.hosts[seed].files[k0s.ConfigPath] = "spec: {api: {externalAddress: 10.10.4.99}, storage: {type: kine}, " +
					"network: {nodeLocalLoadBalancing: {enabled: true}}}"
			},
			[]string{"its storage is kine", "node-local load balancing is on", "its externalAddress is 10.10.4.99"},
		},
		"other ports than the file's": {
			func(w *world) {
				w.controlPlane(seed)
				w.hosts[seed].files[k0s.ConfigPath] = "spec: {api: {port: 7443, k0sApiPort: 9444}, konnectivity: {agentPort: 8133}}"
			},
			[]string{
				"its spec.api.port is 7443, but the file's is 6443: write 7443 in spec.k0s.config.spec.api.port of the file",
				"its spec.konnectivity.agentPort is 8133, but the file's is 8132",
				"its spec.api.k0sApiPort is 9444, but the file's is 9443",
			},
		},
		"other ports than the default ones, which a k0s without a configuration has": {
			func(w *world) {
				w.controlPlane(seed)
				delete(w.hosts[seed].files, k0s.ConfigPath)
				w.file.LoadBalancer.Ports.KubeAPI = 7443
			},
			[]string{"its spec.api.port is 6443, but the file's is 7443"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			c.change(w)
			s := w.survey()
			expectProblems(t, s.problems)
			expectProblems(t, s.checkK0s(), c.want...)
		})
	}
}

func TestConfigurationThatARunningClusterDoesNotHaveIsWarnedAbout(t *testing.T) {
	file := strings.Replace(guideFile, "  k0s:\n", "  k0s:\n    config: {spec: {api: {externalAddress: 10.10.4.10, sans: [10.10.4.10]}, "+
		"network: {provider: calico}}}\n", 1)
	const said = "warning: root@10.10.0.2:22: /etc/k0s/k0s.yaml differs from the file in spec.network.provider: it stays as it is"
	for name, c := range map[string]struct {
		running string // k0s.yaml; empty for a bare host
		want    bool
	}{
		"a bare host": {"", false},
		"the same":    {"spec: {api: {externalAddress: 10.10.4.10, sans: [10.10.4.10]}, network: {provider: calico}}", false},
		"the load balancer's address alone to add": {"spec: {network: {provider: calico}}", false},
		"another": {"spec: {api: {externalAddress: 10.10.4.10, sans: [10.10.4.10]}, network: {provider: kuberouter}}", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, file)
			if c.running != "" {
				w.controlPlane("10.10.0.2")
				w.hosts["10.10.0.2"].files[k0s.ConfigPath] = c.running
			}
			expectProblems(t, w.survey().checkK0s())
			if got := strings.Contains(w.err.String(), said); got != c.want || !c.want && strings.Contains(w.err.String(), "warning") {
				t.Errorf("said: %s", w.err)
			}
		})
	}
}

func TestANameWrittenInAnotherWayIsNoDifference(t *testing.T) {
	w := newWorld(t, strings.Replace(guideFile, "  k0s:\n", "  k0s:\n    config: {spec: {api: {externalAddress: LB.Example.}}}\n", 1))
	w.controlPlane("10.10.0.2")
	w.hosts["10.10.0.2"].files[k0s.ConfigPath] = "spec: {api: {externalAddress: lb.example, sans: [lb.example]}}"
	expectProblems(t, w.survey().checkK0s())
	if said := w.err.String(); strings.Contains(said, "warning") {
		t.Errorf("said: %s", said)
	}
}

// joinWorker makes the host a worker that joined through the first controller.
func (w *world) joinWorker(address, ca string) {
	h := w.hosts[address]
	h.facts.Services[k0s.WorkerService] = "active"
	h.files["/var/lib/k0s/kubelet.conf"] = kubeletConf("https://10.10.0.2:6443", ca)
}

func TestControllersMayHaveADataDirectoryOfTheirOwn(t *testing.T) {
	w := newWorld(t, strings.Replace(guideFile, "noTaints: true, ssh: {address: 10.10.0.2", "noTaints: true, dataDir: /data/k0s, ssh: {address: 10.10.0.2", 1))
	h := w.hosts["10.10.0.2"]
	h.files["/data/k0s/pki/ca.crt"] = testCA
	h.files["/data/k0s/etcd/member/snap/db"] = ""
	c := w.survey()
	if !c.exists() || !c.seed.etcdData || c.seed.fresh {
		t.Errorf("its data was not found: %+v", c.seed)
	}
}

func TestCheckPorts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"free": {func(*world) {}, nil},
		"all of a controller's": {
			func(w *world) {
				for _, port := range []int{22, 2379, 2380, 6443, 8132, 9443, 10250} {
					w.hosts["10.10.0.2"].facts.ListeningTCP[port] = "x"
				}
			},
			[]string{"port 2379", "port 2380", "port 6443", "port 8132", "port 9443", "port 10250"},
		},
		"a plain controller has no kubelet": {func(w *world) { w.hosts["10.10.2.2"].facts.ListeningTCP[10250] = "x" }, nil},
		"a worker has only a kubelet": {
			func(w *world) {
				w.hosts["10.10.20.2"].facts.ListeningTCP[6443] = "x"
				w.hosts["10.10.20.2"].facts.ListeningTCP[10250] = ""
			},
			[]string{"root@10.10.20.2:22: port 10250, which k0s needs, is taken by another process: stop it"},
		},
		"k0s has them itself": {
			func(w *world) {
				w.hosts["10.10.0.2"].facts.Services[k0s.ControllerService] = "active"
				w.hosts["10.10.0.2"].facts.ListeningTCP[6443] = "kube-apiserver"
			}, nil,
		},
		"HAProxy has them itself": {func(w *world) { w.hosts["10.10.4.10"].facts.ListeningTCP[6443] = "haproxy" }, nil},
		"nginx on the load balancer": {
			func(w *world) { w.hosts["10.10.4.10"].facts.ListeningTCP[9443] = "nginx" },
			[]string{"root@10.10.4.10:22: port 9443, which HAProxy needs, is taken by nginx"},
		},
		"something on the port of HAProxy's statistics": {
			func(w *world) { w.hosts["10.10.4.10"].facts.ListeningTCP[9000] = "php-fpm" },
			[]string{"root@10.10.4.10:22: port 9000, which HAProxy's statistics page needs, is taken by php-fpm: stop it, or set spec.stats.listen"},
		},
		"HAProxy's own statistics": {func(w *world) { w.hosts["10.10.4.10"].facts.ListeningTCP[9000] = "haproxy" }, nil},
		"no statistics": {
			func(w *world) {
				w.hosts["10.10.4.10"].facts.ListeningTCP[9000] = "php-fpm"
				w.file.LoadBalancer.Stats.Disabled = true
			}, nil,
		},
		"a controller as load balancer": {
			func(w *world) {
				w.hosts["10.10.4.10"].facts.Addresses = append(w.hosts["10.10.4.10"].facts.Addresses, netip.MustParseAddr("10.10.0.2"))
			},
			[]string{"root@10.10.4.10:22: it is a controller (root@10.10.0.2:22) and a load balancer on the same ports"},
		},
		"a worker as load balancer": {
			func(w *world) {
				w.hosts["10.10.4.10"].facts.Addresses = append(w.hosts["10.10.4.10"].facts.Addresses, netip.MustParseAddr("10.10.20.2"))
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			c.change(w)
			expectProblems(t, w.survey().checkPorts(), c.want...)
		})
	}
}

func TestCheckRoutes(t *testing.T) {
	unreachable := func(addresses ...string) func(network, address string) (net.Conn, error) {
		return func(_, address string) (net.Conn, error) {
			for _, a := range addresses {
				if a == address {
					return nil, fmt.Errorf("dialing %s: ssh: rejected: connect failed (No route to host)", address)
				}
			}
			return nil, errors.New("ssh: rejected: connect failed (Connection refused)")
		}
	}
	w := newWorld(t, guideFile)
	expectProblems(t, w.survey().checkRoutes(t.Context()))

	w.hosts["10.10.0.2"].dial = unreachable("10.10.1.2:2380")
	w.hosts["10.10.4.10"].dial = unreachable("10.10.2.2:6443", "10.10.2.2:2380")
	w.hosts["10.10.20.2"].dial = unreachable("10.10.4.10:8132", "10.10.4.10:9443")
	expectProblems(t, w.survey().checkRoutes(t.Context()),
		"root@10.10.0.2:22: it cannot reach 10.10.1.2:2380",
		"root@10.10.4.10:22: it cannot reach 10.10.2.2:6443",
		"root@10.10.20.2:22: it cannot reach 10.10.4.10:8132",
	)
	// firewalld on the load balancer is opened in a step.
	w.hosts["10.10.4.10"].facts.Firewalld = true
	w.hosts["10.10.4.10"].dial, w.hosts["10.10.0.2"].dial = nil, nil
	expectProblems(t, w.survey().checkRoutes(t.Context()))
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]bool{
		"ssh: rejected: connect failed (Connection refused)":       true,
		"dial tcp 10.0.0.1:2380: connect: connection refused":      true,
		"ssh: rejected: connect failed (No route to host)":         false,
		"ssh: rejected: administratively prohibited (open failed)": false,
		"context deadline exceeded":                                false,
	} {
		if got := refused(errors.New(text)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	if _, err := net.Dial("tcp", address); !refused(err) {
		t.Errorf("a real one: %v", err)
	}
}

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"10.10.4.10", "10.10.4.10", true},
		{"10.10.4.10", "::ffff:10.10.4.10", true},
		{"fd00::10", "fd00:0:0::10", true},
		{"fd00::10", "FD00::10", true},
		{"lb.example.com", "LB.example.com", true},
		{"10.10.4.10", "10.10.4.11", false},
		{"10.10.4.10", "", false},
	} {
		if got := sameAddress(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: got %v", c.a, c.b, got)
		}
	}
}

func TestMeet(t *testing.T) {
	w := newWorld(t, guideFile)
	w.controlPlane("10.10.0.2")
	for name, c := range map[string]struct {
		members   []etcd.Member
		voters    string
		outsiders string
		want      []string
	}{
		"the seed alone": {[]etcd.Member{member(1, "cp1", "10.10.0.2")}, "cp1", "", nil},
		"a learner and one that has not started do not vote": {
			[]etcd.Member{member(1, "cp1", "10.10.0.2"), learner(2, "cp2", "10.10.1.2"), member(3, "", "10.10.2.2")}, "cp1", "", nil,
		},
		"a controller that is not in the file": {
			[]etcd.Member{member(1, "cp1", "10.10.0.2"), member(9, "CP9", "10.10.9.2")}, "cp1", "cp9 10.10.9.2", nil,
		},
		"one with IPv6": {
			[]etcd.Member{member(1, "cp1", "10.10.0.2"), member(9, "cp9", "fd00::9")}, "cp1", "cp9 fd00::9", nil,
		},
		"learners that are not in the file": {
			[]etcd.Member{member(1, "cp1", "10.10.0.2"), learner(9, "cp9", "10.10.9.2"), member(8, "", "10.10.8.2")}, "cp1", "", nil,
		},
		"one that is not in the file, by name": {
			[]etcd.Member{member(1, "cp1", "10.10.0.2"), member(9, "cp9", "cp9.example")}, "cp1", "",
			[]string{"the etcd member cp9 (9) is not in the file, and its address is a name (https://cp9.example:2380)"},
		},
		"another address than the file's": {
			[]etcd.Member{member(1, "cp1", "10.10.0.2"), member(2, "CP2", "192.0.2.2")}, "cp1", "",
			[]string{"root@10.10.1.2:22: etcd knows it at https://192.0.2.2:2380, not at 10.10.1.2: correct privateAddress"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.survey()
			expectProblems(t, s.meet(c.members), c.want...)
			var voters, outsiders []string
			for _, m := range s.controllers {
				if m.voter {
					voters = append(voters, m.name())
				}
			}
			for _, o := range s.outsiders {
				outsiders = append(outsiders, o.Name+" "+o.Address.String())
			}
			if got := strings.Join(voters, ", "); got != c.voters {
				t.Errorf("voters: %s, want %s", got, c.voters)
			}
			if got := strings.Join(outsiders, ", "); got != c.outsiders {
				t.Errorf("not in the file: %s, want %s", got, c.outsiders)
			}
		})
	}

	t.Run("data of a membership that ended keeps a host from joining", func(t *testing.T) {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2", "10.10.1.2")
		expectProblems(t, w.survey().meet([]etcd.Member{member(1, "cp1", "10.10.0.2")}),
			"root@10.10.1.2:22: there is data of an etcd membership in /var/lib/k0s that the cluster does not know any more: "+
				"run `k0s stop` and `k0s reset` on it")
	})

	t.Run("a controller that could not be looked at is no stranger", func(t *testing.T) {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2")
		delete(w.hosts, "10.10.1.2")
		s := w.survey()
		expectProblems(t, s.meet([]etcd.Member{member(1, "cp1", "10.10.0.2"), member(2, "cp2", "10.10.1.2")}))
		if len(s.outsiders) > 0 {
			t.Errorf("got %v", s.outsiders)
		}
	})
}

func TestOutsidersHaveToAnswer(t *testing.T) {
	w := newWorld(t, guideFile)
	w.controlPlane("10.10.0.2")
	members := []etcd.Member{member(1, "cp1", "10.10.0.2"), member(9, "cp9", "10.10.9.2")}
	c := w.survey()
	expectProblems(t, c.meet(members))
	expectProblems(t, c.checkOutsiders(t.Context()),
		"the controller cp9 (10.10.9.2), which is not in the file, does not answer: bring it back, or take it out with `kubectl ha-eject 10.10.9.2`")

	w.hosts["10.10.0.2"].dial = func(_, address string) (net.Conn, error) {
		if address != "10.10.9.2:6443" {
			t.Errorf("dialed %s", address)
		}
		here, _ := net.Pipe()
		return here, nil
	}
	c = w.survey()
	expectProblems(t, c.meet(members))
	expectProblems(t, c.checkOutsiders(t.Context()))
	if said := w.err.String(); !strings.Contains(said, "the controller cp9 (10.10.9.2) is not in the file: it keeps its place") {
		t.Errorf("said: %s", said)
	}
}
