package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

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

// needsCertificate tells whether this run makes one.
func (b *balancer) needsCertificate() bool { return !b.certified || b.renew }

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
	if slices.ContainsFunc(c.balancers, (*balancer).needsCertificate) {
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

// certify gives each HAProxy a client certificate of its own, which may read /readyz and nothing else, and makes its checks
// use it.
func (c *Cluster) certify(ctx context.Context) error {
	if err := c.connectAPI(ctx); err != nil {
		return err
	}
	var ca []byte
	err := c.await(ctx, "the cluster shows its CA", func(ctx context.Context) (err error) {
		ca, err = c.api.kube.RootCA(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		if !b.needsCertificate() {
			return nil
		}
		client, err := c.issue(ctx)
		if err != nil {
			return err
		}
		// Its configuration may stay the same, and then nothing else makes it read the new one.
		if err := c.balancer(b).Unconfirm(ctx); err != nil {
			return err
		}
		if err := b.putCertificate(ctx, ca, client); err != nil {
			return fmt.Errorf("giving HAProxy its client certificate: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.balance(c.running)(ctx)
}

// issue has the cluster make a client certificate.
func (c *Cluster) issue(ctx context.Context) (*kube.ClientCertificate, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.settings.Timeout, fmt.Errorf("gave up after %s, see --timeout", c.settings.Timeout))
	defer cancel()
	client, err := kube.IssueClientCertificate(ctx, c.api.kube.Client.CertificatesV1().CertificateSigningRequests(), haproxy.ClientUser)
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w: use the kubeconfig of an administrator", err)
	}
	return client, err
}

func (b *balancer) putCertificate(ctx context.Context, ca []byte, client *kube.ClientCertificate) error {
	if _, err := b.conn.Output(ctx, "mkdir -p -m 0755 /etc/kubectl-ha", nil); err != nil {
		return err
	}
	if err := b.conn.WriteFile(ctx, haproxy.DefaultClientFile, slices.Concat(client.Certificate, client.Key), 0o600); err != nil {
		return err
	}
	// The CA comes last: it is what tells whose certificate that is (see lookAtCertificate).
	if err := b.conn.WriteFile(ctx, haproxy.DefaultCAFile, ca, 0o644); err != nil {
		return err
	}
	b.certified, b.renew = true, false
	return nil
}
