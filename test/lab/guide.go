package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// GuideHosts are the four hosts of the guide: three controllers in three zones, and the load balancer.
func GuideHosts() []HostSpec {
	return []HostSpec{
		{Name: "k0s-ch-sion-1", Octets: [2]byte{0, 2}},
		{Name: "k0s-at-vie-1", Octets: [2]byte{1, 2}},
		{Name: "k0s-de-fra-1", Octets: [2]byte{2, 2}},
		{Name: "haproxy", Octets: [2]byte{4, 10}},
	}
}

// SpareController is the nth spare host for a controller that joins, n from 1 to 4: cp4 on 3.2, then cp5 on 5.2,
// cp6 on 6.2 and so on, around the load balancer's 4.10.
func SpareController(n int) HostSpec {
	octet := byte(3)
	if n > 1 {
		octet = byte(n + 3)
	}
	return HostSpec{Name: fmt.Sprintf("cp%d", n+3), Octets: [2]byte{octet, 2}}
}

// SecondLoadBalancer is another HAProxy host beside the guide's, on 4.11.
func SecondLoadBalancer() HostSpec {
	return HostSpec{Name: "haproxy-2", Octets: [2]byte{4, 11}}
}

// Worker is the nth worker host, n from 1: worker-1 on 20.2, worker-2 on 21.2 and so on.
func Worker(n int) HostSpec {
	return HostSpec{Name: fmt.Sprintf("worker-%d", n), Octets: [2]byte{byte(19 + n), 2}}
}

// ParseHost reads a host from its text form, for command lines: a name that the functions above know (cp4, worker-1,
// haproxy-2 or one of the guide's), or NAME=OCTET.OCTET; either may be followed by ":haproxy" (the flavour) and
// ":private".
func ParseHost(text string) (HostSpec, error) {
	parts := strings.Split(text, ":")
	name, octets, given := strings.Cut(parts[0], "=")
	host, known := knownHost(name)
	switch {
	case given:
		o, err := parseOctets(octets)
		if err != nil {
			return HostSpec{}, fmt.Errorf("host %q: %w", text, err)
		}
		host = HostSpec{Name: name, Octets: o}
	case !known:
		return HostSpec{}, fmt.Errorf("host %q: not a name of the guide or of the lab: say NAME=OCTET.OCTET", text)
	}
	for _, option := range parts[1:] {
		switch option {
		case "private":
			host.Private = true
		case string(Bare), string(HAProxy):
			host.Flavour = Flavour(option)
		default:
			return HostSpec{}, fmt.Errorf("host %q: option %q: use %s, %s or private", text, option, Bare, HAProxy)
		}
	}
	return host, host.validate()
}

func knownHost(name string) (HostSpec, bool) {
	hosts := append(GuideHosts(), SecondLoadBalancer())
	for n := 1; n <= 4; n++ {
		hosts = append(hosts, SpareController(n))
	}
	for n := 1; n <= 9; n++ {
		hosts = append(hosts, Worker(n))
	}
	for _, h := range hosts {
		if h.Name == name {
			return h, true
		}
	}
	return HostSpec{}, false
}

func parseOctets(text string) ([2]byte, error) {
	third, fourth, ok := strings.Cut(text, ".")
	a, errA := strconv.ParseUint(third, 10, 8)
	b, errB := strconv.ParseUint(fourth, 10, 8)
	if !ok || errA != nil || errB != nil {
		return [2]byte{}, fmt.Errorf("octets %q: give the last two of the address, such as 7.2", text)
	}
	return [2]byte{byte(a), byte(b)}, nil
}
