package config

import (
	"slices"
	"strings"
	"testing"
)

const oneController = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - {role: controller, ssh: {address: 10.10.0.2}}
`

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := source("f").Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSetLoadBalancerReadsTheFlag(t *testing.T) {
	for spec, want := range map[string]string{
		"10.10.4.10":            "root@10.10.4.10:22",
		"admin@10.10.4.10":      "admin@10.10.4.10:22",
		"admin@lb.example:2222": "admin@lb.example:2222",
		"a@b@lb":                "a@b@lb:22",
		"fd00::1":               "root@[fd00::1]:22",
		"[fd00::1]":             "root@[fd00::1]:22",
		"admin@[fd00::1]:2222":  "admin@[fd00::1]:2222",
		"fe80::1%eth0":          "root@[fe80::1%eth0]:22",
	} {
		f := parse(t, oneController)
		if err := f.SetLoadBalancer(spec); err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got := f.flags[0].host.Conn.String(); got != want {
			t.Errorf("%s: got %s, want %s", spec, got, want)
		}
	}
}

func TestSetLoadBalancerRefusesWhatIsNoHost(t *testing.T) {
	for spec, want := range map[string]string{
		"":           `load balancer "": "" is neither an IP address nor a host name: correct it; write [USER@]HOST[:PORT]`,
		"@lb":        `load balancer "@lb": the user before @ is empty: write one, or remove the @`,
		"-x@lb":      `load balancer "-x@lb": "-x" is no user name: correct it`,
		"lb:0":       `load balancer "lb:0": port 0 is out of range: write [USER@]HOST[:PORT]`,
		"lb:70000":   `load balancer "lb:70000": "lb:70000" is neither an IP address nor a host name: correct it; write [USER@]HOST[:PORT]`,
		"lb:":        `load balancer "lb:": "lb:" is neither an IP address nor a host name: correct it; write [USER@]HOST[:PORT]`,
		"10.0.0.300": `load balancer "10.0.0.300": "10.0.0.300" is neither an IP address nor a host name: correct it; write [USER@]HOST[:PORT]`,
		"0.0.0.0":    `load balancer "0.0.0.0": "0.0.0.0" is no machine's address: write its own IP address or name; write [USER@]HOST[:PORT]`,
	} {
		if err := parse(t, oneController).SetLoadBalancer(spec); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", spec, err, want)
		}
	}
}

