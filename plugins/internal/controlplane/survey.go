package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"sync"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
)

// New is the cluster file before its hosts have been looked at.
func New(file *config.File, settings Settings) *Cluster {
	c := &Cluster{settings: settings, file: file}
	for _, h := range file.Cluster.Controllers() {
		c.controllers = append(c.controllers, &machine{host: h})
	}
	for _, h := range file.Cluster.Workers() {
		c.workers = append(c.workers, &machine{host: h})
	}
	for _, h := range file.LoadBalancer.Hosts {
		c.balancers = append(c.balancers, &balancer{host: h})
	}
	return c
}

// survey connects to every host and looks at it. It changes nothing. Hosts that cannot be looked at are in the
// error, all of them.
func survey(ctx context.Context, file *config.File, settings Settings, connect connectFunc, reporter *report.Reporter) (*Cluster, error) {
	c := New(file, settings)
	c.report, c.connect = reporter, connect
	var looking sync.WaitGroup
	var machinesErr, balancersErr error
	looking.Go(func() {
		machinesErr = c.each(ctx, c.machines(), func(ctx context.Context, m *machine) error {
			m.trouble = at(m.host.Conn, m.look(ctx, connect))
			return m.trouble
		})
	})
	looking.Go(func() {
		balancersErr = c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
			b.trouble = at(b.host.Conn, b.look(ctx, connect, file.LoadBalancer))
			return b.trouble
		})
	})
	looking.Wait()
	c.problems = unjoin(errors.Join(machinesErr, balancersErr))
	c.keepSeen()
	return c, ctx.Err()
}

// keepSeen leaves out the hosts that could not be looked at; each of them is among the problems.
func (c *Cluster) keepSeen() {
	for _, m := range c.machines() {
		c.connections = append(c.connections, m.conn)
	}
	for _, b := range c.balancers {
		c.connections = append(c.connections, b.conn)
	}
	unseen := func(m *machine) bool {
		if !m.seen {
			c.unseen = append(c.unseen, m)
		}
		return !m.seen
	}
	c.controllers = slices.DeleteFunc(c.controllers, unseen)
	c.workers = slices.DeleteFunc(c.workers, unseen)
	c.balancers = slices.DeleteFunc(c.balancers, func(b *balancer) bool {
		if !b.seen {
			c.unseenBalancers = append(c.unseenBalancers, b)
		}
		return !b.seen
	})
	if len(c.controllers) > 0 {
		c.seed = chooseSeed(c.controllers)
	}
}

// look fills in all that is known of the machine.
func (m *machine) look(ctx context.Context, connect connectFunc) error {
	conn, err := connect(ctx, m.host.Conn)
	if err != nil {
		return err
	}
	m.conn = conn
	if m.facts, err = conn.Facts(ctx); err != nil {
		return err
	}
	m.node = &k0s.Node{
		Machine: conn, Binary: m.facts.K0sPath, DataDir: m.host.DataDirOrDefault(), KubeletRootDir: m.host.KubeletRootDir,
	}
	if m.address, err = clusterAddress(m.host, m.facts); err != nil {
		return err
	}
	if err := m.lookAtHooks(ctx); err != nil {
		return err
	}
	if m.host.IsController() {
		err = m.lookAtController(ctx)
		m.fresh = m.ca == "" && !m.running()
	} else {
		err = m.lookAtWorker(ctx)
		m.fresh = m.apiServer == ""
	}
	m.seen = err == nil
	return err
}

func (m *machine) lookAtWorker(ctx context.Context) error {
	kubeconfig, err := m.node.KubeletKubeconfig(ctx)
	if err != nil || kubeconfig == nil {
		return err
	}
	if m.apiServer, err = k0s.KubeletServer(kubeconfig); err != nil {
		return err
	}
	ca, err := kube.AuthorityOf(kubeconfig)
	if err != nil || len(ca) == 0 {
		return err
	}
	m.ca, err = kube.Fingerprint(ca)
	return err
}

// clusterAddress is where the cluster's other hosts reach this one: privateAddress, else an address of privateInterface,
// else the connection's. Of several on the interface, the connection's is preferred.
func clusterAddress(h *config.Host, facts *host.Facts) (netip.Addr, error) {
	if a, err := netip.ParseAddr(h.Address()); err == nil {
		return a.Unmap(), nil
	}
	if h.PrivateInterface == "" {
		return netip.Addr{}, errors.New("its address is a name: set privateAddress to the IP address that the other hosts use")
	}
	connection, _ := netip.ParseAddr(h.Conn.Address()) // a name is on no interface
	var found netip.Addr
	for _, prefix := range facts.Interfaces[h.PrivateInterface] {
		address := prefix.Addr().Unmap()
		if address == connection.Unmap() {
			return address, nil
		}
		if !found.IsValid() && !address.IsLinkLocalUnicast() {
			found = address
		}
	}
	if !found.IsValid() {
		return found, fmt.Errorf("the interface %s has no address: correct privateInterface or set privateAddress",
			h.PrivateInterface)
	}
	return found, nil
}

// lookAtController asks for everything at once: on the way to a host far off, each question takes its time.
func (m *machine) lookAtController(ctx context.Context) error {
	if m.facts.K0sVersion != "" && m.active() {
		m.askStatus(ctx)
	}
	questions := []func(context.Context) error{m.lookAtConfig, m.lookAtAuthority, m.lookAtEtcdData}
	return host.Each(ctx, questions, len(questions), func(ctx context.Context, ask func(context.Context) error) error {
		return ask(ctx)
	})
}

func (m *machine) lookAtConfig(ctx context.Context) error {
	data, err := m.conn.ReadFile(ctx, k0s.ConfigPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		m.config, err = config.ParseObject(data)
		if err != nil {
			err = fmt.Errorf("reading %s: %w", k0s.ConfigPath, err)
		}
	}
	return err
}

func (m *machine) lookAtAuthority(ctx context.Context) error {
	ca, err := m.conn.ReadFile(ctx, m.node.PKI("ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		m.ca, err = kube.Fingerprint(ca)
		if err != nil {
			err = fmt.Errorf("reading %s: %w", m.node.PKI("ca.crt"), err)
		}
	}
	return err
}

func (m *machine) lookAtEtcdData(ctx context.Context) (err error) {
	if m.etcdData, err = m.node.HasEtcdData(ctx); err == nil && m.etcdData {
		m.leftover, err = m.node.HasToken(ctx)
	}
	return err
}

func (b *balancer) look(ctx context.Context, connect connectFunc, lb *config.LoadBalancer) error {
	conn, err := connect(ctx, b.host.Conn)
	if err != nil {
		return err
	}
	b.conn = conn
	if b.facts, err = conn.Facts(ctx); err != nil {
		return err
	}
	data, err := conn.ReadFile(ctx, lb.ConfigPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.cfg, b.seen = data, true
	return nil
}

// chooseSeed picks the controller that stands for the control plane: one that runs and belongs to a cluster, else one
// that belongs to one, else the first of the file.
func chooseSeed(controllers []*machine) *machine {
	seed := controllers[0]
	const best = 2
	rank := func(m *machine) int {
		switch {
		case m.ca != "" && m.running():
			return best
		case m.ca != "":
			return 1
		}
		return 0
	}
	for _, m := range controllers {
		if rank(seed) == best {
			break // the others may not have answered yet
		}
		if rank(m) > rank(seed) {
			seed = m
		}
	}
	return seed
}

// unjoin lists what errors.Join put together.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // only what Join itself made
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err} // fmt.Errorf makes such errors too, which say more than their parts
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, unjoin(e)...)
	}
	return all
}
