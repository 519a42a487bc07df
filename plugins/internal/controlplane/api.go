package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// api is the control plane as seen from the seed: its API server and its etcd member, both through its host.
type api struct {
	kube *kube.Cluster
	etcd members
	via  *route
}

// route leads to the API server of the host that it is set to. k0s's own kubeconfig is good for every controller's: the
// cluster has one CA, and each API server answers as localhost.
type route struct {
	mu   sync.Mutex
	host remote
}

func (r *route) dial(ctx context.Context, network, address string) (net.Conn, error) {
	r.mu.Lock()
	host := r.host
	r.mu.Unlock()
	return host.DialContext(ctx, network, address)
}

// lead sets the host; there is no route where the user's own kubeconfig leads to the API.
func (r *route) lead(to remote) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.host = to
}

// connectAPI opens the way to the seed's API server and etcd, once k0s has made their certificates.
func (c *Cluster) connectAPI(ctx context.Context) error {
	if c.api != nil {
		return nil
	}
	kubeconfig, err := c.seed.node.AdminKubeconfig(ctx)
	if err != nil {
		return err
	}
	via := &route{host: c.seed.conn}
	k, err := kube.Connect(kubeconfig, via.dial)
	if err != nil {
		return err
	}
	e, err := etcd.Connect(ctx, c.seed.conn, c.seed.host.DataDirOrDefault())
	if err != nil {
		return err
	}
	c.api = &api{kube: k, etcd: e, via: via}
	return nil
}

// reseed lets another controller stand for the control plane. The API's client stays: somebody renews the Lease by it.
func (c *Cluster) reseed(ctx context.Context, seed *machine) error {
	e, err := etcd.Connect(ctx, seed.conn, seed.host.DataDirOrDefault())
	if err != nil {
		return at(seed.host.Conn, err)
	}
	_ = c.api.etcd.Close() // nothing is asked of it any more
	c.seed, c.api.etcd = seed, e
	c.api.via.lead(seed.conn)
	c.api.kube.Close()
	return nil
}

// pollInterval is how often a host is asked while something on it is awaited.
const pollInterval = 300 * time.Millisecond

// await waits for a condition of a machine, no longer than --timeout, and no longer than there is a connection.
func (c *Cluster) await(ctx context.Context, what string, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.settings.Timeout,
		fmt.Errorf("gave up after %s, see --timeout", c.settings.Timeout))
	defer cancel()
	var lost error
	err := kube.Wait(ctx, pollInterval, func(ctx context.Context) error {
		err := condition(ctx)
		if errors.Is(err, host.ErrDisconnected) {
			lost, err = err, nil
		}
		return err
	})
	if err = errors.Join(lost, err); err != nil {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	return nil
}

// readyz asks the machine's own API server whether it is ready.
func (m *machine) readyz(ctx context.Context) error {
	kubeconfig, err := m.node.AdminKubeconfig(ctx)
	if err != nil {
		return err
	}
	k, err := kube.Connect(kubeconfig, m.conn.DialContext)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Ready(ctx)
}

// up tells whether the machine's controller can be worked with: its API server is ready, and k0s, which starts its status
// socket after that, takes commands.
func (m *machine) up(ctx context.Context) error {
	if err := m.readyz(ctx); err != nil {
		return err
	}
	status, err := m.node.Status(ctx)
	if err == nil {
		m.learn(status)
	}
	return err
}

// controlPlaneTimeout bounds how long a control plane that is on its way up, as after a run that was cut off, is waited
// for before it is looked at.
const controlPlaneTimeout = 20 * time.Second

// checkControlPlane looks whether a running control plane can be changed now, and finds out who belongs to it.
func (c *Cluster) checkControlPlane(ctx context.Context) []error {
	if !c.exists() || !c.seed.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, controlPlaneTimeout)
	defer cancel()
	atSeed := func(err error) error { return at(c.seed.host.Conn, err) }
	var members []etcd.Member
	err := kube.Wait(ctx, pollInterval, func(ctx context.Context) (err error) {
		members, err = c.members(ctx)
		return err
	})
	if err != nil {
		return []error{atSeed(fmt.Errorf("%w: bring the controllers back that have failed", err))}
	}
	problems := append(c.meet(members), c.checkVoters(ctx, members)...)
	problems = append(problems, c.checkOutsiders(ctx)...)
	if !c.incomplete() || len(problems) > 0 {
		return problems
	}
	if state, err := c.api.kube.UpgradeInProgress(ctx); err != nil {
		problems = append(problems, atSeed(err))
	} else if state != "" {
		problems = append(problems, atSeed(fmt.Errorf("a k0s upgrade is in progress (%s): wait until it is done, or delete "+
			"its Plan", state)))
	}
	alarms, err := c.api.etcd.Alarms(ctx)
	if err != nil {
		return append(problems, atSeed(err))
	}
	// Members of this file that are still on their way in are completed by this run.
	var others []etcd.Member
	for _, member := range members {
		if m := c.controllerAt(member); m == nil || m.voter {
			others = append(others, member)
		}
	}
	for _, problem := range unjoin(etcd.CanAdd(others, alarms)) {
		problems = append(problems, atSeed(problem))
	}
	return problems
}

