package clusterconfig

import (
	"net"
	"strings"
)

// Lifetimes that k0s gives to CAs and to the certificates under them.
const (
	defaultCALife   = "87600h0m0s"
	defaultCertLife = "8760h0m0s"
)

// Default is the config of a host without a k0s.yaml.
func Default() *Config {
	config := &Config{}
	fillDefaults(config)
	return config
}

func fillDefaults(c *Config) {
	set(&c.APIVersion, "k0s.k0sproject.io/v1beta1")
	set(&c.Kind, "ClusterConfig")
	if c.Metadata == nil {
		c.Metadata = map[string]any{"name": "k0s", "namespace": "kube-system"}
	}
	s := &c.Spec
	if s.API.Address == "" {
		s.API.Address = firstPublicAddress()
	}
	set(&s.API.K0sAPIPort, 9443)
	set(&s.API.Port, 6443)
	s.API.CA = withCADefaults(s.API.CA)
	if s.Storage.Etcd != nil {
		s.Storage.Etcd = withEtcdDefaults(s.Storage.Etcd)
	}
	set(&s.Network.Provider, "kuberouter")
	set(&s.Network.PodCIDR, "10.244.0.0/16")
	set(&s.Network.ServiceCIDR, "10.96.0.0/12")
	set(&s.Network.ClusterDomain, "cluster.local")
	set(&s.Konnectivity.AdminPort, 8133)
	set(&s.Konnectivity.AgentPort, 8132)
}

func withEtcdDefaults(e *Etcd) *Etcd {
	if e == nil {
		e = &Etcd{}
	}
	if e.PeerAddress == "" {
		e.PeerAddress = firstPublicAddress()
	}
	e.CA = withCADefaults(e.CA)
	return e
}

func withCADefaults(ca *CA) *CA {
	if ca == nil {
		ca = &CA{}
	}
	set(&ca.ExpiresAfter, defaultCALife)
	set(&ca.CertificatesExpireAfter, defaultCertLife)
	return ca
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// firstPublicAddress is the first IPv4 address that is not a loopback one and
// not of a pod network, else the first such IPv6 address, else loopback.
func firstPublicAddress() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "127.0.0.1"
	}
	v6 := ""
	for _, i := range interfaces {
		if podInterface(i.Name) {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			network, ok := a.(*net.IPNet)
			if !ok || network.IP.IsLoopback() {
				continue
			}
			if network.IP.To4() != nil {
				return network.IP.String()
			}
			if v6 == "" && !network.IP.IsLinkLocalUnicast() {
				v6 = network.IP.String()
			}
		}
	}
	if v6 != "" {
		return v6
	}
	return "127.0.0.1"
}

func podInterface(name string) bool {
	switch name {
	case "vxlan.calico", "kube-bridge", "dummyvip0":
		return true
	}
	return strings.HasPrefix(name, "veth") || strings.HasPrefix(name, "cali")
}
