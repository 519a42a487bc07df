package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Write writes a cluster file that reads back as these controllers behind this load balancer, nil for none. Of hosts it
// writes how they are reached and what new ones are to have in common with them, and no more: neither hooks, files nor
// the environment; of k0s's configuration, what decides about the load balancer.
func Write(cluster *Cluster, lb *LoadBalancer) ([]byte, error) {
	doc := clusterText{APIVersion: APIVersionK0sctl, Kind: KindCluster}
	doc.Metadata.Name = literal(cluster.Name)
	for _, h := range cluster.Hosts {
		doc.Spec.Hosts = append(doc.Spec.Hosts, textOfHost(h))
	}
	doc.Spec.K0s.DynamicConfig = cluster.K0s.DynamicConfig
	doc.Spec.K0s.Config = cluster.K0s.Config.ports()
	docs := []any{doc}
	if lb != nil {
		docs = append(docs, textOfLoadBalancer(lb))
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	for _, d := range docs {
		if err := encoder.Encode(d); err != nil {
			return nil, fmt.Errorf("writing a cluster file: %w", err)
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("writing a cluster file: %w", err)
	}
	return b.Bytes(), nil
}

type named struct {
	Name string `yaml:"name"`
}

type clusterText struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   named  `yaml:"metadata"`
	Spec       struct {
		Hosts []hostText `yaml:"hosts"`
		K0s   struct {
			DynamicConfig bool   `yaml:"dynamicConfig,omitempty"`
			Config        Object `yaml:"config,omitempty"`
		} `yaml:"k0s,omitempty"`
	} `yaml:"spec"`
}

type hostText struct {
	Role           Role     `yaml:"role,omitempty"` // none on a load balancer
	SSH            *sshText `yaml:"ssh,omitempty"`
	OpenSSH        *sshText `yaml:"openSSH,omitempty"`
	Localhost      bool     `yaml:"localhost,omitempty"`
	PrivateAddress string   `yaml:"privateAddress,omitempty"`
	NoTaints       bool     `yaml:"noTaints,omitempty"`
	DataDir        string   `yaml:"dataDir,omitempty"`
	KubeletRootDir string   `yaml:"kubeletRootDir,omitempty"`
	K0sBinaryPath  string   `yaml:"k0sBinaryPath,omitempty"`
	InstallFlags   []string `yaml:"installFlags,omitempty"`
}

type sshText struct {
	Address string   `yaml:"address"`
	User    string   `yaml:"user,omitempty"`
	Port    int      `yaml:"port,omitempty"`
	KeyPath string   `yaml:"keyPath,omitempty"`
	HostKey string   `yaml:"hostKey,omitempty"`
	Bastion *sshText `yaml:"bastion,omitempty"`
}

type loadBalancerText struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   named  `yaml:"metadata"`
	Spec       struct {
		Address    string     `yaml:"address,omitempty"`
		Hosts      []hostText `yaml:"hosts,omitempty"`
		Balance    string     `yaml:"balance"`
		Check      CheckMode  `yaml:"check"`
		ConfigPath string     `yaml:"configPath"`
		Stats      struct {
			Listen   string `yaml:"listen"`
			Disabled bool   `yaml:"disabled,omitempty"`
		} `yaml:"stats"`
		SpareServers int         `yaml:"spareServers"`
		DrainTimeout string      `yaml:"drainTimeout"`
		Syncer       *syncerText `yaml:"syncer,omitempty"`
	} `yaml:"spec"`
}

type syncerText struct {
	Enabled      bool           `yaml:"enabled"`
	Image        string         `yaml:"image,omitempty"`
	ImageArchive string         `yaml:"imageArchive,omitempty"`
	Helper       string         `yaml:"helper,omitempty"`
	User         string         `yaml:"user,omitempty"`
	Networks     []netip.Prefix `yaml:"networks,omitempty"`

	MaxRemovalPercent int `yaml:"maxRemovalPercent"`
}

func textOfHost(h *Host) hostText {
	t := textOfConnection(h.Conn)
	t.Role, t.NoTaints = h.Role, h.NoTaints
	t.PrivateAddress = h.PrivateAddress
	t.DataDir, t.KubeletRootDir = literal(h.DataDir), literal(h.KubeletRootDir)
	t.K0sBinaryPath = literal(h.K0sBinaryPath)
	for _, flag := range h.InstallFlags {
		t.InstallFlags = append(t.InstallFlags, literal(quotedFlag(flag)))
	}
	return t
}

func textOfConnection(c Connection) hostText {
	switch {
	case c.SSH != nil:
		return hostText{SSH: textOfSSH(c.SSH)}
	case c.OpenSSH != nil:
		o := c.OpenSSH
		return hostText{OpenSSH: &sshText{Address: literal(o.Address), User: literal(o.User), Port: o.Port, KeyPath: literal(o.KeyPath)}}
	}
	return hostText{Localhost: c.Localhost}
}

