package lab

import (
	"net/netip"
	"strings"
	"testing"
)

func TestMistakesInAConfigAreAllNamed(t *testing.T) {
	err := Config{
		Name:   "Demo",
		Subnet: netip.MustParsePrefix("10.10.1.0/24"),
		Hosts: []HostSpec{
			{Name: "a", Octets: [2]byte{0, 2}},
			{Name: "a", Octets: [2]byte{0, 2}, Flavour: "nginx"},
			{Name: "b_1", Octets: [2]byte{0, 1}},
			{Name: "c", Octets: [2]byte{0, 3}, Flavour: K0s},
		},
	}.validate()
	for _, want := range []string{
		`lab name "Demo"`, "subnet 10.10.1.0/24", "host a: the name is there twice", "host a: has the address of host a",
		`flavour "nginx"`, `host name "b_1"`, "host b_1: octets 0.1 are the network's own",
		"host c: flavour k0s: the configuration names no executable",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from: %v", want, err)
		}
	}
}

func TestSubnetHasToBeWhole(t *testing.T) {
	for subnet, good := range map[string]bool{"10.11.0.0/16": true, "10.11.3.0/16": false, "10.0.0.0/8": false, "fd00::/16": false} {
		err := Config{Name: "x", Subnet: netip.MustParsePrefix(subnet), Hosts: GuideHosts()}.validate()
		if (err == nil) != good {
			t.Errorf("%s: %v", subnet, err)
		}
	}
}

func TestConfigWithoutHostsIsRefused(t *testing.T) {
	if err := (Config{Name: "x"}).validate(); err == nil {
		t.Error("a lab of no hosts was accepted")
	}
}

func TestGuideHostsHaveTheGuidesAddresses(t *testing.T) {
	subnet := netip.MustParsePrefix("10.10.0.0/16")
	want := []string{"k0s-ch-sion-1 10.10.0.2", "k0s-at-vie-1 10.10.1.2", "k0s-de-fra-1 10.10.2.2", "haproxy 10.10.4.10"}
	for i, h := range GuideHosts() {
		if got := h.Name + " " + h.address(subnet).String(); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
}

func TestAllKnownHostsFitIntoOneLab(t *testing.T) {
	config := Config{Name: "x", Hosts: append(GuideHosts(), SecondLoadBalancer())}
	for n := 1; n <= 4; n++ {
		config.Hosts = append(config.Hosts, SpareController(n), Worker(n))
	}
	if err := config.validate(); err != nil {
		t.Error(err)
	}
}

func TestHostsAreReadFromText(t *testing.T) {
	for text, want := range map[string]HostSpec{
		"haproxy":                     {Name: "haproxy", Octets: [2]byte{4, 10}},
		"haproxy:haproxy":             {Name: "haproxy", Octets: [2]byte{4, 10}, Flavour: HAProxy},
		"cp4":                         {Name: "cp4", Octets: [2]byte{3, 2}},
		"cp5":                         {Name: "cp5", Octets: [2]byte{5, 2}},
		"worker-2:private":            {Name: "worker-2", Octets: [2]byte{21, 2}, Private: true},
		"edge=7.200":                  {Name: "edge", Octets: [2]byte{7, 200}},
		"haproxy=9.9:haproxy:private": {Name: "haproxy", Octets: [2]byte{9, 9}, Flavour: HAProxy, Private: true},
	} {
		if got, err := ParseHost(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "other", "edge=7", "edge=7.256", "edge=7.2.1", "cp4:fast", "=7.2", "edge=0.1"} {
		if got, err := ParseHost(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}
