// Package controlplane is the hosts of a cluster file beside what the file asks for, and every step that a command can
// take with them. What a command does, and in which order, is for the command to say.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
)

// Cluster is the cluster file beside what its hosts look like.
type Cluster struct {
	settings    Settings
	file        *config.File
	controllers []*machine
	workers     []*machine
	balancers   []*balancer
	// seed is the controller that the others join: a running one, else the first of the file.
	seed        *machine
	version     string            // of k0s for new hosts; empty when what is on them decides
	uploads     map[string]upload // by k0sBinaryPath
	helpers     map[string]upload // ha-lb-helper, by architecture
	archive     archive           // the syncer's image, when the file has an archive
	report      *report.Reporter
	api         *api     // the API server on the seed, once it runs
	connections []remote // all that were opened, nil among them
	problems    []error  // hosts that could not be looked at
	connect     connectFunc
	known       bool       // it is known who belongs to the control plane
	joiners     []*machine // controllers that a run of ha-join lets in
	leaving     *leaver    // the controller that is taken out; nil when none is
	unlisted    []*machine // controllers that the file does not name and that are asked all the same
	// unseen could not be looked at, and are none of the above.
	unseen          []*machine
	unseenBalancers []*balancer
	vouched         []netip.Addr // of those, controllers that the API says are well
	synced          bool         // a syncer is installed
	// outsiders belong to the control plane and are not in the file; they keep their places in HAProxy.
	outsiders []haproxy.Server
}

// Address is where clients find the control plane: the load balancer's.
func (c *Cluster) Address() string { return c.file.LoadBalancer.Address }

// Controllers is how many controllers the file has.
func (c *Cluster) Controllers() int { return len(c.controllers) }

// machine is a host of the Cluster document.
type machine struct {
	host    *config.Host
	address netip.Addr // at which the other hosts reach it
	conn    remote
	facts   *host.Facts
	node    *k0s.Node
	seen    bool   // it could be looked at
	trouble error  // why not
	deputy  bool   // it has no host, see deputy.go
	fresh   bool   // it belonged to no cluster when it was looked at
	ca      string // fingerprint of the cluster's CA; empty before the host belongs to a cluster
	// hooksPending says that a run that set the host up was cut off before its hooks for afterwards.
	hooksPending bool

	// Of a controller:
	asked    chan struct{} // closed when k0s has answered, or has not in time; nil when it was not asked
	answer   *k0s.Status   // nil when k0s did not answer; for status
	config   config.Object // its k0s.yaml; nil when there is none
	etcdData bool          // it has an etcd database
	voter    bool          // it is a voting member of etcd
	leftover bool          // a join that failed left its data and its token there
	newcomer bool          // it becomes a new member, by a token
	peer     peer          // the member; nil until it was asked

	// Of a worker:
	apiServer string // URL that its kubelet uses; empty before it joined
}

// balancer is a host of the LoadBalancer document.
type balancer struct {
	host      *config.LBHost
	conn      remote
	facts     *host.Facts
	seen      bool              // it could be looked at
	trouble   error             // why not
	cfg       []byte            // the configuration file as it was found; nil when there is none
	adoption  *haproxy.Adoption // sections made by hand that the block replaces; nil when there are none
	certified bool              // its health checks have a valid client certificate of this cluster
	renew     bool              // that certificate ends soon
}

// name is the host's name as Kubernetes and k0s know it: the one that it will be given, or that it has.
func (m *machine) name() string {
	if m.rename() {
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

// active tells whether the service manager had k0s running when the host was looked at.
func (m *machine) active() bool { return m.facts.Services[m.service()] == "active" }

// running tells whether k0s answers on the host.
func (m *machine) running() bool { return m.status() != nil }

// machines lists all hosts of the Cluster document, controllers first.
func (c *Cluster) machines() []*machine {
	return append(append([]*machine{}, c.controllers...), c.workers...)
}

// fresh lists the hosts that belonged to no cluster when they were looked at.
func (c *Cluster) fresh() []*machine {
	var hosts []*machine
	for _, m := range c.machines() {
		if m.fresh {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

// belongs tells whether the controller is in the seed's cluster already.
func (m *machine) belongs() bool { return m.ca != "" }

// exists tells whether there was a control plane before this run.
func (c *Cluster) exists() bool { return c.seed.ca != "" }

// each works on machines in parallel; each error names its machine.
func (c *Cluster) each(ctx context.Context, machines []*machine, f func(context.Context, *machine) error) error {
	return host.Each(ctx, machines, c.settings.Parallel, func(ctx context.Context, m *machine) error {
		return at(m.host.Conn, f(ctx, m))
	})
}

// eachBalancer works on the load balancers in parallel; each error names its host, and one that fails does not hold up
// another.
func (c *Cluster) eachBalancer(ctx context.Context, f func(context.Context, *balancer) error) error {
	return host.Each(ctx, c.balancers, c.settings.Parallel, func(ctx context.Context, b *balancer) error {
		return at(b.host.Conn, f(ctx, b))
	})
}

// at names the host in an error that does not name it yet.
func at(conn config.Connection, err error) error {
	if err == nil || strings.Contains(err.Error(), conn.String()) {
		return err
	}
	return fmt.Errorf("%s: %w", conn, err)
}

func (c *Cluster) close() {
	if c == nil {
		return
	}
	errs := []error{c.closePeers()}
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
