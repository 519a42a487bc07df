// Package haproxy keeps the part of an HAProxy's configuration that serves a k0s control plane: one marked block in
// haproxy.cfg, and the servers in it, which come and go through the runtime API without a reload.
//
// The file side (render, block, adopt, diff) is pure functions on bytes; every byte outside the block belongs to the
// user and stays as it is. The runtime side reads what HAProxy runs with, plans and applies the difference.
package haproxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// CheckMode says how HAProxy finds out whether an API server may get connections.
type CheckMode string

const (
	// CheckReadyz asks /readyz with a client certificate: a server that hangs, starts or lost etcd leaves rotation.
	CheckReadyz CheckMode = "readyz"
	// CheckTLS does a TLS handshake, which proves only that the process accepts connections.
	CheckTLS CheckMode = "tls"
)

// Defaults of a Spec.
const (
	DefaultKubeAPIPort        = 6443
	DefaultKonnectivityPort   = 8132
	DefaultControllerJoinPort = 9443
	DefaultBalance            = "leastconn"
	DefaultStatsListen        = ":9000"
	DefaultConfigPath         = "/etc/haproxy/haproxy.cfg"
	// DefaultSocketPath lies in the home of the haproxy user, which the packages of Debian, RHEL, SUSE and Arch all
	// make; /run/haproxy exists on Debian alone. HAProxy binds it as root before it enters its chroot, and mode 600
	// keeps the unprivileged worker, whose chroot often is this folder, from connecting to it. On RHEL the folder has
	// the SELinux type that lets HAProxy make sockets (the distribution's own stats socket is there).
	DefaultSocketPath = "/var/lib/haproxy/kubectl-ha.sock"
	DefaultCAFile     = "/etc/kubectl-ha/ca.crt"
	DefaultClientFile = "/etc/kubectl-ha/client.pem"
)

// Ports are the TCP ports of a control plane, the same on the load balancer and on every controller.
type Ports struct {
	KubeAPI        int
	Konnectivity   int
	ControllerJoin int
}

// Spec is what the managed block of one HAProxy looks like, apart from its servers.
type Spec struct {
	// Name of the load balancer, as in the cluster file; it is part of the markers.
	Name string
	// Bind is the address the frontends listen on. The zero Addr means all IPv4 addresses, as `bind :6443` does;
	// the IPv6 unspecified address (::) means all addresses of both families.
	Bind    netip.Addr
	Ports   Ports
	Balance string
	Check   CheckMode
	// StatsListen is the address of the statistics page ("host:port" or ":port"); empty means none.
	StatsListen string
	// Spares is how many unused slots a fresh block has, for controllers that join later without a reload.
	Spares     int
	ConfigPath string
	// SocketPath is the runtime API socket of our own, on the HAProxy host.
	SocketPath string
	// CAFile (PEM, the cluster's CA) and ClientFile (PEM, certificate and key) are paths on the HAProxy host,
	// used by CheckReadyz. An empty CAFile means that the API servers' certificates are not verified.
	CAFile     string
	ClientFile string
	// NoLog leaves log formats out, for a file that logs nowhere: FitTo sets it.
	NoLog bool
}

// Server is one controller host as the caller knows it. It is one server line in each backend.
type Server struct {
	Name    string
	Address netip.Addr
	// Active says that it shall get new connections.
	Active bool
}

// Slot is one server line of the block, the same in each of its backends. HAProxy cannot rename servers at run time:
// a slot's identity is its address, and its name is only what people read on the statistics page.
type Slot struct {
	// Index counts the server lines of a backend from 0.
	Index int
	Name  string
	// Address is the controller's; the zero Addr means that the slot is unused.
	Address netip.Addr
	// Enabled is false for a line that carries the word `disabled`: HAProxy starts with this server in maintenance.
	Enabled bool
}

// Backend is a section of the block that carries the slots.
type Backend struct {
	Name string
	// Port of the servers.
	Port int
}

// Names of the sections of the block, which are those of k0s's HAProxy guide. KubeAPIOpenBackend has the servers of
// KubeAPIBackend with a TLS check, and is used while no API server is ready.
const (
	KubeAPIFrontend        = "kubeAPI"
	KonnectivityFrontend   = "konnectivity"
	ControllerJoinFrontend = "controllerJoinAPI"
	KubeAPIBackend         = "kubeAPI_backend"
	KubeAPIOpenBackend     = "kubeAPI_open"
	KonnectivityBackend    = "konnectivity_backend"
	ControllerJoinBackend  = "controllerJoinAPI_backend"
	StatsSection           = "kubectl_ha_stats"
)

// WithDefaults fills what is empty, save StatsListen, Bind and Spares, whose zero values have a meaning.
func (s Spec) WithDefaults() Spec {
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setString := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	setInt(&s.Ports.KubeAPI, DefaultKubeAPIPort)
	setInt(&s.Ports.Konnectivity, DefaultKonnectivityPort)
	setInt(&s.Ports.ControllerJoin, DefaultControllerJoinPort)
	setString(&s.Balance, DefaultBalance)
	setString(&s.ConfigPath, DefaultConfigPath)
	setString(&s.SocketPath, DefaultSocketPath)
	if s.Check == "" {
		s.Check = CheckReadyz
	}
	if s.Check == CheckReadyz {
		setString(&s.ClientFile, DefaultClientFile)
	}
	return s
}

