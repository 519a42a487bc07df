package clusterconfig

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// LocalURL is how the components on this host reach its API server.
func (a API) LocalURL() string {
	host := "localhost:" + strconv.Itoa(a.Port)
	if a.OnlyBindToAddress {
		host = net.JoinHostPort(a.Address, strconv.Itoa(a.Port))
	}
	return (&url.URL{Scheme: "https", Host: host}).String()
}

// URL is the API server for others: the external address where there is one.
func (a API) URL() string { return a.urlFor(a.Port) }

// JoinURL is the controller join API for others. With an externalAddress of
// host:port it is that port too, which is why such an address breaks
// controller tokens.
func (a API) JoinURL() string { return a.urlFor(a.K0sAPIPort) }

func (a API) urlFor(port int) string {
	host := net.JoinHostPort(a.Address, strconv.Itoa(port))
	switch {
	case a.ExternalAddress == "":
	case a.ExternalHost() != a.ExternalAddress:
		host = a.ExternalAddress
	default:
		host = net.JoinHostPort(a.ExternalAddress, strconv.Itoa(port))
	}
	return (&url.URL{Scheme: "https", Host: host}).String()
}

// ExternalHost is externalAddress without a port.
func (a API) ExternalHost() string {
	if host, _, err := net.SplitHostPort(a.ExternalAddress); err == nil && host != "" {
		return host
	}
	return a.ExternalAddress
}

// ExternalPort is the port of externalAddress, or the API server's own.
func (a API) ExternalPort() int {
	if _, port, err := net.SplitHostPort(a.ExternalAddress); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			return n
		}
	}
	return a.Port
}

// PeerURL is this member's etcd peer URL.
func (e Etcd) PeerURL() string {
	return (&url.URL{Scheme: "https", Host: net.JoinHostPort(e.PeerAddress, "2380")}).String()
}

// ServiceAddress is the cluster IP of the service default/kubernetes: the
// first address of the service network.
func (n Network) ServiceAddress() (netip.Addr, error) {
	prefix, err := netip.ParsePrefix(n.ServiceCIDR)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("parsing spec.network.serviceCIDR: %w", err)
	}
	return prefix.Masked().Addr().Next(), nil
}

// Lives returns how long a CA and its certificates live.
func (c CA) Lives() (ca, certificates time.Duration, err error) {
	if ca, err = time.ParseDuration(c.ExpiresAfter); err != nil {
		return 0, 0, fmt.Errorf("parsing ca.expiresAfter: %w", err)
	}
	if certificates, err = time.ParseDuration(c.CertificatesExpireAfter); err != nil {
		return 0, 0, fmt.Errorf("parsing ca.certificatesExpireAfter: %w", err)
	}
	return ca, certificates, nil
}