// members lists etcd's members, as the seed knows them.
func (c *Cluster) members(ctx context.Context) ([]etcd.Member, error) {
	if err := c.connectAPI(ctx); err != nil {
		return nil, err
	}
	return c.api.etcd.Members(ctx)
}

// meet notes which of the file's controllers vote, and who else does.
func (c *Cluster) meet(members []etcd.Member) []error {
	var problems []error
	for _, m := range c.controllers {
		member, found := etcd.ByAddress(members, m.address)
		m.voter = found && !member.Idle()
		other, named := memberNamed(members, m.name())
		switch {
		case found:
		case named:
			problems = append(problems, fmt.Errorf("%s: etcd knows it at %s, not at %s: correct privateAddress in the file",
				m.conn.Name(), strings.Join(other.PeerURLs, ", "), m.address))
		case m != c.seed && m.belongs() && m.etcdData && !m.leftover: // k0s would not join with it
			problems = append(problems, fmt.Errorf("%s: there is data of an etcd membership in %s that the cluster does not know "+
				"any more: run `k0s stop` and `k0s reset` on it", m.conn.Name(), m.host.DataDirOrDefault()))
		}
	}
	if len(problems) > 0 || len(c.problems) > 0 {
		return problems // a controller that could not be looked at would pass for one that is not in the file
	}
	c.known = true
	c.outsiders = nil
	for _, member := range members {
		if c.controllerAt(member) != nil || member.Idle() {
			continue
		}
		address, err := peerAddress(member)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		c.outsiders = append(c.outsiders, haproxy.Server{Name: strings.ToLower(member.Name), Address: address, Active: true})
	}
	return problems
}

// checkVoters looks for members whose host has lost its data: etcd counts them, but k0s would make a new member.
func (c *Cluster) checkVoters(ctx context.Context, members []etcd.Member) []error {
	return unjoin(c.each(ctx, c.controllers, func(ctx context.Context, m *machine) error {
		if !m.voter || m.etcdData {
			return nil
		}
		// A join that was cut off may have gone on there since the host was looked at.
		data, err := m.node.HasEtcdData(ctx)
		if err != nil || data {
			return err
		}
		member, _ := etcd.ByAddress(members, m.address)
		return fmt.Errorf("etcd counts it as the member %s, but its data is not in %s: correct dataDir, or, when the host was "+
			"set up anew, run `k0s etcd leave --peer-address %s` on %s", member, m.host.DataDirOrDefault(), m.address, c.seed.conn.Name())
	}))
}

// peerAddress is where a member's host is reached.
func peerAddress(member etcd.Member) (netip.Addr, error) {
	for _, peer := range member.PeerURLs {
		host, _ := kube.ServerHost(peer)
		if address, err := netip.ParseAddr(host); err == nil {
			return address.Unmap(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the etcd member %s is not in the file, and its address is a name (%s): add its host to "+
		"the file", member, strings.Join(member.PeerURLs, ", "))
}

// checkOutsiders makes sure that the controllers that are not in the file are up, since they keep their places behind
// the load balancer and count for etcd's quorum.
func (c *Cluster) checkOutsiders(ctx context.Context) []error {
	return unjoin(host.Each(ctx, c.outsiders, c.settings.Parallel, func(ctx context.Context, s haproxy.Server) error {
		if slices.Contains(c.vouched, s.Address) {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, routeTimeout)
		defer cancel()
		conn, err := c.seed.conn.DialContext(ctx, "tcp", netip.AddrPortFrom(s.Address, uint16(c.file.LoadBalancer.Ports.KubeAPI)).String())
		if err != nil {
			return fmt.Errorf("the controller %s (%s), which is not in the file, does not answer: bring it back, or take it "+
				"out with `kubectl ha-eject %s` (%w)", s.Name, s.Address, s.Address, err)
		}
		c.report.Warn(fmt.Sprintf("the controller %s (%s) is not in the file: it keeps its place behind the load balancer, and "+
			"is not looked after otherwise", s.Name, s.Address))
		return conn.Close()
	}))
}

// incomplete tells whether controllers have yet to join.
func (c *Cluster) incomplete() bool {
	for _, m := range c.controllers {
		if !m.voter {
			return true
		}
	}
	return false
}

func (c *Cluster) controllerAt(member etcd.Member) *machine {
	for _, m := range c.controllers {
		if member.HasAddress(m.address) {
			return m
		}
	}
	return nil
}

func memberNamed(members []etcd.Member, name string) (etcd.Member, bool) {
	i := slices.IndexFunc(members, func(m etcd.Member) bool { return strings.EqualFold(m.Name, name) })
	if i < 0 {
		return etcd.Member{}, false
	}
	return members[i], true
}

// memberOf finds the machine's entry in etcd's list.
func (c *Cluster) memberOf(ctx context.Context, m *machine) (etcd.Member, error) {
	members, err := c.api.etcd.Members(ctx)
	if err != nil {
		return etcd.Member{}, err
	}
	member, found := etcd.ByAddress(members, m.address)
	if !found {
		return member, errNoMember
	}
	return member, nil
}

var errNoMember = errors.New("it is not in etcd's member list yet")
