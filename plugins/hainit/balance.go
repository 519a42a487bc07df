package hainit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
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
func (c *cluster) balancer(b *balancer) *haproxy.Balancer {
	spec := specOf(c.file.LoadBalancer)
	if spec.Check == haproxy.CheckReadyz && !b.certified {
		spec.Check, spec.CAFile, spec.ClientFile = haproxy.CheckTLS, "", ""
	}
	line := c.report.Host(b.conn.Name())
	return haproxy.NewBalancer(b.conn, b.conn.Service("haproxy"), spec, haproxy.Options{
		Observe: func(action haproxy.Action) { line.Update(action.String()) },
	})
}

// running tells which controllers take connections before this run adds any: the members of the control plane.
func (c *cluster) running(m *machine) bool { return m == c.seed || m.voter }

// all tells that every controller takes connections.
func (c *cluster) all(*machine) bool { return true }

// servers lists the file's controllers; they have their places in HAProxy from the start.
func (c *cluster) servers(active func(*machine) bool) []haproxy.Server {
	servers := make([]haproxy.Server, len(c.controllers))
	for i, m := range c.controllers {
		servers[i] = haproxy.Server{Name: m.name(), Address: m.address, Active: active(m)}
	}
	return servers
}

// plan compares one HAProxy with what it is to be.
func (c *cluster) plan(ctx context.Context, b *balancer, active func(*machine) bool) (*haproxy.Balancer, *haproxy.Plan, error) {
	balancer := c.balancer(b)
	current, err := balancer.Current(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", b.conn.Name(), err)
	}
	want := haproxy.Desired{Servers: c.servers(active)}
	if !current.HasBlock {
		want.Adoption = b.adoption
	}
	plan, err := haproxy.MakePlan(current, want)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", b.conn.Name(), err)
	}
	return balancer, plan, nil
}

// checkHAProxy makes sure that each HAProxy can be installed, and that its configuration can take our block.
func (c *cluster) checkHAProxy(ctx context.Context) []error {
	return unjoin(c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		if !b.installed() {
			available, err := b.conn.PackageAvailable(ctx, haproxyPackage)
			if err == nil && !available {
				err = fmt.Errorf("%s: there is no package %q: add a repository that has it, or install HAProxy by hand",
					b.conn.Name(), haproxyPackage)
			}
			return err
		}
		if err := b.lookAtCertificate(ctx); err != nil {
			return err
		}
		_, found, err := haproxy.FindBlock(b.cfg)
		if err == nil && !found {
			b.adoption, err = haproxy.Adopt(b.cfg, specOf(c.file.LoadBalancer).Ports)
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", b.conn.Name(), c.file.LoadBalancer.ConfigPath, err)
		}
		if len(c.problems) > 0 {
			return nil // with hosts missing, a plan would say nothing
		}
		_, _, err = c.plan(ctx, b, c.running)
		return err
	}))
}

// confirmAdoption shows what becomes of sections that somebody wrote by hand, and asks.
func (c *cluster) confirmAdoption(ctx context.Context, confirmer *cli.Confirmer) error {
	for _, b := range c.balancers {
		if b.adoption == nil || !b.adoption.Found() {
			continue
		}
		_, plan, err := c.plan(ctx, b, c.running)
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
			if !c.options.AdoptHAProxy {
				asked = confirmer.Confirm(ctx, "Take these sections over (a copy of the file is kept)?", "use --adopt-haproxy")
			}
		})
		if asked != nil {
			return asked
		}
	}
	return nil
}

func (c *cluster) skipBalance(active func(*machine) bool) func(context.Context) (string, error) {
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

func (c *cluster) detailBalance(active func(*machine) bool) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		var lines []string
		for _, b := range c.balancers {
			_, plan, err := c.plan(ctx, b, active)
			if err != nil {
				return nil, err
			}
			for _, line := range plan.Lines() {
				lines = append(lines, b.conn.Name()+": "+line)
			}
			if diff := plan.Diff(); diff != "" {
				lines = append(lines, strings.Split(strings.TrimRight(diff, "\n"), "\n")...)
			}
		}
		return lines, nil
	}
}

// balance makes every HAProxy send connections to the active controllers, each on its own.
func (c *cluster) balance(active func(*machine) bool) func(context.Context) error {
	return func(ctx context.Context) error {
		return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
			balancer, plan, err := c.plan(ctx, b, active)
			if err != nil {
				return err
			}
			if plan.Empty() {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
			defer cancel()
			if err := balancer.Apply(ctx, plan); err != nil {
				return fmt.Errorf("%s: %w", b.conn.Name(), err)
			}
			c.report.Host(b.conn.Name()).Done("done")
			return nil
		})
	}
}

// renewBefore is how long before its end a certificate is made anew; k0s makes them for a year.
const renewBefore = 30 * 24 * time.Hour

// checkUser is the name in the certificate that HAProxy's health checks show.
const checkUser = "kubectl-ha-haproxy"

// lookAtCertificate finds out whether HAProxy's health checks have a certificate that will do for a while.
func (b *balancer) lookAtCertificate(ctx context.Context) error {
	data, err := b.conn.ReadFile(ctx, haproxy.DefaultClientFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	left, err := kube.ValidFor(data, time.Now())
	b.certified = err == nil && left > 0
	b.renew = err != nil || left < renewBefore
	return nil
}

func (c *cluster) skipCertificate(ctx context.Context) (string, error) {
	if c.file.LoadBalancer.Check != config.CheckReadyz {
		return "the file asks for check: " + string(c.file.LoadBalancer.Check), nil
	}
	if slices.ContainsFunc(c.balancers, func(b *balancer) bool { return !b.certified || b.renew }) {
		return "", nil
	}
	return c.skipBalance(c.running)(ctx)
}

func (c *cluster) detailCertificate(context.Context) ([]string, error) {
	var lines []string
	for _, b := range c.balancers {
		lines = append(lines, fmt.Sprintf("%s: a client certificate for %s in %s, then reload", b.conn.Name(), checkUser,
			haproxy.DefaultClientFile))
	}
	return lines, nil
}

// certify gives HAProxy a client certificate that may read /readyz and nothing else, and makes its checks use it.
func (c *cluster) certify(ctx context.Context) error {
	kubeconfig, err := c.seed.node.ClientKubeconfig(ctx, checkUser)
	if err != nil {
		return err
	}
	credentials, err := kube.CredentialsOf(kubeconfig)
	if err != nil {
		return err
	}
	err = c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		if b.certified && !b.renew {
			return nil
		}
		if err := b.putCertificate(ctx, credentials); err != nil {
			return fmt.Errorf("%s: giving HAProxy its client certificate: %w", b.conn.Name(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.balance(c.running)(ctx)
}

func (b *balancer) putCertificate(ctx context.Context, credentials kube.Credentials) error {
	if _, err := b.conn.Output(ctx, "mkdir -p -m 0755 /etc/haproxy/kubectl-ha", nil); err != nil {
		return err
	}
	if err := b.conn.WriteFile(ctx, haproxy.DefaultCAFile, credentials.CA, 0o644); err != nil {
		return err
	}
	if err := b.conn.WriteFile(ctx, haproxy.DefaultClientFile, credentials.Client, 0o600); err != nil {
		return err
	}
	b.certified, b.renew = true, false
	return nil
}
