package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Complete takes over the load balancer hosts given by SetLoadBalancer, fills in what follows from the cluster (the
// load balancer's ports and address), and checks the documents against each other. It is called once, before use.
// The error is of type Problems; new warnings are added to Warnings.
func (f *File) Complete() error {
	problems, warnings := f.complete()
	if err := problems.orNil(); err != nil {
		return err
	}
	for _, w := range warnings.sorted() {
		f.Warnings = append(f.Warnings, w.Error())
	}
	return nil
}

// completion is one run of Complete.
type completion struct {
	*File
	lb                 *LoadBalancer
	problems, warnings Problems
}

func (f *File) complete() (problems, warnings Problems) {
	c := completion{File: f}
	if f.LoadBalancer == nil && len(f.flags) == 0 {
		c.fail(f.Cluster.Line, "", "no load balancer: add a document of kind %s (apiVersion %s), "+
			"or name its host with --lb [USER@]HOST", KindLoadBalancer, APIVersionLoadBalancer)
		return c.problems, nil
	}
	if f.LoadBalancer == nil {
		f.LoadBalancer = newLoadBalancer()
	}
	c.lb = f.LoadBalancer
	c.hosts()
	c.ports()
	c.address()
	c.machines()
	return c.problems, c.warnings
}

func (c *completion) fail(line int, field, format string, args ...any) {
	c.problems = append(c.problems, Problem{c.Name, line, field, fmt.Sprintf(format, args...)})
}

func (c *completion) warn(line int, field, format string, args ...any) {
	c.warnings = append(c.warnings, Problem{c.Name, line, field, fmt.Sprintf(format, args...)})
}

// hosts takes the hosts of the flags over.
func (c *completion) hosts() {
	switch {
	case len(c.flags) > 0 && len(c.lb.Hosts) > 0:
		c.fail(c.lines["lb hosts"], "spec.hosts", "load balancer hosts are named here and with --lb: remove one of the two")
	case len(c.flags) > 0:
		for _, flag := range c.flags {
			c.lb.Hosts = append(c.lb.Hosts, flag.host)
		}
		c.flags = nil
	case len(c.lb.Hosts) == 0:
		c.fail(c.lines["lb hosts"], "spec.hosts", "no load balancer host: list at least one, or name it with --lb [USER@]HOST")
	}
}

// ports takes the ports over from k0s, which has one number for the controllers and what is in front of them.
func (c *completion) ports() {
	config := c.Cluster.K0s.Config
	for _, port := range []struct {
		name        string
		balancer    *int
		controllers int
		k0sField    string
	}{
		{"kubeAPI", &c.lb.Ports.KubeAPI, config.APIPort(), "spec.api.port"},
		{"konnectivity", &c.lb.Ports.Konnectivity, config.KonnectivityPort(), "spec.konnectivity.agentPort"},
		{"controllerJoin", &c.lb.Ports.ControllerJoin, config.K0sAPIPort(), "spec.api.k0sApiPort"},
	} {
		if *port.balancer != 0 && *port.balancer != port.controllers {
			c.fail(c.lines["lb "+port.name], "spec.ports."+port.name, "%d contradicts spec.k0s.config.%s, which is %d; "+
				"k0s has one number for load balancer and controllers: write the same, or leave it out here",
				*port.balancer, port.k0sField, port.controllers)
		}
		*port.balancer = port.controllers
	}
	used := map[int]string{}
	for _, port := range []struct {
		number int
		name   string
		line   int
	}{
		{c.lb.Ports.KubeAPI, "spec.k0s.config.spec.api.port", c.lines["k0s port"]},
		{c.lb.Ports.ControllerJoin, "spec.k0s.config.spec.api.k0sApiPort", c.lines["k0s k0sApiPort"]},
		{c.lb.Ports.Konnectivity, "spec.k0s.config.spec.konnectivity.agentPort", c.lines["k0s agentPort"]},
		{c.statsPort(), "spec.stats.listen", c.lines["lb stats"]},
	} {
		if other, ok := used[port.number]; ok && port.number != 0 {
			c.fail(port.line, port.name, "port %d is that of %s too: choose another", port.number, other)
		}
		used[port.number] = port.name
	}
}

func (c *completion) statsPort() int {
	if c.lb.Stats.Disabled {
		return 0
	}
	n, err := strconv.Atoi(c.lb.Stats.Listen[strings.LastIndex(c.lb.Stats.Listen, ":")+1:])
	if err != nil {
		return 0 // nothing that Parse lets through
	}
	return n
}

// address takes the load balancer's address over from k0s, or from its one host.
func (c *completion) address() {
	external := canonical(c.Cluster.K0s.Config.ExternalAddress())
	line := c.lines["lb address"]
	switch {
	case c.lb.Address == "" && external != "":
		c.lb.Address, line = external, c.lines["k0s externalAddress"]
	case c.lb.Address == "" && len(c.lb.Hosts) == 1 && c.lb.Hosts[0].ownAddress() != "":
		c.lb.Address = c.lb.Hosts[0].ownAddress()
	case c.lb.Address == "":
		c.fail(line, "spec.address", "the load balancer's address is not known: "+
			"write it here or as spec.k0s.config.spec.api.externalAddress")
		return
	case external != "" && external != c.lb.Address:
		c.fail(line, "spec.address", "%s contradicts spec.k0s.config.spec.api.externalAddress in line %d, which is %s: "+
			"write the same in both, or leave one out", c.lb.Address, c.lines["k0s externalAddress"], external)
	}
	for i, h := range c.Cluster.Hosts {
		if h.Address() == c.lb.Address && !c.isBalancer(h) {
			c.fail(line, "spec.address", "%s is the address of the cluster's spec.hosts[%d] in line %d: "+
				"write the load balancer's own", c.lb.Address, i, h.Line)
		}
	}
	konnectivity := withoutBrackets(c.Cluster.K0s.Config.text("spec", "konnectivity", "externalAddress"))
	if konnectivity != "" && !sameAddress(konnectivity, c.lb.Address) {
		c.warn(c.lines["k0s konnectivity"], "spec.k0s.config.spec.konnectivity.externalAddress",
			"konnectivity agents go to %s and not through the load balancer %s: leave it out unless that is intended",
			konnectivity, c.lb.Address)
	}
	for i, h := range c.lb.Hosts {
		if len(c.lb.Hosts) > 1 && h.ownAddress() == c.lb.Address {
			c.warn(line, "spec.address", "%s is one load balancer host's own address (spec.hosts[%d]), "+
				"so the others stand in for nothing: use an address that moves between them", c.lb.Address, i)
		}
	}
}

// ownAddress returns the address at which the host can be reached, a name included, or "".
func (h *LBHost) ownAddress() string {
	if address := h.Address(); address != "" {
		return address
	}
	if address := canonical(h.Conn.Address()); isHostName(address) && !looksLikeIPv4(address) && address != "localhost" {
		return address
	}
	return ""
}

// machines checks that the load balancer hosts are machines of their own.
func (c *completion) machines() {
	for i, lb := range c.lb.Hosts {
		field := fmt.Sprintf("spec.hosts[%d]", i)
		if lb.Line == 0 {
			field = "--lb"
		}
		for j, other := range c.lb.Hosts[:i] {
			if sameMachine(lb.Conn, lb.Address(), other.Conn, other.Address()) {
				c.fail(lb.Line, field, "%s is load balancer host %d too: remove one of the two", lb.Conn, j+1)
			}
		}
		for j, h := range c.Cluster.Hosts {
			if h.IsController() && sameMachine(lb.Conn, lb.Address(), h.Conn, h.Address()) {
				c.fail(lb.Line, field, "%s is a controller too (spec.hosts[%d] in line %d), and HAProxy and k0s would both "+
					"listen on %d, %d and %d: use a machine that is no controller",
					lb.Conn, j, h.Line, c.lb.Ports.KubeAPI, c.lb.Ports.Konnectivity, c.lb.Ports.ControllerJoin)
			}
		}
	}
}

func (c *completion) isBalancer(h *Host) bool {
	return slices.ContainsFunc(c.lb.Hosts, func(lb *LBHost) bool {
		return sameMachine(lb.Conn, lb.Address(), h.Conn, h.Address())
	})
}

func sameMachine(a Connection, aAddress string, b Connection, bAddress string) bool {
	return a.Address() != "" && a.key() == b.key() || aAddress != "" && aAddress == bAddress
}
