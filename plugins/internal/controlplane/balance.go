package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// specOf is what the LoadBalancer document asks of each HAProxy.
func specOf(lb *config.LoadBalancer) haproxy.Spec {
	spec := haproxy.Spec{
		Name:       lb.Name,
		Ports:      haproxy.Ports(lb.Ports),
		Balance:    lb.Balance,
		Check:      haproxy.CheckMode(lb.Check),
		Spares:     lb.SpareServers,
		ConfigPath: lb.ConfigPath,
	}
	if a, err := netip.ParseAddr(lb.Address); err == nil && a.Is6() {
		spec.Bind = netip.IPv6Unspecified() // both families; without it, HAProxy listens on IPv4 alone
	}
	if !lb.Stats.Disabled {
		spec.StatsListen = lb.Stats.Listen
	}
	if spec.Check == haproxy.CheckReadyz {
		spec.CAFile, spec.ClientFile = haproxy.DefaultCAFile, haproxy.DefaultClientFile
	}
	return spec.WithDefaults()
}

// balancer is what changes one HAProxy: towards what the file asks for, or towards a TLS check while there is no
// certificate for a readyz check.
func (c *Cluster) balancer(b *balancer) *haproxy.Balancer { return c.balancerWith(b, b.certified) }

func (c *Cluster) balancerWith(b *balancer, certified bool) *haproxy.Balancer {
	spec := specOf(c.file.LoadBalancer)
	if spec.Check == haproxy.CheckReadyz && !certified {
		spec.Check, spec.CAFile, spec.ClientFile = haproxy.CheckTLS, "", ""
	}
	return haproxy.NewBalancer(b.conn, b.conn.Service("haproxy"), spec, haproxy.Options{
		Observe: func(action haproxy.Action) { c.report.Host(b.conn.Name()).Update(action.String()) },
	})
}

// running tells which controllers take connections before this run adds any: the members of the control plane. While it
// is down, those that have been members are taken for it.
func (c *Cluster) running(m *machine) bool {
	return m == c.seed || m.voter || c.down() && m.belongs() && m.etcdData
}

// staying tells which of them take connections once the one that leaves has left.
func (c *Cluster) staying(m *machine) bool {
	return c.running(m) && (c.leaving == nil || m != c.leaving.machine)
}

// down tells that there is a control plane, but that nobody can say who belongs to it.
func (c *Cluster) down() bool { return c.exists() && !c.known }

// all tells that every controller takes connections.
func (c *Cluster) all(*machine) bool { return true }

// servers lists the file's controllers, which have their places in HAProxy from the start, and those members of the
// control plane that the file does not name. One that is let into a running control plane gets its place when it is a
// member, so that a join that fails leaves nothing behind.
func (c *Cluster) servers(active func(*machine) bool) []haproxy.Server {
	var servers []haproxy.Server
	for _, m := range c.controllers {
		if active(m) || !slices.Contains(c.joiners, m) {
			servers = append(servers, haproxy.Server{Name: m.name(), Address: m.address, Active: active(m)})
		}
	}
	if l := c.leaving; l.keepsPlace() && active(l.machine) {
		servers = append(servers, haproxy.Server{Name: l.name(), Address: l.machine.address, Active: true})
	}
	return append(servers, c.outsiders...)
}

// kept lists the servers of an HAProxy that the file does not name, and that may be members of a control plane that is
// down.
func (c *Cluster) kept(current *haproxy.Current) []haproxy.Server {
	var servers []haproxy.Server
	for _, slot := range current.Slots {
		ours := slices.ContainsFunc(c.controllers, func(m *machine) bool {
			return m.address == slot.Address || m.name() == slot.Name
		})
		if slot.Used() && slot.Enabled && !ours {
			servers = append(servers, haproxy.Server{Name: slot.Name, Address: slot.Address, Active: true})
		}
	}
	return servers
}

// plan compares one HAProxy with what it is to be.
func (c *Cluster) plan(ctx context.Context, b *balancer, active func(*machine) bool) (*haproxy.Balancer, *haproxy.Plan, error) {
	balancer := c.balancer(b)
	current, err := balancer.Current(ctx)
	if err != nil {
		return nil, nil, at(b.host.Conn, err)
	}
	plan, err := c.planFrom(current, b, active)
	if err != nil {
		return nil, nil, at(b.host.Conn, err)
	}
	return balancer, plan, nil
}

// planFrom compares what one HAProxy was found to be with what it is to be.
func (c *Cluster) planFrom(current *haproxy.Current, b *balancer, active func(*machine) bool) (*haproxy.Plan, error) {
	want := haproxy.Desired{Servers: c.servers(active)}
	if c.down() {
		want.Servers = append(want.Servers, c.kept(current)...)
	}
	if !current.HasBlock {
		want.Adoption = b.adoption
	}
	return haproxy.MakePlan(current, want)
}

// outcome compares one HAProxy with what it will be when a run has done all its steps: with every controller, and with the
// certificate that the run makes.
func (c *Cluster) outcome(ctx context.Context, b *balancer) (*haproxy.Plan, error) {
	current, err := c.balancerWith(b, true).Current(ctx)
	if err != nil {
		return nil, at(b.host.Conn, err)
	}
	plan, err := c.planFrom(current, b, c.all)
	return plan, at(b.host.Conn, err)
}

