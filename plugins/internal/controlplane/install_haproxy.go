package controlplane

import (
	"context"
	"fmt"
	"strings"
)

const haproxyPackage = "haproxy"

// socatPackage has what reaches HAProxy's runtime socket where the user who logs in is not root: SSH forwards a socket
// as that user, who may not open it.
const socatPackage = "socat"

// installed tells whether HAProxy is on the host: as a service, which is what every distribution's package brings.
func (b *balancer) installed() bool {
	state := b.facts.Services["haproxy"]
	return state != "" && state != "absent"
}

// missing lists the packages that the host needs and does not have.
func (b *balancer) missing() []string {
	var packages []string
	if !b.installed() {
		packages = append(packages, haproxyPackage)
	}
	if b.facts.Sudo && !b.facts.Socat {
		packages = append(packages, socatPackage)
	}
	return packages
}

func (c *Cluster) skipInstallHAProxy(context.Context) (string, error) {
	for _, b := range c.balancers {
		if len(b.missing()) > 0 {
			return "", nil
		}
	}
	return "it is on every load balancer", nil
}

func (c *Cluster) detailInstallHAProxy(context.Context) ([]string, error) {
	var lines []string
	for _, b := range c.balancers {
		packages := b.missing()
		if len(packages) == 0 {
			continue
		}
		noun := "package"
		if len(packages) > 1 {
			noun = "packages"
		}
		lines = append(lines, fmt.Sprintf("%s: install the %s %s (%s)", b.conn.Name(), noun, strings.Join(packages, ", "),
			b.facts.PackageManager))
	}
	return lines, nil
}

// installHAProxy installs the distribution's packages.
func (c *Cluster) installHAProxy(ctx context.Context) error {
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		packages := b.missing()
		if len(packages) == 0 {
			return nil
		}
		line := c.report.Host(b.conn.Name())
		line.Update("installing " + strings.Join(packages, ", "))
		if err := b.conn.InstallPackages(ctx, packages...); err != nil {
			return err
		}
		if !b.installed() {
			b.facts.Services["haproxy"] = "active"
		}
		b.facts.Socat = true
		line.Done("installed")
		return nil
	})
}
