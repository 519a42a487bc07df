package haproxy

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

func defaultPorts() Ports { return Spec{}.WithDefaults().Ports }

// adoptInto does what a caller does: take over, fit the spec, render, replace.
func adoptInto(t *testing.T, cfg []byte, spec Spec) (*Adoption, []byte) {
	t.Helper()
	adoption, err := Adopt(cfg, spec.Ports)
	if err != nil {
		t.Fatal(err)
	}
	if !adoption.Found() {
		t.Fatal("found nothing to adopt")
	}
	spec, err = adoption.Fit(spec)
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := adoption.Replace(Render(spec, NewSlots(adoption.Servers, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return adoption, replaced
}

func TestGuideIsTakenOver(t *testing.T) {
	cfg := fixture(t, "user/guide.cfg")
	adoption, replaced := adoptInto(t, cfg, testSpec())
	golden.File(t, "testdata/adopt/guide.cfg", string(replaced))
	golden.File(t, "testdata/adopt/guide.diff", Diff("/etc/haproxy/haproxy.cfg", cfg, replaced))
	if !slices.Equal(adoption.Servers, guideServers()) {
		t.Errorf("servers %+v", adoption.Servers)
	}
	if !slices.Equal(adoption.Ports, []int{6443, 8132, 9443}) || adoption.Bind.IsValid() {
		t.Errorf("ports %v, bind %v", adoption.Ports, adoption.Bind)
	}
	if len(adoption.Lost) > 0 {
		t.Errorf("lost %v", adoption.Lost)
	}
	want := []AdoptedSection{
		{"frontend", "kubeAPI", 30, 33}, {"frontend", "konnectivity", 34, 37}, {"frontend", "controllerJoinAPI", 38, 41},
		{"backend", "kubeAPI_backend", 44, 49}, {"backend", "konnectivity_backend", 50, 55},
		{"backend", "controllerJoinAPI_backend", 56, 61},
	}
	if !slices.Equal(adoption.Sections, want) {
		t.Errorf("sections %+v", adoption.Sections)
	}
	for _, kept := range []string{"# Fronends\n# BEGIN", "# Backends\n", "# Listen\nlisten stats\n    bind *:9000\n"} {
		if !strings.Contains(string(replaced), kept) {
			t.Errorf("%q is gone", kept)
		}
	}
	if strings.Contains(string(replaced), StatsSection) {
		t.Error("a second statistics page")
	}
	if conflicts := adoption.Conflicts(testSpec()); len(conflicts) > 0 {
		t.Errorf("conflicts %v", conflicts)
	}
}

func TestTakingOverIsOncePerFile(t *testing.T) {
	_, replaced := adoptInto(t, fixture(t, "user/guide.cfg"), testSpec())
	adoption, err := Adopt(replaced, defaultPorts())
	if err != nil || adoption.Found() {
		t.Errorf("found %v, error %v", adoption, err)
	}
}

func TestTakingOverKeepsLineEndings(t *testing.T) {
	cfg := fixture(t, "user/guide.cfg")
	_, want := adoptInto(t, cfg, testSpec())
	_, got := adoptInto(t, toCRLF(cfg), testSpec())
	if !bytes.Equal(got, toCRLF(want)) {
		t.Error(Diff("haproxy.cfg", toCRLF(want), got))
	}
}

func TestFilesWithoutTheControlPlaneAreLeftAlone(t *testing.T) {
	for name, cfg := range userFiles(t) {
		if strings.HasPrefix(name, "guide") {
			continue
		}
		adoption, err := Adopt(cfg, defaultPorts())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if adoption.Found() {
			t.Errorf("%s: found %v", name, adoption.Sections)
		}
		if !bytes.Equal(adoption.Remaining(), cfg) {
			t.Errorf("%s: bytes are missing", name)
		}
		replaced, err := adoption.Replace(testBlock())
		if err != nil || !bytes.HasPrefix(replaced, cfg) {
			t.Errorf("%s: not appended: %v", name, err)
		}
	}
}

// handMade is a load balancer in another style than the guide's.
const handMade = `defaults
  timeout connect 5s
# the API
listen api # all of it
	bind	*:6443 name api
	bind [::]:6443 v6only

	# the servers
	balance roundrobin
	option tcp-check
	default-server inter 3s rise 1 weight 10
	server cp1 10.0.0.1:6443 check
	server cp2 10.0.0.2:6443 check disabled
	# a comment at the end

# a site
frontend web
	bind :80
	mode http
	default_backend pages
backend pages
	server a 10.0.0.1:80
# joining
frontend join
	bind :::9443 v4v6
	default_backend join_servers
backend join_servers
	stick-table type ip size 1k
	stick on src
	timeout server 1h
	server one 10.0.0.1 weight 5
	server three [fd00::3]:9443 check weight 0`

func TestOtherStylesAreTakenOver(t *testing.T) {
	adoption, replaced := adoptInto(t, []byte(handMade), testSpec())
	golden.File(t, "testdata/adopt/hand-made.cfg", string(replaced))
	if !slices.Equal(adoption.Ports, []int{6443, 9443}) {
		t.Errorf("ports %v", adoption.Ports)
	}
	if adoption.Bind != netip.IPv6Unspecified() {
		t.Errorf("bind %v", adoption.Bind)
	}
	want := []Server{
		{"cp1", addr("10.0.0.1"), true}, {"cp2", addr("10.0.0.2"), false}, {"three", addr("fd00::3"), false},
	}
	if !slices.Equal(adoption.Servers, want) {
		t.Errorf("servers %+v", adoption.Servers)
	}
	var lost []string
	for _, l := range adoption.Lost {
		lost = append(lost, l.String())
	}
	wantLost := []string{
		"line 4: listen api has no server three (fd00::3): the block has every server in all backends",
		"line 5: bind option name api",
		"line 9: balance roundrobin (the block has what the cluster file says)",
		"line 11: server option weight 10",
		"line 27: backend join_servers has no server cp2 (10.0.0.2): the block has every server in all backends",
		"line 28: stick-table type ip size 1k",
		"line 29: stick on src",
		"line 30: timeout server 1h",
		"line 31: server option weight 5",
		"line 32: server option weight 0",
	}
	if !slices.Equal(lost, wantLost) {
		t.Errorf("lost\n%s\nwant\n%s", strings.Join(lost, "\n"), strings.Join(wantLost, "\n"))
	}
}

func TestServersKeepDistinctNames(t *testing.T) {
	cfg := `listen a
 bind :6443
 server cp 10.0.0.1:6443
listen b
 bind :9443
 server cp 10.0.0.2:9443
 server cp fd00::1:9443
`
	adoption, err := Adopt([]byte(cfg), defaultPorts())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, server := range adoption.Servers {
		names = append(names, server.Name)
	}
	if want := []string{"cp", "10.0.0.2", "fd00--1"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if err := ValidateSlots(NewSlots(adoption.Servers, 1)); err != nil {
		t.Error(err)
	}
}

func TestOneSectionMayServeSeveralOfOurPorts(t *testing.T) {
	cfg := "listen k0s\n bind :6443,:8132\n bind :9443\n server cp1 10.0.0.1 check port 6443\n"
	adoption, _ := adoptInto(t, []byte(cfg), testSpec())
	if len(adoption.Ports) != 3 || len(adoption.Servers) != 1 || len(adoption.Sections) != 1 {
		t.Errorf("got %+v", adoption)
	}
}

func TestSingleAddressIsKept(t *testing.T) {
	cfg := "listen k0s\n bind 10.10.4.10:6443\n server cp1 10.0.0.1:6443\n"
	_, replaced := adoptInto(t, []byte(cfg), testSpec())
	if !strings.Contains(string(replaced), "    bind 10.10.4.10:9443\n") {
		t.Errorf("got\n%s", replaced)
	}
}

func TestWhatCannotBeTakenOverExactlyIsRefused(t *testing.T) {
	guide := string(fixture(t, "user/guide.cfg"))
	change := func(old, replacement string) string {
		if !strings.Contains(guide, old) {
			t.Fatalf("the guide has no %q", old)
		}
		return strings.Replace(guide, old, replacement, 1)
	}
	tests := []struct{ name, cfg, want string }{
		{"another port", change("bind :8132\n", "bind :8132\n    bind :443\n"),
			"line 36: frontend konnectivity listens on :443 too: move that address into a section of its own"},
		{
			"a range of ports", change("bind :6443\n", "bind :6440-6449\n"),
			"line 31: frontend kubeAPI listens on :6440-6449 too",
		},
		{"a socket", change("bind :6443\n", "bind :6443\n    bind /run/k.sock\n"),
			"line 32: frontend kubeAPI listens on /run/k.sock too"},
		{"a shared backend", guide + "frontend more\n    bind :7443\n    mode tcp\n    default_backend kubeAPI_backend\n",
			`line 72: frontend more uses backend kubeAPI_backend as well: "default_backend kubeAPI_backend"`},
		{"a backend in use by a condition", guide + "frontend more\n    use_backend kubeAPI_backend if TRUE\n",
			"line 70: frontend more uses backend kubeAPI_backend as well"},
		{"a backend in an expression", guide + "frontend more\n    acl dead nbsrv(kubeAPI_backend) lt 1\n",
			"line 70: frontend more uses backend kubeAPI_backend as well"},
		{"a tracked server", guide + "backend more\n    server a 10.0.0.1:1 track kubeAPI_backend/k0s-at-vie-1\n",
			"line 70: backend more uses backend kubeAPI_backend as well"},
		{"a condition", change("bind :6443\n", "bind :6443\n    use_backend other if { src 10.0.0.0/8 }\n"),
			`line 32: frontend kubeAPI sends connections by a condition: "use_backend other`},
		{"an access list", change("bind :6443\n", "bind :6443\n    tcp-request connection reject if !{ src ::1 }\n"),
			"line 32: frontend kubeAPI has a directive that the block does not have: \"tcp-request connection reject"},
		{
			"TLS termination", change("bind :6443\n", "bind :6443 ssl crt /etc/x.pem\n"),
			"line 31: frontend kubeAPI terminates TLS",
		},
		{
			"PROXY protocol accepted", change("bind :6443\n", "bind :6443 accept-proxy\n"),
			"line 31: frontend kubeAPI has the bind option accept-proxy",
		},
		{"PROXY protocol sent", change("10.10.1.2:6443 check", "10.10.1.2:6443 send-proxy check"),
			"line 48: backend kubeAPI_backend sends the PROXY protocol (send-proxy)"},
		{"PROXY protocol in defaults", change("    maxconn                 3000\n", "    default-server send-proxy-v2\n"),
			"line 27: backend kubeAPI_backend sends the PROXY protocol (send-proxy-v2)"},
		{
			"TLS to the servers", change("10.10.1.2:6443 check", "10.10.1.2:6443 ssl check"),
			"line 48: backend kubeAPI_backend encrypts",
		},
		{
			"unknown server option", change("10.10.1.2:6443 check", "10.10.1.2:6443 warp check"),
			"line 48: backend kubeAPI_backend has the server option warp",
		},
		{
			"unknown directive", change("bind :6443\n", "bind :6443\n    warp on\n"),
			`line 32: frontend kubeAPI has a directive that the block does not have: "warp on"`,
		},
		{
			"a host name", change("10.10.1.2:6443", "cp2.example:6443"),
			"line 48: the address cp2.example:6443 of server k0s-at-vie-1 is not an IP address: write its",
		},
		{
			"another port on the servers", change("10.10.1.2:6443", "10.10.1.2:16443"),
			"line 48: server k0s-at-vie-1 gets connections for port 6443 on port 16443",
		},
		{"two sections for one port", guide + "listen again\n    bind 10.0.0.1:6443\n    server a 10.0.0.1:6443\n",
			"line 69: listen again listens on port 6443 as frontend kubeAPI (line 30) does: leave one of them"},
		{
			"no backend", change("    default_backend kubeAPI_backend\n", ""),
			"line 30: frontend kubeAPI has no default_backend of its own",
		},
		{
			"a missing backend", change("default_backend kubeAPI_backend\n", "default_backend other\n"),
			"line 33: frontend kubeAPI uses the backend other, which does not exist",
		},
		{
			"http mode", change("    bind :6443\n    mode tcp\n", "    bind :6443\n"),
			"line 30: frontend kubeAPI is in mode http: set mode tcp",
		},
		{
			"http mode from the defaults of its defaults",
			"defaults a\n mode http\ndefaults b from a\n timeout client 1s\nlisten k0s\n bind :6443\n server a 10.0.0.1:6443\n",
			"line 5: listen k0s is in mode http: set mode tcp",
		},
		{
			"a condition around", change("frontend kubeAPI\n", ".if defined(X)\nfrontend kubeAPI\n") + ".endif\n",
			"line 31: frontend kubeAPI lies in an .if",
		},
		{
			"a condition inside", change("    bind :8132\n", "    .if defined(X)\n    bind :8132\n    .endif\n"),
			"line 34: frontend konnectivity lies in an .if, or has one in it",
		},
		{
			"an environment variable", change("10.10.1.2:6443", `"${CP2}:6443"`),
			"line 48: backend kubeAPI_backend uses an environment variable",
		},
		{
			"a variable in bind", change("bind :6443", `bind "${ADDRESS}:6443"`),
			"line 31: frontend kubeAPI uses an environment variable",
		},
		{
			"several addresses", change("bind :6443\n", "bind 10.0.0.1:6443\n    bind 10.0.0.2:6443\n"),
			"line 30: frontend kubeAPI listens on several addresses",
		},
		{
			"different addresses", change("bind :9443\n", "bind 10.0.0.1:9443\n"),
			"line 38: frontend controllerJoinAPI listens on another address",
		},
		{
			"disabled", change("bind :9443\n", "bind :9443\n    disabled\n"),
			"line 40: frontend controllerJoinAPI is disabled",
		},
		{
			"servers disabled by default", change("    balance leastconn\n", "    default-server disabled\n"),
			"line 46: backend kubeAPI_backend takes its servers out of service",
		},
		{"peers on our port", guide + "peers p\n    bind :6443\n", "line 69: peers p listens on port 6443"},
		{
			"a block already", guide + string(testBlock()),
			"line 30: frontend kubeAPI listens on a port of the managed block (lines 69 to",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			adoption, err := Adopt([]byte(test.cfg), defaultPorts())
			var refused *RefusedError
			if !errors.As(err, &refused) || adoption != nil {
				t.Fatalf("not refused: %v, %v", adoption, err)
			}
			if !strings.Contains(err.Error(), "\n"+test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAllReasonsAreGivenAtOnce(t *testing.T) {
	cfg := strings.NewReplacer(
		":9443\n", ":9443 ssl\n", "10.10.1.2:6443", "cp2:6443", "bind :8132\n", "bind :8132\n    tcp-request inspect-delay 5s\n",
	).Replace(string(fixture(t, "user/guide.cfg")))
	_, err := Adopt([]byte(cfg), defaultPorts())
	var refused *RefusedError
	if !errors.As(err, &refused) || len(refused.Refusals) != 3 {
		t.Fatalf("got %v", err)
	}
	lines := []int{refused.Refusals[0].Line, refused.Refusals[1].Line, refused.Refusals[2].Line}
	if !slices.IsSorted(lines) {
		t.Errorf("lines %v are out of order", lines)
	}
}
