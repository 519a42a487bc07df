package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// renewBefore is how long before its end a certificate is made anew; k0s makes them for a year.
const renewBefore = 30 * 24 * time.Hour

// lookAtCertificate finds out whether HAProxy's health checks have a certificate of this very cluster that will do for a
// while.
func (c *Cluster) lookAtCertificate(ctx context.Context, b *balancer) error {
	client, err := b.conn.ReadFile(ctx, haproxy.DefaultClientFile)
	if err != nil {
		return unlessAbsent(err)
	}
	ca, err := b.conn.ReadFile(ctx, haproxy.DefaultCAFile)
	if err != nil {
		return unlessAbsent(err)
	}
	authority, caErr := kube.Fingerprint(ca)
	left, clientErr := kube.ValidFor(client, time.Now())
	// A cluster that was set up anew has another CA.
	b.certified = caErr == nil && clientErr == nil && left > 0 && c.seed != nil && c.exists() && authority == c.seed.ca
	b.renew = b.certified && left < renewBefore
	return nil
}

func unlessAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (c *Cluster) skipCertificate(ctx context.Context) (string, error) {
	reason, err := c.skipRenewal(ctx)
	if err != nil || reason == "" || c.file.LoadBalancer.Check != config.CheckReadyz {
		return reason, err
	}
	return c.skipBalance(c.running)(ctx)
}

func (c *Cluster) skipRenewal(context.Context) (string, error) {
	if c.file.LoadBalancer.Check != config.CheckReadyz {
		return "the file asks for check: " + string(c.file.LoadBalancer.Check), nil
	}
	switch {
	case !slices.ContainsFunc(c.balancers, func(b *balancer) bool { return !b.certified || b.renew }):
	case c.seed.deputy:
		return errNoController.Error() + " to make one; a later run does", nil
	default:
		return "", nil
	}
	return "it is valid for a while", nil
}

func (c *Cluster) detailCertificate(context.Context) ([]string, error) {
	var lines []string
	for _, b := range c.balancers {
		lines = append(lines, fmt.Sprintf("%s: a client certificate for %s in %s, then reload", b.conn.Name(), haproxy.ClientUser,
			haproxy.DefaultClientFile))
	}
	return lines, nil
}

// certify gives HAProxy a client certificate that may read /readyz and nothing else, and makes its checks use it.
func (c *Cluster) certify(ctx context.Context) error {
	kubeconfig, err := c.seed.node.ClientKubeconfig(ctx, haproxy.ClientUser)
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
		if b.renew { // its configuration stays the same, so nothing else makes it read the new one
			if err := c.balancer(b).Unconfirm(ctx); err != nil {
				return err
			}
		}
		if err := b.putCertificate(ctx, credentials); err != nil {
			return fmt.Errorf("giving HAProxy its client certificate: %w", err)
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
	if err := b.conn.WriteFile(ctx, haproxy.DefaultClientFile, credentials.Client, 0o600); err != nil {
		return err
	}
	// The CA comes last: it is what tells whose certificate that is (see lookAtCertificate).
	if err := b.conn.WriteFile(ctx, haproxy.DefaultCAFile, credentials.CA, 0o644); err != nil {
		return err
	}
	b.certified, b.renew = true, false
	return nil
}