func textOfSSH(s *SSH) *sshText {
	t := &sshText{Address: literal(s.Address), User: literal(s.User), Port: s.Port, KeyPath: literal(s.KeyPath), HostKey: s.HostKey}
	if s.Bastion != nil {
		t.Bastion = textOfSSH(s.Bastion)
	}
	return t
}

// textOfLoadBalancer leaves the ports out: they are k0s's.
func textOfLoadBalancer(lb *LoadBalancer) loadBalancerText {
	t := loadBalancerText{APIVersion: APIVersionLoadBalancer, Kind: KindLoadBalancer, Metadata: named{lb.Name}}
	t.Spec.Address = lb.Address
	for _, h := range lb.Hosts {
		host := textOfConnection(h.Conn)
		host.PrivateAddress = h.PrivateAddress
		t.Spec.Hosts = append(t.Spec.Hosts, host)
	}
	t.Spec.Balance, t.Spec.Check, t.Spec.ConfigPath = lb.Balance, lb.Check, literal(lb.ConfigPath)
	t.Spec.Stats.Listen, t.Spec.Stats.Disabled = lb.Stats.Listen, lb.Stats.Disabled
	t.Spec.SpareServers, t.Spec.DrainTimeout = lb.SpareServers, lb.DrainTimeout.String()
	if s := lb.Syncer; s.Enabled {
		t.Spec.Syncer = &syncerText{s.Enabled, s.Image, literal(s.ImageArchive), literal(s.Helper), s.User, s.Networks, s.MaxRemovalPercent}
	}
	return t
}

// literal keeps the reader from filling environment variables in.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// quotedFlag keeps the reader from splitting a word of installFlags.
func quotedFlag(word string) string {
	if words, err := splitWords(word); err == nil && slices.Equal(words, []string{word}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Portable returns what of a file makes sense on every machine and to everybody who may read it: the controllers given
// and the load balancer, without paths of the user's machine. A key in the user's home directory keeps its path, by "~":
// another user's may be there, too.
func (f *File) Portable(controllers []*Host, home string) (*Cluster, *LoadBalancer) {
	c := &Cluster{Name: f.Cluster.Name, K0s: K0s{DynamicConfig: f.Cluster.K0s.DynamicConfig, Config: f.Cluster.K0s.Config}}
	for _, h := range controllers {
		c.Hosts = append(c.Hosts, &Host{
			Conn: h.Conn.portable(h.Address(), home), Role: h.Role, NoTaints: h.NoTaints, PrivateAddress: h.PrivateAddress,
			DataDir: h.DataDir, KubeletRootDir: h.KubeletRootDir, InstallFlags: h.InstallFlags,
		})
	}
	lb := *f.LoadBalancer
	lb.Hosts, lb.Syncer = nil, Syncer{} // what installs it is on the user's machine
	for _, h := range f.LoadBalancer.Hosts {
		lb.Hosts = append(lb.Hosts, &LBHost{Conn: h.Conn.portable(h.Address(), home), PrivateAddress: h.PrivateAddress})
	}
	return c, &lb
}

// ports is the part of a configuration from which a load balancer's ports are taken.
func (o Object) ports() Object {
	p := Object{}
	for _, port := range []struct {
		number, usual int
		path          []string
	}{
		{o.APIPort(), DefaultAPIPort, []string{"spec", "api", "port"}},
		{o.K0sAPIPort(), DefaultK0sAPIPort, []string{"spec", "api", "k0sApiPort"}},
		{o.KonnectivityPort(), DefaultKonnectivityPort, []string{"spec", "konnectivity", "agentPort"}},
	} {
		if port.number != port.usual {
			p.parent(port.path...)[port.path[len(port.path)-1]] = port.number
		}
	}
	return p
}

// portable is the connection as another machine may use it; the machine itself is reached by its address then.
func (c Connection) portable(address, home string) Connection {
	switch {
	case c.SSH != nil:
		return Connection{SSH: c.SSH.portable(home)}
	case c.OpenSSH != nil:
		o := c.OpenSSH
		return Connection{OpenSSH: &OpenSSH{Address: o.Address, User: o.User, Port: o.Port, KeyPath: portablePath(o.KeyPath, home)}}
	case c.Localhost && address != "":
		return Connection{SSH: &SSH{Address: address, User: defaultUser, Port: defaultSSHPort}}
	}
	return c
}

func (s *SSH) portable(home string) *SSH {
	p := *s
	p.KeyPath = portablePath(s.KeyPath, home)
	if s.Bastion != nil {
		p.Bastion = s.Bastion.portable(home)
	}
	return &p
}

func portablePath(path, home string) string {
	if rest, below := strings.CutPrefix(path, strings.TrimSuffix(home, "/")+"/"); below && home != "" {
		return "~/" + rest
	}
	return ""
}
