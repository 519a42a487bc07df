package hainit

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
)

// cluster is the cluster file beside what its hosts look like.
type cluster struct {
	options     *Options
	file        *config.File
	controllers []*machine
	workers     []*machine
	balancers   []*balancer
	// seed is the controller that the others join: a running one, else the first of the file.
	seed        *machine
	version     string            // of k0s for new hosts; empty when what is on them decides
	uploads     map[string]upload // by k0sBinaryPath
	report      *report.Reporter
	api         *api     // the API server on the seed, once it runs
	connections []remote // all that were opened, nil among them
	problems    []error  // hosts that could not be looked at
	converted   bool     // running controllers were given the load balancer's address in this run
}

// machine is a host of the Cluster document.
type machine struct {
	host    *config.Host
	address netip.Addr // at which the other hosts reach it
	conn    remote
	facts   *host.Facts
	node    *k0s.Node
	seen    bool // it could be looked at
	fresh   bool // it belonged to no cluster when it was looked at

	// Of a controller:
	status *k0s.Status   // nil while k0s does not run
	config config.Object // its k0s.yaml; nil when there is none
	ca     string        // fingerprint of the cluster's CA; empty before the host belongs to a cluster
	voter  bool          // it is a voting member of etcd

	// Of a worker:
	apiServer string // URL that its kubelet uses; empty before it joined
}

// balancer is a host of the LoadBalancer document.
type balancer struct {
	host      *config.LBHost
	conn      remote
	facts     *host.Facts
	seen      bool              // it could be looked at
	cfg       []byte            // the configuration file as it was found; nil when there is none
	adoption  *haproxy.Adoption // sections made by hand that the block replaces; nil when there are none
	certified bool              // its health checks have a valid client certificate
	renew     bool              // that certificate is missing or ends soon
}

// name is the host's name as Kubernetes and k0s know it.
func (m *machine) name() string {
	if m.host.Hostname != "" {
		return strings.ToLower(m.host.Hostname)
	}
	return strings.ToLower(m.facts.Hostname)
}

// installed tells whether the host has a k0s service, running or not.
func (m *machine) installed() bool {
	state := m.facts.Services[m.service()]
	return state != "" && state != "absent"
}

func (m *machine) service() string {
	if m.host.IsController() {
		return k0s.ControllerService
	}
	return k0s.WorkerService
}

// running tells whether k0s answers on the host.
func (m *machine) running() bool { return m.status != nil }

// machines lists all hosts of the Cluster document, controllers first.
func (c *cluster) machines() []*machine {
	return append(append([]*machine{}, c.controllers...), c.workers...)
}

// fresh lists the hosts that belonged to no cluster when they were looked at.
func (c *cluster) fresh() []*machine {
	var hosts []*machine
	for _, m := range c.machines() {
		if m.fresh {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

// exists tells whether there was a control plane before this run.
func (c *cluster) exists() bool { return c.seed.ca != "" }

// joiners lists the controllers that are to join the seed.
func (c *cluster) joiners() []*machine {
	var joiners []*machine
	for _, m := range c.controllers {
		if m != c.seed {
			joiners = append(joiners, m)
		}
	}
	return joiners
}

// each works on machines in parallel and shows each one's name with its error.
func (c *cluster) each(ctx context.Context, machines []*machine, f func(context.Context, *machine) error) error {
	return host.Each(ctx, machines, c.options.Parallel, f)
}

// eachBalancer works on the load balancers in parallel; one that fails does not hold up another.
func (c *cluster) eachBalancer(ctx context.Context, f func(context.Context, *balancer) error) error {
	return host.Each(ctx, c.balancers, c.options.Parallel, f)
}

func (c *cluster) close() {
	if c == nil {
		return
	}
	var errs []error
	for _, connection := range c.connections {
		if connection != nil {
			errs = append(errs, connection.Close())
		}
	}
	if c.api != nil {
		errs = append(errs, c.api.etcd.Close())
	}
	// Everything is done by now; a connection that is gone already has been closed.
	_ = errors.Join(errs...)
}
