package lbhelper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// DefaultPolicyPath is where the policy of a host lies.
const DefaultPolicyPath = "/etc/kubectl-ha/lb-helper.json"

// Defaults of a Policy.
const (
	DefaultMaxServers        = 16
	DefaultMaxRemovalPercent = 34
)

// Policy is what the caller may do, and all that it cannot say: what HAProxy's managed block is like apart from its
// servers. It is the host's, root's alone to write.
type Policy struct {
	// Name of the load balancer, as in the cluster file and in the markers of the block.
	Name        string            `json:"name"`
	Bind        netip.Addr        `json:"bind"`
	Ports       Ports             `json:"ports"`
	Balance     string            `json:"balance,omitempty"`
	Check       haproxy.CheckMode `json:"check,omitempty"`
	StatsListen string            `json:"statsListen,omitempty"`
	Spares      int               `json:"spares"`
	ConfigPath  string            `json:"configPath,omitempty"`
	SocketPath  string            `json:"socketPath,omitempty"`
	CAFile      string            `json:"caFile,omitempty"`
	ClientFile  string            `json:"clientFile,omitempty"`

	// Networks are those that a server may be in that HAProxy does not have yet; there is no default.
	Networks []netip.Prefix `json:"networks"`
	// MaxServers is how many servers a backend may have.
	MaxServers int `json:"maxServers,omitempty"`
	// MaxRemovalPercent is how many of the servers that are up one request may take away; one always may be.
	MaxRemovalPercent int `json:"maxRemovalPercent"`
}

// Ports are those of the frontends and of every server.
type Ports struct {
	KubeAPI        int `json:"kubeAPI"`
	Konnectivity   int `json:"konnectivity"`
	ControllerJoin int `json:"controllerJoin"`
}

// ParsePolicy reads a policy: one JSON object of known fields.
func ParsePolicy(data []byte) (*Policy, error) {
	policy := &Policy{MaxServers: DefaultMaxServers, MaxRemovalPercent: DefaultMaxRemovalPercent}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(policy); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return policy, policy.validate()
}

func (p *Policy) validate() error {
	errs := []error{p.Spec().Validate()}
	if len(p.Networks) == 0 {
		errs = append(errs, errors.New("networks: name those that controllers may be in"))
	}
	for _, network := range p.Networks {
		if network != network.Masked() {
			errs = append(errs, fmt.Errorf("networks: %s is an address within %s: write the network", network, network.Masked()))
		}
	}
	if p.MaxServers < 1 || p.MaxServers > wire.MaxServers {
		errs = append(errs, fmt.Errorf("maxServers: %d is not within 1 and %d", p.MaxServers, wire.MaxServers))
	}
	if p.MaxRemovalPercent < 0 || p.MaxRemovalPercent > 100 {
		errs = append(errs, fmt.Errorf("maxRemovalPercent: %d is not within 0 and 100", p.MaxRemovalPercent))
	}
	return errors.Join(errs...)
}

// Spec is what the block is like.
func (p *Policy) Spec() haproxy.Spec {
	return haproxy.Spec{
		Name: p.Name, Bind: p.Bind, Ports: haproxy.Ports(p.Ports), Balance: p.Balance, Check: p.Check,
		StatsListen: p.StatsListen, Spares: p.Spares, ConfigPath: p.ConfigPath, SocketPath: p.SocketPath,
		CAFile: p.CAFile, ClientFile: p.ClientFile,
	}.WithDefaults()
}

// judge refuses a membership that the policy does not allow, given what HAProxy is like. It says everything that is
// against it.
func (p *Policy) judge(current *haproxy.Current, servers []haproxy.Server) error {
	var errs []error
	if len(servers) > p.MaxServers {
		errs = append(errs, fmt.Errorf("%d servers are more than this host's policy allows, %d", len(servers), p.MaxServers))
	}
	for _, s := range servers {
		if !has(current, s.Address) && !slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return n.Contains(s.Address) }) {
			errs = append(errs, fmt.Errorf("server %s: %s is in none of the networks that this host's policy allows", s.Name, s.Address))
		}
	}
	if !slices.ContainsFunc(servers, func(s haproxy.Server) bool { return s.Active }) {
		errs = append(errs, haproxy.ErrNoActiveServer)
	}
	up, gone := removed(current, servers)
	if limit := wire.Removable(p.MaxRemovalPercent, up); len(gone) > limit {
		errs = append(errs, fmt.Errorf("taking %s away at once: this host's policy allows %d of the %d servers that are up",
			strings.Join(gone, ", "), limit, up))
	}
	return errors.Join(errs...)
}

// has tells whether HAProxy has a server of that address, in its file or in its process: an administrator has let it in.
func has(current *haproxy.Current, address netip.Addr) bool {
	if slices.ContainsFunc(current.Slots, func(s haproxy.Slot) bool { return s.Used() && s.Address == address }) {
		return true
	}
	return current.Runtime != nil && slices.ContainsFunc(current.Spec.Backends(), func(b haproxy.Backend) bool {
		return slices.ContainsFunc(current.Runtime.Backend(b.Name), func(s haproxy.ServerState) bool { return s.Port == b.Port && s.Address == address })
	})
}

// removed says how many addresses get connections now, and lists those that shall get none. Servers that are down serve nobody.
// Where an HAProxy that runs cannot be asked, those of its file count as up.
func removed(current *haproxy.Current, servers []haproxy.Server) (up int, gone []string) {
	serving := map[netip.Addr]bool{}
	if current.Running && current.Runtime == nil {
		for _, s := range current.Slots {
			serving[s.Address] = serving[s.Address] || s.Enabled
		}
	}
	for _, backend := range current.Spec.Backends() {
		for _, s := range current.Runtime.Backend(backend.Name) {
			serving[s.Address] = serving[s.Address] || s.Up()
		}
	}
	for address, serves := range serving {
		if !serves {
			continue
		}
		up++
		if !slices.ContainsFunc(servers, func(want haproxy.Server) bool { return want.Active && want.Address == address }) {
			gone = append(gone, address.String())
		}
	}
	slices.Sort(gone)
	return up, gone
}
