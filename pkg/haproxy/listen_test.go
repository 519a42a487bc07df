package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestBoundPortsAreThoseOfTheUser(t *testing.T) {
	cfg := string(testBlock()) + `
global
    stats socket 127.0.0.1:9999
listen a
    bind :80,*:81 name x
    bind 10.0.0.1:90-92
    bind ipv6@[fd00::1]:93 v4v6
    bind :::94
    bind "${ADDRESS}:95"
    bind "127.0.0.1:${PORT}"
    bind /run/a.sock
    bind unix@/run/b.sock:99
    bind quic4@:443 ssl crt x
    #bind :96
backend b
    server bind 10.0.0.1:97
peers p
    bind :1024
`
	bound, err := BoundPorts([]byte(cfg))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range bound {
		got = append(got, fmt.Sprintf("%s %d-%d %s", b.Address, b.First, b.Last, b.Section))
	}
	want := []string{" 80-80 listen a", "* 81-81 listen a", "10.0.0.1 90-92 listen a", "fd00::1 93-93 listen a",
		":: 94-94 listen a", "${ADDRESS} 95-95 listen a", " 1024-1024 peers p"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if line := strings.Count(cfg[:strings.Index(cfg, "bind :80")], "\n") + 1; bound[0].Line != line {
		t.Errorf("line %d, want %d", bound[0].Line, line)
	}
}

func TestConflictsNamePortsAndSections(t *testing.T) {
	cfg := `listen api
    bind 10.0.0.1:6443
frontend konnectivity_backend
    bind :1
frontend range
    bind :9000-9500
backend kubectl_ha_stats
`
	conflicts, err := Conflicts([]byte(cfg), testSpec())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range conflicts {
		got = append(got, c.String())
	}
	want := []string{
		"line 2: listen api listens on port 6443",
		"line 3: frontend konnectivity_backend has a name that the managed block needs",
		"line 6: frontend range listens on port 9443",
		"line 7: backend kubectl_ha_stats has a name",
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, cfg := range userFiles(t) {
		if strings.HasPrefix(name, "guide") {
			continue
		}
		if conflicts, err := Conflicts(cfg, testSpec()); err != nil || len(conflicts) > 0 {
			t.Errorf("%s: %v, %v", name, conflicts, err)
		}
	}
}

// Measured with HAProxy 2.6: what is left of such options makes it send a PROXY header in spite of `no-send-proxy`
// and `no-send-proxy-v2`, while every check passes.
func TestConflictsNameWhatTheBlockWouldInherit(t *testing.T) {
	for _, test := range []struct{ cfg, want string }{
		{"defaults\n    default-server send-proxy-v2 proxy-v2-options crc32c\n", "line 2: defaults has \"default-server send-proxy-v2 proxy"},
		{"defaults\n    default-server send-proxy-v2-ssl\n", "line 2: defaults has"},
		{"defaults\n    default-server send-proxy-v2-ssl-cn\n", "line 2: defaults has"},
		{"defaults\n    default-server disabled\n", "line 2: defaults has"},
		{"defaults\n    disabled\n", "line 2: defaults has \"disabled\", which the managed block would inherit"},
		{"defaults a\n    disabled\ndefaults b from a\n    mode tcp\n", "line 2: defaults a has"},
		{"defaults\n    disabled\ndefaults\n    mode tcp\n", ""},
		{"defaults\n    default-server ssl send-proxy-v2 backup\n", ""},
		{string(testBlock()) + "defaults\n    disabled\n", ""},
		{"backend mine\n    default-server send-proxy-v2-ssl\n    disabled\n", ""},
	} {
		conflicts, err := Conflicts([]byte(test.cfg), testSpec())
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(conflicts); (len(conflicts) > 0) != (test.want != "") || !strings.Contains(got, test.want) {
			t.Errorf("%q: got %s, want %q", test.cfg, got, test.want)
		}
	}
}

func TestConflictsBesideAnAdoptionHaveTheLinesOfTheFile(t *testing.T) {
	cfg := "listen api\n    bind :6443\n    server a 10.0.0.1:6443\nfrontend kubeAPI\n    bind :1\n" +
		"defaults\n    disabled\n"
	adoption, err := Adopt([]byte(cfg), defaultPorts())
	if err != nil {
		t.Fatal(err)
	}
	conflicts := adoption.Conflicts(testSpec())
	if len(conflicts) != 1 || !strings.HasPrefix(conflicts[0].String(), "line 4: frontend kubeAPI has a name") {
		t.Errorf("%v", conflicts)
	}
}

func TestOurOwnBlockIsNoConflict(t *testing.T) {
	conflicts, err := Conflicts(testBlock(), testSpec())
	if err != nil || len(conflicts) > 0 {
		t.Errorf("got %v, %v", conflicts, err)
	}
}

func TestSpecIsFittedToTheFile(t *testing.T) {
	const log = "global\n    log /dev/log local0\n"
	tests := []struct {
		name, cfg string
		stats     string
		noLog     bool
	}{
		{"empty", "", ":9000", true},
		{"no defaults", log, ":9000", true},
		{"logs", log + "defaults\n    log global\n", ":9000", false},
		{"logs on its own", "defaults\n    log 127.0.0.1 local0\n", ":9000", false},
		{"logs nowhere, for want of a target", "defaults\n    log global\n", ":9000", true},
		{"logs no more", log + "defaults\n    log global\n    no log\n", ":9000", true},
		{"the last defaults count", log + "defaults\n    log global\ndefaults\n    mode tcp\n", ":9000", true},
		{
			"those before the block count",
			log + "defaults\n    log global\n" + string(testBlock()) + "defaults\n    mode tcp\n", ":9000", false,
		},
		{"9000 taken", log + "defaults\n    log global\nlisten stats\n    bind 127.0.0.1:9000\n", "", false},
		{"9000 ours", log + "defaults\n    log global\n" + string(testBlock()), ":9000", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec, err := testSpec().FitTo([]byte(test.cfg))
			if err != nil {
				t.Fatal(err)
			}
			if spec.StatsListen != test.stats || spec.NoLog != test.noLog {
				t.Errorf("stats %q, no log %t; want %q, %t", spec.StatsListen, spec.NoLog, test.stats, test.noLog)
			}
		})
	}
}

func TestBlockKeepsTheAddressItListensOn(t *testing.T) {
	there, wanted := addr("10.10.4.10"), addr("10.10.4.11")
	spec := testSpec()
	spec.Bind = there
	cfg := Render(spec, NewSlots(guideServers(), 0))
	for unset, want := range map[netip.Addr]netip.Addr{{}: there, wanted: wanted} {
		spec.Bind = unset
		fitted, err := spec.FitTo(cfg)
		if err != nil || fitted.Bind != want {
			t.Errorf("%v: got %v, %v; want %v", unset, fitted.Bind, err, want)
		}
	}
}

func TestSpecValidation(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Spec)
		want   string
	}{
		{"good", func(*Spec) {}, ""},
		{"name", func(s *Spec) { s.Name = "a b" }, `load balancer name "a b"`},
		{"no name", func(s *Spec) { s.Name = "" }, `load balancer name ""`},
		{"port range", func(s *Spec) { s.Ports.KubeAPI = 65536 }, "port 65536"},
		{"same port", func(s *Spec) { s.Ports.KubeAPI = 9443 }, "port 9443: used twice"},
		{"balance", func(s *Spec) { s.Balance = "source" }, `balance "source"`},
		{"check", func(s *Spec) { s.Check = "ping" }, `check "ping"`},
		{"spares", func(s *Spec) { s.Spares = -1 }, "spare servers -1"},
		{"path", func(s *Spec) { s.CAFile = "/etc/my ca" }, `CA file "/etc/my ca"`},
		{"no socket", func(s *Spec) { s.SocketPath = "" }, `runtime socket ""`},
		{"no client certificate", func(s *Spec) { s.ClientFile = "" }, `client certificate file ""`},
		{"relative", func(s *Spec) { s.ClientFile = "client.pem" }, `client certificate file "client.pem"`},
		{"no CA", func(s *Spec) { s.CAFile = "" }, ""},
		{"injection", func(s *Spec) { s.SocketPath = "/x\nglobal" }, "runtime socket"},
		{"stats", func(s *Spec) { s.StatsListen = "9000" }, `stats listen "9000"`},
		{"stats host", func(s *Spec) { s.StatsListen = "a b:9000" }, `stats listen "a b:9000"`},
		{"stats port", func(s *Spec) { s.StatsListen = ":6443" }, "port 6443: used twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := testSpec()
			test.change(&spec)
			err := spec.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestFreshSlots(t *testing.T) {
	servers := []Server{{Name: "slot2", Address: addr("10.0.0.1"), Active: true}, {Name: "b", Address: addr("10.0.0.2")}}
	got := NewSlots(servers, 2)
	want := []Slot{
		{0, "slot2", addr("10.0.0.1"), true}, {1, "b", addr("10.0.0.2"), false}, {Index: 2, Name: "slot3"},
		{Index: 3, Name: "slot4"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	servers[0].Name = "slot4"
	if err := ValidateSlots(NewSlots(servers, 2)); err != nil {
		t.Errorf("a controller with the name of a spare: %v", err)
	}
}

func TestSlotValidation(t *testing.T) {
	good := NewSlots(guideServers(), 2)
	tests := []struct {
		name   string
		change func([]Slot)
		want   string
	}{
		{"good", func([]Slot) {}, ""},
		{"same name", func(s []Slot) { s[1].Name = s[0].Name }, `server "k0s-ch-sion-1": the name is used twice`},
		{"same address", func(s []Slot) { s[1].Address = addr("::ffff:10.10.0.2") }, "address 10.10.0.2 is that of"},
		{"name", func(s []Slot) { s[0].Name = "a\nb" }, `server "a\nb"`},
		{"zone", func(s []Slot) { s[0].Address = addr("fe80::1%eth0") }, "fe80::1%eth0"},
		{"unspecified", func(s []Slot) { s[0].Address = addr("0.0.0.0") }, "0.0.0.0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			slots := slices.Clone(good)
			test.change(slots)
			err := ValidateSlots(slots)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
