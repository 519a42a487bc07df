package hainit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// api is the control plane as seen from the seed: its API server and its etcd member, both through its host.
type api struct {
	kube *kube.Cluster
	etcd members
}

// connectAPI opens the way to the seed's API server and etcd, once k0s has made their certificates.
func (c *cluster) connectAPI(ctx context.Context) error {
	if c.api != nil {
		return nil
	}
	kubeconfig, err := c.seed.node.AdminKubeconfig(ctx)
	if err != nil {
		return err
	}
	k, err := kube.Connect(kubeconfig, c.seed.conn.DialContext)
	if err != nil {
		return err
	}
	e, err := etcd.Connect(ctx, c.seed.conn, c.seed.host.DataDirOrDefault())
	if err != nil {
		return err
	}
	c.api = &api{kube: k, etcd: e}
	return nil
}

// pollInterval is how often a host is asked while something on it is awaited.
const pollInterval = 300 * time.Millisecond

// await waits for a condition of a machine, no longer than --timeout.
func (c *cluster) await(ctx context.Context, what string, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.options.Timeout,
		fmt.Errorf("gave up after %s, see --timeout", c.options.Timeout))
	defer cancel()
	if err := kube.Wait(ctx, pollInterval, condition); err != nil {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	return nil
}

// readyz asks the machine's own API server whether it is ready.
func (m *machine) readyz(ctx context.Context) error {
	kubeconfig, err := m.node.AdminKubeconfig(ctx)
	if err != nil {
		return err
	}
	k, err := kube.Connect(kubeconfig, m.conn.DialContext)
	if err != nil {
		return err
	}
	return k.Ready(ctx)
}

// checkControlPlane looks whether a running control plane can be changed now, and finds out who belongs to it.
func (c *cluster) checkControlPlane(ctx context.Context) []error {
	if !c.exists() || !c.seed.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	at := func(err error) []error { return []error{fmt.Errorf("%s: %w", c.seed.conn.Name(), err)} }
	if err := c.connectAPI(ctx); err != nil {
		return at(err)
	}
	members, err := c.api.etcd.Members(ctx)
	if err != nil {
		return at(fmt.Errorf("%w: bring the etcd members back that have failed", err))
	}
	var problems []error
	for _, m := range c.controllers {
		member, found := etcd.ByAddress(members, m.address)
		m.voter = found && !member.Learner && member.Name != ""
		if other, named := memberNamed(members, m.name()); named && !found {
			problems = append(problems, fmt.Errorf("%s: etcd knows it at %s, not at %s: correct privateAddress in the file",
				m.conn.Name(), strings.Join(other.PeerURLs, ", "), m.address))
		}
	}
	if !c.incomplete() || len(problems) > 0 {
		return problems
	}
	if state, err := c.api.kube.UpgradeInProgress(ctx); err != nil {
		problems = append(problems, at(err)...)
	} else if state != "" {
		problems = append(problems, at(fmt.Errorf("a k0s upgrade is in progress: %s: wait until it is done", state))...)
	}
	alarms, err := c.api.etcd.Alarms(ctx)
	if err != nil {
		return append(problems, at(err)...)
	}
	// Members of this file that are still on their way in are completed by this run.
	var others []etcd.Member
	for _, member := range members {
		if m := c.controllerAt(member); m == nil || m.voter {
			others = append(others, member)
		}
	}
	if err := etcd.CanAdd(others, alarms); err != nil {
		problems = append(problems, at(err)...)
	}
	return problems
}

// incomplete tells whether controllers have yet to join.
func (c *cluster) incomplete() bool {
	for _, m := range c.controllers {
		if !m.voter {
			return true
		}
	}
	return false
}

func (c *cluster) controllerAt(member etcd.Member) *machine {
	for _, m := range c.controllers {
		if member.HasAddress(m.address) {
			return m
		}
	}
	return nil
}

func memberNamed(members []etcd.Member, name string) (etcd.Member, bool) {
	i := slices.IndexFunc(members, func(m etcd.Member) bool { return strings.EqualFold(m.Name, name) })
	if i < 0 {
		return etcd.Member{}, false
	}
	return members[i], true
}

// memberOf finds the machine's entry in etcd's list.
func (c *cluster) memberOf(ctx context.Context, m *machine) (etcd.Member, error) {
	members, err := c.api.etcd.Members(ctx)
	if err != nil {
		return etcd.Member{}, err
	}
	member, found := etcd.ByAddress(members, m.address)
	if !found {
		return member, errNoMember
	}
	return member, nil
}

var errNoMember = errors.New("it is not in etcd's member list yet")
