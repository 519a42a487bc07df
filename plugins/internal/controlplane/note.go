package controlplane

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/discover"
)

// The cluster keeps a note of where its load balancer is, and of how its controllers are reached, for commands that are
// given no file. It is a cluster file without anything secret (see config.File.Portable).

// note is what the cluster is to keep: the controllers that belong to it once this run is done. Of those that no entry
// of the file stands for, it keeps what it knows.
func (c *Cluster) note(ctx context.Context) (string, error) {
	before, err := c.api.kube.Note(ctx)
	if err != nil {
		return "", err
	}
	members, err := c.api.etcd.Members(ctx)
	if err != nil {
		return "", err
	}
	var hosts []*config.Host
	for _, m := range c.controllers {
		h := *m.host
		h.PrivateAddress, h.PrivateInterface = "", ""
		if address := m.address.String(); h.Address() != address {
			h.PrivateAddress = address
		}
		hosts = append(hosts, &h)
	}
	for _, m := range c.unseen {
		hosts = append(hosts, m.host)
	}
	if known, err := config.Parse(discover.Source, []byte(before)); err == nil { // one that is broken is written anew
		hosts = append(hosts, known.Cluster.Controllers()...)
	}
	var kept []*config.Host
	for _, h := range hosts {
		again := slices.ContainsFunc(kept, func(k *config.Host) bool { return k.Address() == h.Address() })
		if !again && c.stays(h, members) {
			kept = append(kept, h)
		}
	}
	slices.SortFunc(kept, func(a, b *config.Host) int { return strings.Compare(a.Address(), b.Address()) })
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // then no key is in it
	}
	text, err := config.Write(c.file.Portable(kept, home))
	return string(text), err
}

// stays tells whether the host is a controller of the cluster when the run is done.
func (c *Cluster) stays(h *config.Host, members []etcd.Member) bool {
	for _, m := range c.controllers {
		if m.address.String() == h.Address() {
			return true
		}
	}
	return slices.ContainsFunc(members, func(m etcd.Member) bool {
		leaves := c.leaving != nil && c.leaving.member.ID == m.ID
		return !leaves && !m.Idle() && m.PeerHost() == h.Address()
	})
}

func (c *Cluster) skipNote(ctx context.Context) (string, error) {
	if c.api == nil { // a dry run, before there is a cluster
		return "", nil
	}
	before, err := c.api.kube.Note(ctx)
	if err != nil {
		return "", err
	}
	now, err := c.note(ctx)
	if err != nil || now != before {
		return "", err
	}
	return "it knows already", nil
}

func (c *Cluster) detailNote(context.Context) ([]string, error) {
	return []string{fmt.Sprintf("ConfigMap %s: the load balancer's settings, and user, address and port of its hosts and of the controllers",
		discover.Source)}, nil
}

func (c *Cluster) writeNote(ctx context.Context) error {
	text, err := c.note(ctx)
	if err != nil {
		return err
	}
	return c.api.kube.WriteNote(ctx, text)
}
