package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const zoneLabel = "topology.kubernetes.io/zone"

// checkHosts checks the hosts against each other.
func (p *parser) checkHosts(v value, c *Cluster) {
	if v.present() && v.node.Kind != yaml.SequenceNode {
		return // said already
	}
	if len(c.Hosts) == 0 {
		v.fail("no hosts: list at least one with role controller or controller+worker")
		return
	}
	for i, h := range c.Hosts {
		for j, other := range c.Hosts[:i] {
			p.checkPair(i, h, j, other)
		}
	}
	controllers := c.Controllers()
	rolesKnown := !slices.ContainsFunc(c.Hosts, func(h *Host) bool { return h.Role == "" })
	switch n := len(controllers); {
	case n == 0 && rolesKnown:
		v.fail("no controller: give at least one host the role controller or controller+worker")
	case n > 0 && n%2 == 0 && rolesKnown:
		v.warn("%d controllers bear no more failures than %d: use an odd number", n, n-1)
	}
	if zone := commonZone(controllers); zone != "" && len(controllers) >= 3 {
		v.warn("all %d controllers carry the label %s=%s, so the failure of one zone stops the cluster: spread them over zones",
			len(controllers), zoneLabel, zone)
	}
}

// checkPair reports two entries that are, or would become, the same host.
func (p *parser) checkPair(i int, h *Host, j int, other *Host) {
	field := fmt.Sprintf("spec.hosts[%d]", i)
	first := fmt.Sprintf("spec.hosts[%d] in line %d", j, other.Line)
	switch {
	case h.Conn.Address() != "" && h.Conn.key() == other.Conn.key():
		p.fail(h.Line, field, "%s is the host of %s too: remove one of the two", h.Conn, first)
	case h.Address() != "" && h.Address() == other.Address():
		p.fail(h.Line, field, "%s is the address of %s too: give each host its own privateAddress", h.Address(), first)
	}
	if h.Hostname != "" && strings.EqualFold(h.Hostname, other.Hostname) {
		p.fail(h.Line, field+".hostname", "%s is the name of %s too: give each host its own", h.Hostname, first)
	}
}

// commonZone returns the topology zone that all the hosts are labelled with, or "".
func commonZone(hosts []*Host) string {
	zone := ""
	for i, h := range hosts {
		z := h.Labels()[zoneLabel]
		if z == "" || i > 0 && z != zone {
			return ""
		}
		zone = z
	}
	return zone
}
