package controlplane

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
)

func TestSpecOf(t *testing.T) {
	ports := config.Ports{KubeAPI: 6443, Konnectivity: 8132, ControllerJoin: 9443}
	for name, c := range map[string]struct {
		lb   config.LoadBalancer
		want func(haproxy.Spec) haproxy.Spec
	}{
		"readyz": {
			config.LoadBalancer{Name: "control-plane", Ports: ports, Balance: "leastconn", Check: config.CheckReadyz,
				ConfigPath: "/etc/haproxy/haproxy.cfg", Stats: config.Stats{Listen: ":9000"}, SpareServers: 3},
			func(s haproxy.Spec) haproxy.Spec {
				s.Name, s.Ports, s.Balance, s.Check = "control-plane", haproxy.Ports(ports), "leastconn", haproxy.CheckReadyz
				s.StatsListen, s.Spares, s.ConfigPath = ":9000", 3, "/etc/haproxy/haproxy.cfg"
				s.CAFile, s.ClientFile = haproxy.DefaultCAFile, haproxy.DefaultClientFile
				return s
			},
		},
		"tls needs no certificate, and stats may be off": {
			config.LoadBalancer{Name: "x", Ports: ports, Balance: "roundrobin", Check: config.CheckTLS,
				ConfigPath: "/etc/h.cfg", Stats: config.Stats{Listen: ":9000", Disabled: true}, SpareServers: 1},
			func(s haproxy.Spec) haproxy.Spec {
				s.Name, s.Ports, s.Balance, s.Check = "x", haproxy.Ports(ports), "roundrobin", haproxy.CheckTLS
				s.Spares, s.ConfigPath = 1, "/etc/h.cfg"
				return s
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := specOf(&c.lb), c.want(haproxy.Spec{}).WithDefaults(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestCheckUntilThereIsACertificate(t *testing.T) {
	c := newWorld(t, guideFile).survey()
	for certified, want := range map[bool]haproxy.CheckMode{false: haproxy.CheckTLS, true: haproxy.CheckReadyz} {
		b := c.balancers[0]
		b.certified = certified
		current, err := c.balancer(b).Current(t.Context())
		if err != nil || current.Spec.Check != want || (current.Spec.ClientFile != "") != certified {
			t.Errorf("certified %v: %+v, %v", certified, current, err)
		}
	}
}

func serverList(servers []haproxy.Server) string {
	var list []string
	for _, s := range servers {
		text := s.Name + " " + s.Address.String()
		if s.Active {
			text += " active"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func TestServers(t *testing.T) {
	t.Run("of bare hosts", func(t *testing.T) {
		c := newWorld(t, guideFile).survey()
		if got, want := serverList(c.servers(c.running)), "cp1 10.10.0.2 active, cp2 10.10.1.2, cp3 10.10.2.2"; got != want {
			t.Errorf("got %s", got)
		}
		if got, want := serverList(c.servers(c.all)), "cp1 10.10.0.2 active, cp2 10.10.1.2 active, cp3 10.10.2.2 active"; got != want {
			t.Errorf("got %s", got)
		}
	})
	t.Run("of a control plane with a member that is not in the file", func(t *testing.T) {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.1.2", "10.10.2.2")
		c := w.survey()
		expectProblems(t, c.meet([]etcd.Member{member(2, "cp2", "10.10.1.2"), member(3, "cp3", "10.10.2.2"), member(9, "cp9", "10.10.9.2")}))
		if got, want := serverList(c.servers(c.running)), "cp1 10.10.0.2, cp2 10.10.1.2 active, cp3 10.10.2.2 active, cp9 10.10.9.2 active"; got != want {
			t.Errorf("got %s", got)
		}
	})
	t.Run("of a control plane that is down", func(t *testing.T) {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.1.2", "10.10.2.2")
		for _, h := range w.hosts {
			h.facts.Services = map[string]string{}
		}
		c := w.survey()
		if got, want := serverList(c.servers(c.running)), "cp1 10.10.0.2, cp2 10.10.1.2 active, cp3 10.10.2.2 active"; got != want {
			t.Errorf("got %s", got)
		}
		if got := len(c.stopped()); got != 2 {
			t.Errorf("%d are to be started: etcd needs its quorum", got)
		}
	})
}

// blockOf is an haproxy.cfg in which the servers are ready.
func blockOf(c *Cluster, servers ...haproxy.Server) string {
	spec := specOf(c.file.LoadBalancer)
	spec.Check, spec.CAFile, spec.ClientFile = haproxy.CheckTLS, "", ""
	return string(haproxy.Render(spec, haproxy.NewSlots(servers, spec.Spares)))
}

func TestServersThatTheFileDoesNotNameStayWhileTheControlPlaneIsDown(t *testing.T) {
	w := newWorld(t, guideFile)
	c := w.survey()
	stranger := haproxy.Server{Name: "cp9", Address: netip.MustParseAddr("10.10.9.2"), Active: true}
	w.hosts["10.10.4.10"].files["/etc/haproxy/haproxy.cfg"] = blockOf(c, append(c.servers(c.all), stranger,
		haproxy.Server{Name: "cp8", Address: netip.MustParseAddr("10.10.8.2")})...)
	current, err := c.balancer(c.balancers[0]).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := serverList(c.kept(current)); got != "cp9 10.10.9.2 active" {
		t.Errorf("kept are %s", got)
	}

	// A plan while it is down keeps them; one for a control plane of which it is known that they left takes them out.
	plan := func(c *Cluster) string {
		_, plan, err := c.plan(t.Context(), c.balancers[0], c.running)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(plan.Lines(), "\n") + plan.Diff()
	}
	w.controlPlane("10.10.0.2")
	w.hosts["10.10.0.2"].facts.Services = map[string]string{}
	if down := w.survey(); !down.down() || strings.Contains(plan(down), "-    server cp9") {
		t.Errorf("down: %v, %s", down.down(), plan(down))
	}
	w.controlPlane("10.10.0.2")
	known := w.survey()
	expectProblems(t, known.meet([]etcd.Member{member(1, "cp1", "10.10.0.2")}))
	if got := plan(known); !strings.Contains(got, "cp9") {
		t.Errorf("one that is no member must leave: %s", got)
	}
}

func TestOpenings(t *testing.T) {
	ports := config.Ports{KubeAPI: 6443, Konnectivity: 8132, ControllerJoin: 9443}
	for name, c := range map[string]struct {
		facts host.Facts
		want  string
	}{
		"nothing":          {host.Facts{SELinux: "disabled"}, ""},
		"SELinux":          {host.Facts{SELinux: "enforcing"}, "SELinux: haproxy_connect_any"},
		"SELinux, lenient": {host.Facts{SELinux: "permissive"}, "SELinux: haproxy_connect_any"},
		"both": {
			host.Facts{SELinux: "enforcing", Firewalld: true},
			"SELinux: haproxy_connect_any, firewalld: port 6443, firewalld: port 8132, firewalld: port 9443",
		},
	} {
		var titles []string
		for _, o := range openings(&c.facts, ports) {
			titles = append(titles, o.title)
			if o.check == "" || o.allow == "" {
				t.Errorf("%s: %+v", name, o)
			}
		}
		if got := strings.Join(titles, ", "); got != c.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestOnlyWhatIsClosedIsOpened(t *testing.T) {
	w := newWorld(t, guideFile)
	lb := w.hosts["10.10.4.10"]
	lb.facts.Firewalld = true
	for _, o := range openings(&lb.facts, w.file.LoadBalancer.Ports) {
		if strings.Contains(o.title, "8132") {
			lb.fail["run "+o.check] = errBroken
		}
	}
	c := w.survey()
	if reason, err := c.skipOpen(t.Context()); err != nil || reason != "" {
		t.Errorf("got %q, %v", reason, err)
	}
	lb.log = nil
	if err := c.open(t.Context()); err != nil {
		t.Error(err)
	}
	if did := lb.did(); strings.Count(did, "--add-port=8132/tcp") != 2 || strings.Contains(did, "--add-port=6443") {
		t.Errorf("did:\n%s", did)
	}
}
