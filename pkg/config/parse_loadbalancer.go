package config

import (
	"net"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// What a load balancer is where its document says nothing.
const (
	DefaultLoadBalancerName = "control-plane"
	DefaultBalance          = "leastconn"
	DefaultConfigPath       = "/etc/haproxy/haproxy.cfg"
	DefaultStatsListen      = ":9000"
	DefaultSpareServers     = 4
	DefaultDrainTimeout     = 30 * time.Second

	DefaultMaxRemovalPercent = 34

	maxSpareServers = 64
)

// newLoadBalancer returns a load balancer with everything that does not depend on the cluster.
func newLoadBalancer() *LoadBalancer {
	return &LoadBalancer{
		Name:         DefaultLoadBalancerName,
		Balance:      DefaultBalance,
		Check:        CheckReadyz,
		ConfigPath:   DefaultConfigPath,
		Stats:        Stats{Listen: DefaultStatsListen},
		SpareServers: DefaultSpareServers,
		DrainTimeout: DefaultDrainTimeout,
		Syncer:       Syncer{MaxRemovalPercent: DefaultMaxRemovalPercent},
	}
}

// NewLoadBalancer returns one at the address, with defaults for everything else and no hosts.
func NewLoadBalancer(address string) *LoadBalancer {
	lb := newLoadBalancer()
	lb.Address = canonical(address)
	return lb
}

// loadBalancer reads a document of kind LoadBalancer.
func (p *parser) loadBalancer(doc value) {
	f := doc.fields("apiVersion", "kind", "metadata", "spec")
	lb := newLoadBalancer()
	lb.Line = doc.line
	p.file.LoadBalancer = lb
	lb.Name = p.loadBalancerName(f.at("metadata").fields("name").at("name"))

	spec := f.at("spec").fields(
		"address", "hosts", "ports", "balance", "check", "configPath", "stats", "spareServers", "drainTimeout", "syncer")
	lb.Address = p.loadBalancerAddress(spec.at("address"))
	hosts := spec.at("hosts")
	for _, item := range hosts.items() {
		lb.Hosts = append(lb.Hosts, p.loadBalancerHost(item))
	}
	p.file.hostless = len(lb.Hosts) == 0 && !hosts.lost && (!hosts.present() || hosts.node.Kind == yaml.SequenceNode)
	ports := spec.at("ports").fields("kubeAPI", "konnectivity", "controllerJoin")
	lb.Ports.KubeAPI = ports.at("kubeAPI").port(0)
	lb.Ports.Konnectivity = ports.at("konnectivity").port(0)
	lb.Ports.ControllerJoin = ports.at("controllerJoin").port(0)
	lb.Balance = p.balance(spec.at("balance"))
	lb.Check = CheckMode(oneOf(spec.at("check"), string(CheckReadyz), string(CheckReadyz), string(CheckTLS)))
	if s := p.configPath(spec.at("configPath")); s != "" {
		lb.ConfigPath = s
	}
	stats := spec.at("stats").fields("listen", "disabled")
	lb.Stats.Disabled = stats.at("disabled").boolean()
	if s := p.listen(stats.at("listen")); s != "" {
		lb.Stats.Listen = s
	}
	lb.SpareServers = spec.at("spareServers").number(DefaultSpareServers, 0, maxSpareServers)
	if d := spec.at("drainTimeout").duration(); d > 0 {
		lb.DrainTimeout = d
	}
	lb.Syncer = p.syncer(spec.at("syncer"))

	for _, name := range []string{"address", "hosts", "stats"} {
		p.file.lines["lb "+name] = spec.at(name).line
	}
	for _, name := range []string{"kubeAPI", "konnectivity", "controllerJoin"} {
		p.file.lines["lb "+name] = ports.at(name).line
	}
}

// loadBalancerName reads the name, which becomes part of the markers in haproxy.cfg.
func (p *parser) loadBalancerName(v value) string {
	s := v.str()
	if s == "" {
		return DefaultLoadBalancerName
	}
	if len(s) > 63 || !regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`).MatchString(s) {
		v.fail("%q is no name: use up to 63 small letters, digits, dots and dashes", s)
	}
	return s
}

func (p *parser) loadBalancerAddress(v value) string {
	s := withoutBrackets(v.str())
	if s == "" {
		return ""
	}
	if err := checkHost(s); err != nil {
		v.fail("%v", err)
	}
	return canonical(s)
}

func (p *parser) loadBalancerHost(v value) *LBHost {
	f := v.fields("ssh", "openSSH", "localhost", "winRM", "winrm", "privateAddress")
	return &LBHost{Conn: p.connection(f), PrivateAddress: p.peerAddress(f.at("privateAddress")), Line: v.line}
}

func (p *parser) balance(v value) string {
	if v.str() == "source" {
		v.fail("source would keep konnectivity agents from reaching every controller: write leastconn or roundrobin")
		return DefaultBalance
	}
	return oneOf(v, DefaultBalance, DefaultBalance, "roundrobin", "random")
}

func (p *parser) configPath(v value) string {
	s := p.remote(v)
	if s == "" {
		return ""
	}
	if strings.ContainsFunc(s, isBlank) || strings.HasSuffix(s, "/") {
		v.fail("%q is no path of a file: write one such as %s", s, DefaultConfigPath)
	}
	return path.Clean(s)
}

// listen reads "[address]:port"; "*" as address is the same as none.
func (p *parser) listen(v value) string {
	s := v.str()
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	n, numberErr := strconv.Atoi(port)
	if err != nil || numberErr != nil || n < 1 || n > 65535 || host != "" && host != "*" && net.ParseIP(host) == nil {
		v.fail("%q is nothing to listen on: write :PORT or ADDRESS:PORT", s)
		return ""
	}
	return s
}
