package config

import (
	"cmp"
	"net/netip"
	"time"
)

// LoadBalancer is the document of kind LoadBalancer: the HAProxy in front of the control plane.
type LoadBalancer struct {
	Name         string
	Address      string // what clients and hosts connect to: the same as spec.api.externalAddress of k0s
	Hosts        []*LBHost
	Ports        Ports
	Balance      string
	Check        CheckMode
	ConfigPath   string // of haproxy.cfg on the hosts
	Stats        Stats
	SpareServers int           // unused servers that each backend keeps for controllers to come
	DrainTimeout time.Duration // how long connections of a leaving controller may go on
	Syncer       Syncer
	Line         int // of the document in the file; 0 when it was made from flags
}

// LBHost is a machine that runs HAProxy.
type LBHost struct {
	Conn           Connection
	PrivateAddress string
	Line           int // 0 when it was made from a flag
}

// Address returns the address that the controllers reach the host at, as Host.Address does.
func (h *LBHost) Address() string { return addressOf(h.PrivateAddress, h.Conn) }

// SSHPort returns where its sshd listens, as far as the file tells.
func (h *LBHost) SSHPort() int { return cmp.Or(h.Conn.port(), defaultSSHPort) }

// Ports are the three ports of a k0s control plane, the same on the load balancer and on the controllers.
type Ports struct {
	KubeAPI        int
	Konnectivity   int
	ControllerJoin int
}

// CheckMode says how HAProxy finds out whether an API server can take requests.
type CheckMode string

// CheckReadyz asks each API server's /readyz with a client certificate; CheckTLS does a TLS handshake, as the guide.
const (
	CheckReadyz CheckMode = "readyz"
	CheckTLS    CheckMode = "tls"
)

// Stats is HAProxy's statistics page.
type Stats struct {
	Listen   string // "[address]:port"
	Disabled bool
}

// Syncer says whether the in-cluster syncer is to be installed, and of what.
type Syncer struct {
	Enabled bool
	// Image is its name in a registry; ImageArchive is an OCI archive on the user's machine that hosts get a copy of.
	// One of the two is empty.
	Image        string
	ImageArchive string
	Helper       string // ha-lb-helper on the user's machine; empty stands for the one that the plugin finds by itself
	User         string // whom its key logs in as on the hosts; empty stands for the user of their connection
	// Networks are those that servers may be in; none stands for the controllers' own addresses.
	Networks []netip.Prefix
	// MaxRemovalPercent is how many of the servers that are up it may take away at once; one always may be.
	MaxRemovalPercent int
}
