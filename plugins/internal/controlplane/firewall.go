package controlplane

import (
	"context"
	"fmt"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
)

// opening is something that a host's security would keep HAProxy from: how to see that it is allowed, and how to
// allow it, now and at the next boot.
type opening struct {
	title string
	check string // succeeds when it is allowed
	allow string
}

// openings are what a load balancer needs where SELinux is on or firewalld runs.
func openings(facts *host.Facts, ports config.Ports) []opening {
	var list []opening
	if facts.SELinux == "enforcing" || facts.SELinux == "permissive" {
		list = append(list, opening{
			title: "SELinux: haproxy_connect_any",
			check: "getsebool haproxy_connect_any | grep -q 'on$'",
			allow: "setsebool -P haproxy_connect_any=1",
		})
	}
	if facts.Firewalld {
		for _, port := range []int{ports.KubeAPI, ports.Konnectivity, ports.ControllerJoin} {
			list = append(list, opening{
				title: fmt.Sprintf("firewalld: port %d", port),
				check: fmt.Sprintf("firewall-cmd -q --query-port=%[1]d/tcp && firewall-cmd -q --permanent --query-port=%[1]d/tcp", port),
				allow: fmt.Sprintf("firewall-cmd -q --add-port=%[1]d/tcp && firewall-cmd -q --permanent --add-port=%[1]d/tcp", port),
			})
		}
	}
	return list
}

// closed lists what is not allowed yet on a load balancer.
func (c *Cluster) closed(ctx context.Context, b *balancer) []opening {
	var list []opening
	for _, o := range openings(b.facts, c.file.LoadBalancer.Ports) {
		if _, err := b.conn.Output(ctx, o.check, nil); err != nil {
			list = append(list, o)
		}
	}
	return list
}

func (c *Cluster) skipOpen(ctx context.Context) (string, error) {
	for _, b := range c.balancers {
		if len(c.closed(ctx, b)) > 0 {
			return "", nil
		}
	}
	return "nothing is in its way", nil
}

func (c *Cluster) detailOpen(ctx context.Context) ([]string, error) {
	var lines []string
	for _, b := range c.balancers {
		for _, o := range c.closed(ctx, b) {
			lines = append(lines, b.conn.Name()+": "+o.title)
		}
	}
	return lines, nil
}

func (c *Cluster) open(ctx context.Context) error {
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		for _, o := range c.closed(ctx, b) {
			if _, err := b.conn.Output(ctx, o.allow, nil); err != nil {
				return fmt.Errorf("allowing %s: %w", o.title, err)
			}
		}
		return nil
	})
}
