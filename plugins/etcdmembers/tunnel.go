package etcdmembers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
)

// tunnel is the way to the one member that a host runs. Members listen on 127.0.0.1 alone, and all advertise that
// address: there is no other way to a certain one of them.
type tunnel struct {
	conn    config.Connection
	dataDir string
	peer    string // the address of its member, as in peer URLs; empty when it is not known

	mu   sync.Mutex // held by everything that goes through
	host remote
	etcd client

	state sync.Mutex
	ended chan struct{} // closed at the end of a look; nil before the first one begins
	busy  bool
	view  etcd.View
	err   error // why there is no view
}

// reached is a host that was connected to.
type reached struct {
	host    remote
	dataDir string
}

// isOf tells whether the host's address is that of the member.
func (t *tunnel) isOf(m etcd.Member) bool {
	if address, err := netip.ParseAddr(t.peer); err == nil {
		return m.HasAddress(address)
	}
	return t.peer != "" && t.peer == m.PeerHost()
}

// begin claims the tunnel for a look; it fails when the one before has not ended. Either way the channel tells the end.
func (t *tunnel) begin() (ended <-chan struct{}, begun bool) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.busy {
		return t.ended, false
	}
	t.busy, t.ended = true, make(chan struct{})
	return t.ended, true
}

// pending tells whether a look goes on.
func (t *tunnel) pending() bool {
	t.state.Lock()
	defer t.state.Unlock()
	return t.busy
}

// result is what the last look that ended saw. One that goes on for longer than its patience saw nothing.
func (t *tunnel) result() (etcd.View, error) {
	t.state.Lock()
	defer t.state.Unlock()
	switch {
	case t.busy && t.err == nil:
		return etcd.View{}, errors.New("no answer yet")
	case t.err != nil:
		return etcd.View{}, t.err
	}
	return t.view, nil
}

// look asks the member, with time for its answer bounded. Reaching the host is bounded by the connector, which leaves out
// the time for questions to the user. Whoever waits for a connected host is told of it.
func (t *tunnel) look(ctx context.Context, w world, timeout time.Duration, connected chan<- reached) {
	t.mu.Lock()
	view, err := t.ask(ctx, w, timeout, connected)
	t.mu.Unlock()
	t.state.Lock()
	t.view, t.err, t.busy = view, err, false
	close(t.ended)
	t.state.Unlock()
}

func (t *tunnel) ask(ctx context.Context, w world, timeout time.Duration, connected chan<- reached) (view etcd.View, err error) {
	if t.host == nil {
		if t.host, err = w.host(ctx, t.conn); err != nil {
			return view, err
		}
	}
	connected <- reached{t.host, t.dataDir}
	view, err = etcd.Ask(ctx, timeout, &t.etcd, func(ctx context.Context) (client, error) { return w.etcd(ctx, t.host, t.dataDir) })
	if err != nil {
		err = fmt.Errorf("%s: %w", t.host.Name(), err)
		go closeAll(t.host, t.etcd) // it may wait for commands to end; the next look begins anew
		t.host, t.etcd = nil, nil
	}
	return view, err
}

// close ends the connections.
func (t *tunnel) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	closeAll(t.host, t.etcd)
	t.host, t.etcd = nil, nil
}

// closeAll ends connections. What they carried is over.
func closeAll(host remote, etcd client) {
	if etcd != nil {
		_ = etcd.Close()
	}
	if host != nil {
		_ = host.Close()
	}
}