// Backends lists the sections that carry the slots, in the order of the file. A change of membership is to be made
// in each of them.
func (s Spec) Backends() []Backend {
	backends := []Backend{{KubeAPIBackend, s.Ports.KubeAPI}}
	if s.Check == CheckReadyz {
		backends = append(backends, Backend{KubeAPIOpenBackend, s.Ports.KubeAPI})
	}
	return append(backends,
		Backend{KonnectivityBackend, s.Ports.Konnectivity},
		Backend{ControllerJoinBackend, s.Ports.ControllerJoin})
}

// SpareHost and SparePort are where the server line of an unused slot points to: a port where nothing listens, and
// never one of the frontends, which would make HAProxy connect to itself.
const (
	SpareHost = "127.0.0.1"
	SparePort = 1
)

// Used says whether the slot belongs to a controller.
func (s Slot) Used() bool { return s.Address.IsValid() }

// SpareName is the neutral name of the slot with that index.
func SpareName(index int) string { return "slot" + strconv.Itoa(index+1) }

// NewSlots lays out a fresh block: the servers in their order, then spares.
func NewSlots(servers []Server, spares int) []Slot {
	slots := make([]Slot, 0, len(servers)+spares)
	names := map[string]bool{}
	for i, server := range servers {
		slots = append(slots, Slot{Index: i, Name: server.Name, Address: server.Address, Enabled: server.Active})
		names[server.Name] = true
	}
	for i := len(servers); i < len(servers)+spares; i++ {
		number := i
		for names[SpareName(number)] {
			number++
		}
		names[SpareName(number)] = true
		slots = append(slots, Slot{Index: i, Name: SpareName(number)})
	}
	return slots
}

// ValidateSlots says everything that is wrong with the slots of a block: HAProxy wants each server name once, and a
// controller has one slot.
func ValidateSlots(slots []Slot) error {
	var errs []error
	names, addresses := map[string]bool{}, map[netip.Addr]string{}
	for _, slot := range slots {
		problem := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("server %q: %s", slot.Name, fmt.Sprintf(format, args...)))
		}
		if !ValidName(slot.Name) {
			problem("use letters, digits and - _ . : only for its name")
		}
		if names[slot.Name] {
			problem("the name is used twice")
		}
		names[slot.Name] = true
		if !slot.Used() {
			continue
		}
		address := slot.Address.Unmap()
		if address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
			problem("address %s cannot be that of a controller: use one that the load balancer reaches", address)
		}
		if other, ok := addresses[address]; ok {
			problem("address %s is that of %q already", address, other)
		}
		addresses[address] = slot.Name
	}
	return errors.Join(errs...)
}

// ValidName says whether HAProxy takes the name for a section or a server (invalid_char in its source).
func ValidName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:", r)
	})
}

// Validate says everything that is wrong with the spec. Balance is one of those that spread connections: `source`
// would send each konnectivity agent to one server only, and it must reach all.
func (s Spec) Validate() error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !ValidName(s.Name) {
		problem("load balancer name %q: use letters, digits and - _ . : only", s.Name)
	}
	seen := map[int]bool{}
	ports := []int{s.Ports.KubeAPI, s.Ports.Konnectivity, s.Ports.ControllerJoin}
	if s.StatsListen != "" {
		host, text, err := net.SplitHostPort(s.StatsListen)
		port, portErr := strconv.Atoi(text)
		_, hostErr := netip.ParseAddr(host)
		if err != nil || portErr != nil || host != "" && host != "*" && hostErr != nil {
			problem("stats listen %q: must be ADDRESS:PORT or :PORT", s.StatsListen)
		} else {
			ports = append(ports, port)
		}
	}
	for _, p := range ports {
		if p < 1 || p > 65535 {
			problem("port %d: must be 1 to 65535", p)
		}
		if seen[p] {
			problem("port %d: used twice", p)
		}
		seen[p] = true
	}
	balances := []string{"leastconn", "roundrobin", "static-rr", "first", "random"}
	if !slices.Contains(balances, s.Balance) {
		problem("balance %q: must be one of %s", s.Balance, strings.Join(balances, ", "))
	}
	if s.Check != CheckReadyz && s.Check != CheckTLS {
		problem("check %q: must be %s or %s", s.Check, CheckReadyz, CheckTLS)
	}
	if s.Spares < 0 {
		problem("spare servers %d: must not be negative", s.Spares)
	}
	path := func(what, path string, needed bool) {
		special := func(r rune) bool { return r <= ' ' || strings.ContainsRune(`"'\#$`, r) }
		if path == "" && !needed {
			return
		}
		if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, special) {
			problem("%s %q: must be an absolute path without spaces, quotes, backslashes, # or $", what, path)
		}
	}
	path("runtime socket", s.SocketPath, true)
	path("CA file", s.CAFile, false)
	path("client certificate file", s.ClientFile, s.Check == CheckReadyz)
	return errors.Join(errs...)
}
