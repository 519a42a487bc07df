package controlplane

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

func TestChooseSeed(t *testing.T) {
	bare, stopped, running := machine{}, machine{ca: "x"}, machine{ca: "x", answer: &k0s.Status{}}
	// k0s that runs without a CA is on its way up, or is a worker.
	starting := machine{answer: &k0s.Status{}}
	for name, c := range map[string]struct {
		controllers []machine
		want        int
	}{
		"bare hosts: the first":           {[]machine{bare, bare, bare}, 0},
		"the one that runs":               {[]machine{bare, stopped, running}, 2},
		"the first that runs":             {[]machine{stopped, running, running}, 1},
		"one that belongs to a cluster":   {[]machine{bare, starting, stopped}, 2},
		"the first of those":              {[]machine{bare, stopped, stopped}, 1},
		"one that has only begun is bare": {[]machine{bare, starting}, 0},
	} {
		controllers := make([]*machine, len(c.controllers))
		for i := range c.controllers {
			controllers[i] = &c.controllers[i]
		}
		if got := slices.Index(controllers, chooseSeed(controllers)); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestClusterAddress(t *testing.T) {
	ssh := func(address string) config.Connection { return config.Connection{SSH: &config.SSH{Address: address}} }
	facts := &host.Facts{Interfaces: map[string][]netip.Prefix{
		"eth1": {netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("fd00::5/64")},
		"eth2": {netip.MustParsePrefix("fe80::1/64")},
	}}
	for name, c := range map[string]struct {
		host config.Host
		want string // or the error
	}{
		"the connection's":     {config.Host{Conn: ssh("10.10.0.2")}, "10.10.0.2"},
		"the private one":      {config.Host{Conn: ssh("192.0.2.1"), PrivateAddress: "10.10.0.2"}, "10.10.0.2"},
		"IPv6":                 {config.Host{Conn: ssh("fd00:0:0::2")}, "fd00::2"},
		"IPv4 written as IPv6": {config.Host{PrivateAddress: "::ffff:10.10.0.2"}, "10.10.0.2"},
		"an interface's":       {config.Host{Conn: ssh("cp1.example"), PrivateInterface: "eth1"}, "10.0.0.5"},
		"an interface's, though the connection has an IP address": {
			config.Host{Conn: ssh("192.0.2.1"), PrivateInterface: "eth1"}, "10.0.0.5",
		},
		"the connection's, which is on the interface": {
			config.Host{Conn: ssh("fd00::5"), PrivateInterface: "eth1"}, "fd00::5",
		},
		"the private one, whatever the interface": {
			config.Host{Conn: ssh("192.0.2.1"), PrivateInterface: "eth9", PrivateAddress: "10.10.0.2"}, "10.10.0.2",
		},
		"no such interface, though the connection has an IP address": {
			config.Host{Conn: ssh("192.0.2.1"), PrivateInterface: "eth9"}, "the interface eth9 has no address",
		},
		"no such interface": {config.Host{Conn: ssh("cp1.example"), PrivateInterface: "eth9"}, "the interface eth9 has no address: correct privateInterface"},
		"an interface with nothing that others reach": {
			config.Host{Conn: ssh("cp1.example"), PrivateInterface: "eth2"}, "the interface eth2 has no address",
		},
		"a name": {config.Host{Conn: ssh("cp1.example")}, "its address is a name: set privateAddress"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := clusterAddress(&c.host, facts)
			if err != nil && !strings.HasPrefix(err.Error(), c.want) || err == nil && got.String() != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestUnjoin(t *testing.T) {
	a, b, d := errors.New("a"), errors.New("b"), errors.New("d")
	whole := fmt.Errorf("host: %w: %w", a, b)
	for name, c := range map[string]struct {
		err  error
		want []error
	}{
		"none":                        {nil, nil},
		"one":                         {a, []error{a}},
		"joined":                      {errors.Join(a, b), []error{a, b}},
		"joined twice":                {errors.Join(errors.Join(a, b), nil, d), []error{a, b, d}},
		"one that wraps two":          {whole, []error{whole}},
		"joined, one that wraps two":  {errors.Join(a, whole), []error{a, whole}},
		"joined errors with a prefix": {fmt.Errorf("x: %w", errors.Join(a, b)), []error{fmt.Errorf("x: %w", errors.Join(a, b))}},
	} {
		got := unjoin(c.err)
		if texts(got) != texts(c.want) || len(got) != len(c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestErrorsNameTheirHostOnce(t *testing.T) {
	conn := config.Connection{SSH: &config.SSH{Address: "10.10.0.2", User: "root", Port: 22}}
	for text, want := range map[string]string{
		"broken":                           "root@10.10.0.2:22: broken",
		"running `x` on root@10.10.0.2:22": "running `x` on root@10.10.0.2:22",
	} {
		if got := at(conn, errors.New(text)); got.Error() != want {
			t.Errorf("got %v", got)
		}
	}
	if at(conn, nil) != nil {
		t.Error("no error stays none")
	}
}

func TestNames(t *testing.T) {
	for name, c := range map[string]struct {
		machine machine
		want    string
	}{
		"as Kubernetes has it":              {machine{host: &config.Host{}, facts: &host.Facts{Hostname: "CP1.Example"}}, "cp1.example"},
		"the one that it will be given":     {machine{fresh: true, host: &config.Host{Hostname: "CP1"}, facts: &host.Facts{Hostname: "debian"}}, "cp1"},
		"one that has joined keeps its own": {machine{host: &config.Host{Hostname: "CP1"}, facts: &host.Facts{Hostname: "debian"}}, "debian"},
	} {
		if got := c.machine.name(); got != c.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestSurvey(t *testing.T) {
	w := newWorld(t, guideFile)
	w.controlPlane("10.10.1.2")
	w.joinWorker("10.10.20.2", testCA)
	w.hosts["10.10.4.10"].files["/etc/haproxy/haproxy.cfg"] = "global\n"
	c := w.survey()
	expectProblems(t, c.problems)
	if c.seed.name() != "cp2" || !c.exists() || !c.seed.running() || !c.seed.etcdData {
		t.Errorf("the seed is %+v", c.seed)
	}
	if got := c.workers[0]; got.fresh || got.apiServer != "https://10.10.0.2:6443" || got.ca != c.seed.ca {
		t.Errorf("the worker is %+v", got)
	}
	if string(c.balancers[0].cfg) != "global\n" {
		t.Errorf("haproxy.cfg is %q", c.balancers[0].cfg)
	}
	var fresh []string
	for _, m := range c.fresh() {
		fresh = append(fresh, m.name())
	}
	if got := strings.Join(fresh, " "); got != "cp1 cp3" {
		t.Errorf("fresh are %s", got)
	}

	t.Run("what cannot be read is a problem of its host", func(t *testing.T) {
		w := newWorld(t, guideFile)
		w.hosts["10.10.0.2"].files[k0s.ConfigPath] = "\t{"
		w.hosts["10.10.1.2"].files["/var/lib/k0s/pki/ca.crt"] = "nonsense"
		w.hosts["10.10.20.2"].files["/var/lib/k0s/kubelet.conf"] = "nothing"
		expectProblems(t, w.survey().problems, "root@10.10.0.2:22: reading /etc/k0s/k0s.yaml: ",
			"root@10.10.1.2:22: reading /var/lib/k0s/pki/ca.crt: ", "root@10.10.20.2:22: reading the kubelet's kubeconfig: ")
	})
	t.Run("an answer that is late holds nobody up who does not need it", func(t *testing.T) {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2", "10.10.1.2", "10.10.2.2")
		last := w.hosts["10.10.2.2"]
		answer, late := last.answer, make(chan struct{})
		last.answer = func(command string) (string, error) {
			if strings.HasSuffix(command, " status -o json") {
				<-late
			}
			return answer(command)
		}
		surveyed := make(chan *Cluster, 1)
		go func() { surveyed <- w.survey() }()
		select {
		case c := <-surveyed:
			close(late)
			if m := c.controllers[2]; !m.active() || !m.running() {
				t.Errorf("the late one is %+v", m)
			}
		case <-time.After(30 * time.Second):
			close(late)
			t.Error("it was waited for")
		}
	})
	t.Run("k0s that is between two starts counts as stopped", func(t *testing.T) {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2")
		w.hosts["10.10.0.2"].answer = func(command string) (string, error) {
			if strings.Contains(command, "status") {
				return "", errBroken
			}
			return "", nil
		}
		if c := w.survey(); c.seed.running() || !c.exists() || !c.down() {
			t.Errorf("the seed is %+v", c.seed)
		}
	})
}
