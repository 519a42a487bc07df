package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
)

// peer is one member of etcd, asked by itself: an *etcd.Client, or a test's.
type peer interface {
	View(ctx context.Context) (etcd.View, error)
	Remove(ctx context.Context, member etcd.Member) error
	MoveLeader(ctx context.Context, to etcd.Member) error
	Snapshot(ctx context.Context, out io.Writer) (etcd.Snapshot, error)
	Close() error
}

// peerTimeout is how long a member may take to answer before it counts as silent.
const peerTimeout = 5 * time.Second

// poll asks every member of etcd that can be reached, each through its own host, and puts together what they say.
func (c *Cluster) poll(ctx context.Context) (etcd.State, map[uint64]peer) {
	asked := c.askable()
	s, peers, _ := c.ask(ctx, asked) // who does not answer is among the silent
	if strangers := c.meetStrangers(ctx, s); len(strangers) > 0 {
		s, peers, _ = c.ask(ctx, append(asked, strangers...))
	}
	for _, m := range c.unseen {
		for _, member := range s.Members {
			if identityOf(m).related(identityOfMember(member)) {
				s.Silent[member.ID] = m.trouble
			}
		}
	}
	return s, peers
}

// askable lists the hosts that may run a member.
func (c *Cluster) askable() []*machine {
	var hosts []*machine
	all := append(append([]*machine{}, c.controllers...), c.unlisted...)
	if l := c.leaving; l != nil && l.machine != nil {
		all = append(all, l.machine)
	}
	for _, m := range all {
		if m.seen && m.belongs() {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

// ask asks the hosts' members, each by itself. The error is of those that did not answer.
func (c *Cluster) ask(ctx context.Context, hosts []*machine) (etcd.State, map[uint64]peer, error) {
	var mu sync.Mutex
	var views []etcd.View
	peers, failures := map[uint64]peer{}, map[*machine]error{}
	err := c.each(ctx, hosts, func(ctx context.Context, m *machine) error {
		view, err := etcd.Ask(ctx, peerTimeout, &m.peer, m.openPeer)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failures[m] = at(m.host.Conn, err)
			return err
		}
		views = append(views, view)
		peers[view.Status.ID] = m.peer
		return nil
	})
	s := etcd.NewState(views)
	for m, err := range failures {
		for _, member := range s.Members {
			if member.HasAddress(m.address) {
				s.Silent[member.ID] = err
			}
		}
	}
	return s, peers, err
}

// openPeer connects to the member on the machine.
func (m *machine) openPeer(ctx context.Context) (peer, error) {
	client, err := etcd.Connect(ctx, m.conn, m.host.DataDirOrDefault())
	if err != nil {
		return nil, err // not a nil *etcd.Client
	}
	return client, nil
}

// meetStrangers connects to the hosts of members that the file does not name, by the settings of ssh_config, to ask how
// they are. The one that is to leave is not asked.
func (c *Cluster) meetStrangers(ctx context.Context, s etcd.State) []*machine {
	if c.connect == nil {
		return nil
	}
	var hosts []*machine
	for _, member := range s.Members {
		_, answered := s.Views[member.ID]
		address, err := peerAddress(member)
		if answered || err != nil || c.metBefore(member) || c.named(member) {
			continue
		}
		conn := config.Connection{SSH: &config.SSH{Address: address.String()}}
		hosts = append(hosts, &machine{host: &config.Host{Conn: conn, Role: config.RoleController}})
	}
	_ = host.Each(ctx, hosts, c.settings.Parallel, func(ctx context.Context, m *machine) error {
		if m.trouble = m.look(ctx, c.connect); m.trouble != nil {
			m.trouble = fmt.Errorf("%w: add its host to the file", m.trouble)
		}
		return nil
	})
	var seen []*machine
	for _, m := range hosts {
		if m.conn != nil {
			c.connections = append(c.connections, m.conn)
		}
		if m.seen {
			c.unlisted = append(c.unlisted, m)
			seen = append(seen, m)
		} else {
			c.unseen = append(c.unseen, m)
		}
	}
	return seen
}

// metBefore tells whether the host of a member was tried to be reached already, by the file or as a stranger.
func (c *Cluster) metBefore(member etcd.Member) bool {
	for _, list := range [][]*machine{c.controllers, c.unlisted, c.unseen} {
		for _, m := range list {
			if identityOf(m).related(identityOfMember(member)) {
				return true
			}
		}
	}
	return false
}

// named tells whether the member is the one that is to leave.
func (c *Cluster) named(member etcd.Member) bool {
	return c.leaving != nil && c.leaving.member.ID == member.ID
}

// closePeers ends the connections to members.
func (c *Cluster) closePeers() error {
	var errs []error
	all := append(append([]*machine{}, c.controllers...), c.unlisted...)
	if c.leaving != nil && c.leaving.machine != nil {
		all = append(all, c.leaving.machine)
	}
	for _, m := range all {
		if m.peer != nil {
			errs = append(errs, m.peer.Close())
			m.peer = nil
		}
	}
	return errors.Join(errs...)
}
