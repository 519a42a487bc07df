package hainit

import (
	"context"
	"fmt"
)

const haproxyPackage = "haproxy"

// installed tells whether HAProxy is on the host: as a service, which is what every distribution's package brings.
func (b *balancer) installed() bool {
	state := b.facts.Services["haproxy"]
	return state != "" && state != "absent"
}

func (c *cluster) bare() []*balancer {
	var hosts []*balancer
	for _, b := range c.balancers {
		if !b.installed() {
			hosts = append(hosts, b)
		}
	}
	return hosts
}

func (c *cluster) skipInstallHAProxy(context.Context) (string, error) {
	if len(c.bare()) == 0 {
		return "it is on every load balancer", nil
	}
	return "", nil
}

func (c *cluster) detailInstallHAProxy(context.Context) ([]string, error) {
	var lines []string
	for _, b := range c.bare() {
		lines = append(lines, fmt.Sprintf("%s: install the package %s (%s)", b.conn.Name(), haproxyPackage, b.facts.PackageManager))
	}
	return lines, nil
}

// installHAProxy installs the distribution's package.
func (c *cluster) installHAProxy(ctx context.Context) error {
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		if b.installed() {
			return nil
		}
		line := c.report.Host(b.conn.Name())
		line.Update("installing " + haproxyPackage)
		if err := b.conn.InstallPackages(ctx, haproxyPackage); err != nil {
			return err
		}
		b.facts.Services["haproxy"] = "active"
		line.Done("installed")
		return nil
	})
}
