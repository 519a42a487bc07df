package etcdmembers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// fleet is the tunnels to all members, and the API that knows their objects.
type fleet struct {
	options *Options
	world   world
	tunnels []*tunnel
	// api is nil until a controller of the cluster file has been reached, whose kubeconfig is used.
	api api
}

// picture is the cluster at one moment.
type picture struct {
	state      etcd.State
	tunnels    map[uint64]*tunnel // to the members that answered
	objects    []kube.EtcdMember
	objectsErr error    // why there are none
	failures   []error  // of the hosts that did not answer
	strangers  []string // hosts that were asked and belong to no member
}

// newFleet makes the tunnels of the cluster file, without connecting. Without a file the members are found by their
// objects.
func newFleet(o *Options, w world) (*fleet, error) {
	f := &fleet{options: o, world: w}
	if o.file != nil {
		for _, h := range o.file.Cluster.Controllers() {
			f.tunnels = append(f.tunnels, &tunnel{conn: h.Conn, dataDir: h.DataDirOrDefault(), peer: h.Address()})
		}
	}
	if !f.byHosts() {
		var err error
		if f.api, err = w.kube(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// to returns the tunnel to a member that no file names, made when there is none yet.
func (f *fleet) to(peer string, isOf func(*tunnel) bool) (t *tunnel, made bool) {
	if i := slices.IndexFunc(f.tunnels, isOf); i >= 0 {
		return f.tunnels[i], false
	}
	o := f.options
	t = &tunnel{
		conn:    o.Connection(peer),
		dataDir: o.DataDir,
		peer:    peer,
	}
	f.tunnels = append(f.tunnels, t)
	return t, true
}

// look asks everybody at once. Members that are known only by what others say of them are asked after those. With
// patience, answers that take longer are not waited for, and are there at a later look.
func (f *fleet) look(ctx context.Context, patience time.Duration) picture {
	var p picture
	var listing sync.WaitGroup
	connected := make(chan reached, 2*len(f.tunnels)+1)
	over := make(chan struct{})
	within := f.options.Timeout
	if patience > 0 {
		within = min(within, patience)
	}
	listing.Go(func() { p.objects, p.objectsErr = f.list(ctx, within, connected, over) })
	if f.options.file == nil {
		listing.Wait()
		for _, object := range p.objects {
			if object.Joined && object.PeerAddress.IsValid() {
				f.to(object.PeerAddress.String(), func(t *tunnel) bool { return t.peer == object.PeerAddress.String() })
			}
		}
		connected = make(chan reached, len(f.tunnels)) // nobody waits for it
	}
	f.ask(ctx, f.tunnels, patience, connected)
	p.state, p.tunnels = f.gather()
	if strays := f.strays(p.state); len(strays) > 0 {
		f.ask(ctx, strays, patience, make(chan reached, len(strays)))
		p.state, p.tunnels = f.gather()
	}
	close(over)
	listing.Wait()
	f.attribute(&p)
	return p
}

// ask lets all tunnels look at once, and waits for them: with patience for so long, and not at all for those that have
// been at it since an earlier look.
func (f *fleet) ask(ctx context.Context, tunnels []*tunnel, patience time.Duration, connected chan<- reached) {
	var awaited []<-chan struct{}
	for _, t := range tunnels {
		ended, begun := t.begin()
		if begun {
			go t.look(ctx, f.world, f.options.Timeout, connected)
		}
		if begun || patience == 0 {
			awaited = append(awaited, ended)
		}
	}
	var enough <-chan time.Time
	if patience > 0 {
		enough = time.After(patience)
	}
	for _, ended := range awaited {
		select {
		case <-ended:
		case <-enough:
			return
		}
	}
}

// pending tells whether a member has yet to answer.
func (f *fleet) pending() bool { return slices.ContainsFunc(f.tunnels, (*tunnel).pending) }

// gather puts together what the members said.
func (f *fleet) gather() (etcd.State, map[uint64]*tunnel) {
	var views []etcd.View
	tunnels := map[uint64]*tunnel{}
	for _, t := range f.tunnels {
		if view, err := t.result(); err == nil && tunnels[view.Status.ID] == nil {
			views = append(views, view)
			tunnels[view.Status.ID] = t
		}
	}
	return etcd.NewState(views), tunnels
}

// strays makes tunnels to the members that no host is known of.
func (f *fleet) strays(s etcd.State) []*tunnel {
	var strays []*tunnel
	for _, m := range s.Members {
		if _, answered := s.Views[m.ID]; answered || m.PeerHost() == "" {
			continue
		}
		if t, made := f.to(m.PeerHost(), func(t *tunnel) bool { return t.isOf(m) }); made {
			strays = append(strays, t)
		}
	}
	return strays
}

// attribute says of every host that did not answer which member it keeps from answering.
func (f *fleet) attribute(p *picture) {
	for _, t := range f.tunnels {
		_, err := t.result()
		if err == nil {
			continue
		}
		p.failures = append(p.failures, err)
		i := slices.IndexFunc(p.state.Members, t.isOf)
		switch {
		case i < 0:
			p.strangers = append(p.strangers, fmt.Sprintf("%s runs no member that the others know: %v", t.conn, err))
		case p.tunnels[p.state.Members[i].ID] == nil:
			p.state.Silent[p.state.Members[i].ID] = err
		}
	}
}

// list lists the EtcdMember objects: by the user's kubeconfig, or by that of the first host that can be connected to
// and whose API server answers within the time.
func (f *fleet) list(
	ctx context.Context, within time.Duration, connected <-chan reached, over <-chan struct{},
) ([]kube.EtcdMember, error) {
	if f.api != nil {
		objects, err := listBy(ctx, f.api, within)
		if err != nil && f.byHosts() {
			f.api = nil // the next look finds another
		}
		return objects, err
	}
	failure := errors.New("no controller could be connected to")
	for {
		var r reached
		select {
		case r = <-connected:
		case <-over:
			select {
			case r = <-connected:
			default:
				return nil, failure
			}
		}
		by, err := f.world.kubeFrom(ctx, r.host, r.dataDir)
		if err == nil {
			var objects []kube.EtcdMember
			if objects, err = listBy(ctx, by, within); err == nil {
				f.api = by
				return objects, nil
			}
		}
		failure = err
	}
}

func listBy(ctx context.Context, by api, within time.Duration) ([]kube.EtcdMember, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %s", within))
	defer cancel()
	return by.EtcdMembers(ctx)
}

// byHosts tells whether the API is reached through the hosts of a cluster file.
func (f *fleet) byHosts() bool { return f.options.file != nil && !f.options.NamesKubeconfig() }

func (f *fleet) close() {
	for _, t := range f.tunnels {
		t.close()
	}
}
