package controlplane

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// createToken makes a token by which controllers join: by the user's kubeconfig where there is one that may do that, else
// by k0s on the seed.
func (c *Cluster) createToken(ctx context.Context, expiry time.Duration) (k0s.Token, error) {
	if c.settings.UserAPI != nil {
		token, err := c.tokenByAPI(ctx, expiry)
		if !errors.Is(err, kube.ErrMayNotCreateTokens) {
			return token, err
		}
		c.report.Host(c.seed.name()).Update("creating the join token, since the kubeconfig's user may not")
	}
	token, err := c.seed.node.CreateToken(ctx, "controller", expiry)
	return token, at(c.seed.host.Conn, err)
}

// tokenByAPI makes a token without any host.
func (c *Cluster) tokenByAPI(ctx context.Context, expiry time.Duration) (k0s.Token, error) {
	ca, err := c.settings.UserAPI.RootCA(ctx)
	if err != nil {
		return k0s.Token{}, err
	}
	lb := c.file.LoadBalancer
	token, err := k0s.NewControllerToken("https://"+net.JoinHostPort(lb.Address, strconv.Itoa(lb.Ports.ControllerJoin)), ca)
	if err != nil {
		return k0s.Token{}, err
	}
	// It expires by the controllers' clocks; that of the user's machine may be wrong.
	expires := time.Now().Add(c.seed.facts.ClockOffset + expiry)
	return token, c.settings.UserAPI.CreateControllerToken(ctx, token.ID(), token.Secret(), expires)
}

// invalidateToken makes a token useless, however it was made: it is the same object.
func (c *Cluster) invalidateToken(ctx context.Context, token k0s.Token) error {
	if c.settings.UserAPI != nil && c.settings.UserAPI.DeleteToken(ctx, token.ID()) == nil {
		return nil
	}
	return at(c.seed.host.Conn, c.seed.node.InvalidateToken(ctx, token))
}