// checkHAProxy makes sure that each HAProxy can be installed, and that its configuration can take our block.
func (c *Cluster) checkHAProxy(ctx context.Context) []error {
	return unjoin(c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		var errs []error
		for _, name := range b.missing() {
			available, err := b.conn.PackageAvailable(ctx, name)
			if err == nil && !available {
				err = fmt.Errorf("there is no package %q: add a repository that has it, or install it by hand", name)
			}
			errs = append(errs, at(b.host.Conn, err))
		}
		if err := errors.Join(errs...); err != nil || !b.installed() {
			return err
		}
		if err := c.lookAtCertificate(ctx, b); err != nil {
			return err
		}
		_, found, err := haproxy.FindBlock(b.cfg)
		if err == nil && !found {
			b.adoption, err = haproxy.Adopt(b.cfg, specOf(c.file.LoadBalancer).Ports)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.file.LoadBalancer.ConfigPath, err)
		}
		if len(c.problems) > 0 {
			return nil // with hosts missing, a plan would say nothing
		}
		_, _, err = c.plan(ctx, b, c.running)
		return err
	}))
}

// ConfirmAdoption shows what becomes of sections that somebody wrote by hand, and asks.
func (c *Cluster) ConfirmAdoption(ctx context.Context, confirmer *cli.Confirmer) error {
	for _, b := range c.balancers {
		if b.adoption == nil || !b.adoption.Found() {
			continue
		}
		plan, err := c.outcome(ctx, b)
		if err != nil {
			return err
		}
		var asked error
		c.report.Prompt(func() {
			fmt.Fprintf(confirmer.Out, "%s serves the control plane's ports already, set up by hand. This would change:\n%s",
				b.conn.Name(), plan.Diff())
			for _, lost := range b.adoption.Lost {
				fmt.Fprintf(confirmer.Out, "no longer there: %s\n", lost)
			}
			if !c.settings.AdoptHAProxy {
				asked = confirmer.Confirm(ctx, "Take these sections over (a copy of the file is kept)?", "use --adopt-haproxy")
			}
		})
		if asked != nil {
			return asked
		}
	}
	return nil
}

func (c *Cluster) skipBalance(active func(*machine) bool) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		for _, b := range c.balancers {
			_, plan, err := c.plan(ctx, b, active)
			if err != nil {
				return "", err
			}
			if !plan.Empty() {
				return "", nil
			}
		}
		return "every HAProxy is as it should be", nil
	}
}

func (c *Cluster) detailBalance(active func(*machine) bool) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		var lines []string
		for _, b := range c.balancers {
			_, plan, err := c.plan(ctx, b, active)
			if err != nil {
				return nil, err
			}
			if text, err := c.policyToFollow(ctx, b); err != nil {
				return nil, err
			} else if text != nil {
				lines = append(lines, fmt.Sprintf("%s: %s, as the block is", b.conn.Name(), lbhelper.DefaultPolicyPath))
			}
			for _, line := range plan.Lines() {
				lines = append(lines, b.conn.Name()+": "+line)
			}
			lines = append(lines, planDiff(plan)...)
		}
		return lines, nil
	}
}

func planDiff(plan *haproxy.Plan) []string {
	diff := strings.TrimRight(plan.Diff(), "\n")
	if diff == "" {
		return nil
	}
	return strings.Split(diff, "\n")
}

// detailBalanceAll says what is left to do once every controller has joined. Where the steps before will have changed
// HAProxy, that is to let those in that they left out, and it shows what the file will have become by all of them.
func (c *Cluster) detailBalanceAll(ctx context.Context) ([]string, error) {
	reason, err := c.skipBalance(c.running)(ctx)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		return c.detailBalance(c.all)(ctx)
	}
	var lines []string
	for _, b := range c.balancers {
		for _, m := range c.controllers {
			if !c.running(m) {
				lines = append(lines, fmt.Sprintf("%s: %s (%s) gets connections, once its health check has passed", b.conn.Name(),
					m.name(), m.address))
			}
		}
		plan, err := c.outcome(ctx, b)
		if err != nil {
			return nil, err
		}
		if diff := planDiff(plan); len(diff) > 0 {
			lines = append(lines, b.conn.Name()+": by then, its file has become")
			lines = append(lines, diff...)
		}
	}
	return lines, nil
}

// balance makes every HAProxy send connections to the active controllers, each on its own.
func (c *Cluster) balance(active func(*machine) bool) func(context.Context) error {
	return func(ctx context.Context) error {
		return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
			balancer, plan, err := c.plan(ctx, b, active)
			if err != nil {
				return err
			}
			if plan.Empty() {
				return nil
			}
			text, err := c.policyToFollow(ctx, b)
			if err == nil && text != nil {
				err = b.changePolicy(ctx, text)
			}
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, c.settings.Timeout)
			defer cancel()
			if err := balancer.Apply(ctx, plan); err != nil {
				return err
			}
			c.report.Host(b.conn.Name()).Done("done")
			return nil
		})
	}
}