func TestCompleteTakesAddressAndPortsFromTheCluster(t *testing.T) {
	const k0s = `  k0s: {config: {spec: {api: {externalAddress: API.example., port: 7443, k0sApiPort: 9444}, konnectivity: {agentPort: 8133}}}}
`
	f := parse(t, oneController+k0s)
	for _, spec := range []string{"lb1", "lb2"} {
		if err := f.SetLoadBalancer(spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Complete(); err != nil {
		t.Fatal(err)
	}
	lb := f.LoadBalancer
	if lb.Address != "api.example" || lb.Ports != (Ports{7443, 8133, 9444}) || len(lb.Hosts) != 2 || lb.Line != 0 {
		t.Errorf("got %+v", lb)
	}
	if lb.Name != DefaultLoadBalancerName || lb.Balance != DefaultBalance || lb.Check != CheckReadyz || lb.SpareServers != DefaultSpareServers {
		t.Errorf("defaults: %+v", lb)
	}
}

func TestCompleteTakesTheAddressOfTheOneHost(t *testing.T) {
	for spec, want := range map[string]string{"lb.Example": "lb.example", "10.10.4.10": "10.10.4.10"} {
		f := parse(t, oneController)
		if err := f.SetLoadBalancer(spec); err != nil {
			t.Fatal(err)
		}
		if err := f.Complete(); err != nil || f.LoadBalancer.Address != want {
			t.Errorf("%s: %v, %+v", spec, err, f.LoadBalancer)
		}
	}
}

func TestFlagsNameTheHostsOfADocumentWithoutHosts(t *testing.T) {
	f := parse(t, oneController+"---\napiVersion: kubectl-ha.io/v1alpha1\nkind: LoadBalancer\nspec: {address: 10.10.4.9, check: tls}\n")
	if err := f.SetLoadBalancer("lb1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Complete(); err != nil {
		t.Fatal(err)
	}
	if lb := f.LoadBalancer; lb.Address != "10.10.4.9" || lb.Check != CheckTLS || len(lb.Hosts) != 1 || lb.Line != 7 {
		t.Errorf("got %+v", lb)
	}
}

func TestCompleteReportsWhatFlagsMakeWrong(t *testing.T) {
	balancer := "---\napiVersion: kubectl-ha.io/v1alpha1\nkind: LoadBalancer\nspec:\n  hosts:\n    - ssh: {address: lb0}\n"
	for _, test := range []struct {
		name, file string
		flags      []string
		want       string
	}{
		{"hosts in both", oneController + balancer, []string{"lb1"},
			"f:10: spec.hosts: load balancer hosts are named here and with --lb: remove one of the two"},
		{"a controller", oneController, []string{"10.10.0.2"},
			"f: --lb: root@10.10.0.2:22 is a controller too (spec.hosts[0] in line 5), and HAProxy and k0s would both listen on " +
				"6443, 8132 and 9443: use a machine that is no controller"},
		{"twice", oneController + "  k0s: {config: {spec: {api: {externalAddress: x}}}}\n", []string{"lb1", "admin@LB1"},
			"f: --lb: admin@LB1:22 is load balancer host 1 too: remove one of the two"},
		{"no address", oneController, []string{"lb1", "lb2"},
			"f: spec.address: the load balancer's address is not known: write it here or as spec.k0s.config.spec.api.externalAddress"},
		{"no address of its own", oneController, []string{"localhost"},
			"f: spec.address: the load balancer's address is not known: write it here or as spec.k0s.config.spec.api.externalAddress"},
		{"statistics on a port of k0s", oneController + "  k0s: {config: {spec: {api: {port: 9000}}}}\n", []string{"lb1"},
			"f: spec.stats.listen: port 9000 is that of spec.k0s.config.spec.api.port too: choose another"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.file)
			for _, flag := range test.flags {
				if err := f.SetLoadBalancer(flag); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Complete(); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestWorkersMayBeLoadBalancers(t *testing.T) {
	f := parse(t, oneController+"    - {role: worker, ssh: {address: 10.10.0.3}}\n")
	if err := f.SetLoadBalancer("10.10.0.3"); err != nil {
		t.Fatal(err)
	}
	if err := f.Complete(); err != nil {
		t.Error(err)
	}
}

func TestOddNumbersOfControllersAndDistinctZonesNeedNoWarning(t *testing.T) {
	host := func(n, zone string) string {
		return "    - {role: controller, ssh: {address: 10.10.0." + n + "}, installFlags: ['--labels=topology.kubernetes.io/zone=" + zone + "']}\n"
	}
	head := strings.TrimSuffix(oneController, "    - {role: controller, ssh: {address: 10.10.0.2}}\n")
	for _, text := range []string{
		head + host("1", "a"),
		head + host("1", "a") + host("2", "a") + host("3", "b"),
		oneController + host("1", "a") + host("3", "a"),
	} {
		if f := parse(t, text); len(f.Warnings) > 0 {
			t.Errorf("%s\nwarnings %q", text, f.Warnings)
		}
	}
}

func TestLabels(t *testing.T) {
	h := Host{InstallFlags: []string{"--debug", "--labels=a=b, c=d=e,broken", "--labels", "x/y=z", "--labels"}}
	got := h.Labels()
	var pairs []string
	for name, label := range got {
		pairs = append(pairs, name+"="+label)
	}
	slices.Sort(pairs)
	if want := []string{"a=b", "c=d=e", "x/y=z"}; !slices.Equal(pairs, want) {
		t.Errorf("got %q, want %q", pairs, want)
	}
}
