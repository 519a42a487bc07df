package controlplane

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// acceptUnseen lets controllers join though there are members whose hosts cannot be reached by SSH, where the API vouches
// for those: their own API server is ready, which it is only while the etcd beside it serves reads that a quorum confirms,
// it is of the same version, and k0s says that they have joined. Alarms are raised for all members alike, so the seed's
// etcd knows them, or the API cannot write; what such a member itself takes for etcd's members is not known, and need not
// be, since it has applied what the quorum has decided.
func (c *Cluster) acceptUnseen(ctx context.Context, members []etcd.Member) {
	var mu sync.Mutex
	// Whom nobody vouches for stays among the problems.
	_ = host.Each(ctx, slices.Clone(c.unseen), c.settings.Parallel, func(ctx context.Context, m *machine) error {
		address, err := netip.ParseAddr(m.host.Address())
		member, found := etcd.ByAddress(members, address)
		if err != nil || !m.host.IsController() || !found || member.Idle() {
			return nil
		}
		err = c.vouch(ctx, address)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			c.problems = append(c.problems, fmt.Errorf("%s: nor is it known to be well otherwise: %w", m.host.Conn, err))
			return nil
		}
		c.vouched = append(c.vouched, address)
		c.forgive(m.trouble)
		c.report.Warn(fmt.Sprintf("%v: that the controller is well is taken from its API server, which says so", m.trouble))
		return nil
	})
}

// vouch asks the API server of a controller that cannot be reached by SSH, from where the seed is.
func (c *Cluster) vouch(ctx context.Context, address netip.Addr) error {
	objects, err := c.api.kube.EtcdMembers(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.PeerAddress.Unmap() == address && !o.Joined {
			return fmt.Errorf("its EtcdMember %s says that it has not joined", o.Name)
		}
	}
	to := netip.AddrPortFrom(address, uint16(c.file.LoadBalancer.Ports.KubeAPI)).String()
	k, err := c.api.kube.Direct(ctx, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return c.seed.conn.DialContext(ctx, network, to)
	})
	if err != nil {
		return err
	}
	defer k.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, peerTimeout, fmt.Errorf("no answer within %s", peerTimeout))
	defer cancel()
	if err := kube.Wait(ctx, pollInterval, k.Ready); err != nil {
		return err
	}
	return sameServerVersion(ctx, c.api.kube, k)
}

// sameServerVersion looks for an upgrade that is half done.
func sameServerVersion(ctx context.Context, ours, theirs *kube.Cluster) error {
	want, err := ours.ServerVersion(ctx)
	if err != nil {
		return err
	}
	got, err := theirs.ServerVersion(ctx)
	if err == nil && got != want {
		err = fmt.Errorf("its API server is %s, and others are %s: finish the upgrade first", got, want)
	}
	return err
}
