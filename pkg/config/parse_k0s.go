package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// k0sConfig reads spec.k0s.config, and checks what decides about a highly available control plane. k0s itself checks
// the rest, of which nothing is lost.
func (p *parser) k0sConfig(v value, c *Cluster) {
	c.K0s.Config = v.object()
	at := func(path string) value { return v.find(strings.Split(path, ".")...) }

	if s := at("apiVersion").str(); s != "" && s != apiVersionClusterConfig {
		at("apiVersion").fail("%q is not known: write %s, or leave it out", s, apiVersionClusterConfig)
	}
	if s := at("kind").str(); s != "" && !strings.EqualFold(s, kindClusterConfig) {
		at("kind").fail("%q is not known: write %s, or leave it out", s, kindClusterConfig)
	}
	for _, path := range []string{
		"spec", "spec.api", "spec.storage", "spec.storage.etcd", "spec.network", "spec.konnectivity",
		"spec.network.nodeLocalLoadBalancing", "spec.network.controlPlaneLoadBalancing",
	} {
		if m := at(path); m.present() && m.node.Kind != yaml.MappingNode {
			m.fail("must have fields below it, but is %s: write name: value lines", m.kind())
		}
	}
	p.k0sAddresses(at)
	at("spec.api.port").port(0)
	at("spec.api.k0sApiPort").port(0)
	at("spec.konnectivity.agentPort").port(0)
	p.k0sStorage(at)
	p.k0sBalancers(at)
	for _, field := range []string{"externalAddress", "port", "k0sApiPort"} {
		p.file.lines["k0s "+field] = at("spec.api." + field).line
	}
	p.file.lines["k0s agentPort"] = at("spec.konnectivity.agentPort").line
	p.file.lines["k0s konnectivity"] = at("spec.konnectivity.externalAddress").line
}

func (p *parser) k0sAddresses(at func(string) value) {
	external := at("spec.api.externalAddress")
	if s := withoutBrackets(external.str()); s != "" {
		if host, _, ok := hostPort(s); ok {
			external.fail("%q has a port, which breaks controller tokens (the one port would serve 6443 and 9443): "+
				"write %s, and other ports as spec.api.port and spec.api.k0sApiPort", s, withoutBrackets(host))
		} else if err := checkHost(s); err != nil {
			external.fail("%v", err)
		}
	}
	for _, san := range at("spec.api.sans").items() {
		s, ok := san.required("write an IP address or a name, or remove the dash")
		if ok && !strings.HasPrefix(s, "*.") && checkHost(withoutBrackets(s)) != nil {
			san.fail("%q is neither an IP address nor a host name: correct it", s)
		}
	}
	for _, path := range []string{"spec.api.address", "spec.storage.etcd.peerAddress"} {
		own := at(path)
		if s := own.str(); s != "" {
			own.warn("each controller gets its own address here instead of %s", s)
			if err := checkPeer(withoutBrackets(s)); err != nil {
				own.fail("%v", err)
			}
		}
	}
}

func (p *parser) k0sStorage(at func(string) value) {
	storage := at("spec.storage.type")
	switch s := storage.str(); s {
	case "", "etcd":
	case "kine":
		storage.fail("kine cannot be a highly available store here: write etcd, or leave it out; " +
			"k0s cannot turn a running kine cluster into an etcd one, so such a cluster is set up anew")
	default:
		storage.fail("%q is not known: write etcd, or leave it out", s)
	}
	if external := at("spec.storage.etcd.externalCluster"); external.present() {
		external.fail("an etcd that k0s does not run is not looked after here: remove it, so that the controllers run etcd")
	}
}

func (p *parser) k0sBalancers(at func(string) value) {
	if local := at("spec.network.nodeLocalLoadBalancing.enabled"); local.boolean() {
		local.fail("k0s cannot have node-local load balancing together with a load balancer (externalAddress): " +
			"write false, or leave it out")
	}
	if cplb := at("spec.network.controlPlaneLoadBalancing.enabled"); cplb.boolean() {
		cplb.warn("k0s's own control plane load balancing stays on beside HAProxy, and keeps k0s from updating the " +
			"endpoints of kubernetes.default: write false unless you need its virtual IP")
	}
}
