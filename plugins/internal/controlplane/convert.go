package controlplane

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

// unbalanced lists the members that were there before and do not answer at the load balancer's address yet: their
// configuration does not name it, or k0s was not restarted since it does. A controller that has yet to join gets its
// configuration then.
func (c *Cluster) unbalanced() []*machine {
	address := c.file.LoadBalancer.Address
	var hosts []*machine
	for _, m := range c.controllers {
		if m.fresh || !c.running(m) {
			continue
		}
		if !sameAddress(m.config.ExternalAddress(), address) ||
			m.running() && !sameAddress(m.status().ExternalAddress(), address) {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (c *Cluster) skipConvert(context.Context) (string, error) {
	if len(c.unbalanced()) == 0 {
		return "all do", nil
	}
	return "", nil
}

func (c *Cluster) detailConvert(ctx context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.unbalanced() {
		object, changes := c.withAddresses(m.config, m)
		what := "restart k0s"
		if len(changes) > 0 {
			what = k0s.ConfigPath + ": " + strings.Join(changes, ", ") + "; " + what
		}
		detail, err := m.detailConfig(ctx, object, what)
		if err != nil {
			return nil, err
		}
		lines = append(lines, detail...)
	}
	strangers, err := c.strangers(ctx)
	return append(lines, strangers...), err
}

// convert gives running controllers the load balancer's address, one after another, each awaited before the next.
// Certificates are re-issued by k0s at the restart; data and workloads stay. Workers that the file does not name are
// named first, so that a run that is cut off has said it.
func (c *Cluster) convert(ctx context.Context) error {
	strangers, err := c.strangers(ctx)
	if err != nil {
		return err
	}
	for _, line := range strangers {
		c.report.Warn(line)
	}
	for _, m := range c.unbalanced() {
		line := c.report.Host(m.name())
		line.Update("changing k0s.yaml")
		object, _ := c.withAddresses(m.config, m)
		text, err := object.YAML()
		if err != nil {
			return fmt.Errorf("changing %s: %w", k0s.ConfigPath, err)
		}
		if err := m.replaceConfig(ctx, text); err != nil {
			return at(m.host.Conn, err)
		}
		line.Update("restarting k0s")
		if err := m.conn.Service(k0s.ControllerService).Restart(ctx); err != nil {
			return at(m.host.Conn, err)
		}
		if err := c.await(ctx, "the API server on "+m.name()+" is ready again", m.up); err != nil {
			return err
		}
		m.config = object
		line.Done("answers at " + c.file.LoadBalancer.Address)
	}
	return nil
}

// skipRepair looks at the Service that pods reach the API by. Only a cluster that once ran without externalAddress
// can need this.
func (c *Cluster) skipRepair(ctx context.Context) (string, error) {
	if !c.exists() {
		return "the cluster starts with the load balancer's address", nil
	}
	if c.keepsOwnEndpoints() {
		return "the API servers keep its endpoints themselves", nil
	}
	if c.api == nil {
		return "", nil // a dry run while the control plane is down
	}
	service, err := c.api.kube.APIService(ctx)
	if err != nil {
		return "", err
	}
	if service.NeedsRepair() {
		return "", nil
	}
	return "it does", nil
}

// keepsOwnEndpoints tells whether k0s leaves the endpoints to the API servers in spite of externalAddress (k0s v1.36.3,
// cmd/controller).
func (c *Cluster) keepsOwnEndpoints() bool {
	status := c.seed.status()
	if status == nil {
		status = &k0s.Status{Args: c.seed.host.InstallFlags}
	}
	return c.seed.config.CPLB() || status.Disables("endpoint-reconciler")
}

func (c *Cluster) repair(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.settings.Timeout)
	defer cancel()
	return c.api.kube.RepairAPIService(ctx, c.isBalancer)
}

// isBalancer tells the load balancer's address from those that an API server writes for itself. k0s resolves a name and
// writes what it finds: then that is whatever is no controller's.
func (c *Cluster) isBalancer(address netip.Addr) bool {
	if balancer, err := netip.ParseAddr(c.file.LoadBalancer.Address); err == nil {
		return address == balancer.Unmap()
	}
	return !slices.ContainsFunc(c.controllers, func(m *machine) bool { return slices.Contains(m.facts.Addresses, address) })
}
