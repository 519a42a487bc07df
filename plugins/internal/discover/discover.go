package discover

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// Source is what the file that is found in the cluster is called in messages.
const Source = "kube-system/" + kube.NoteName

// ErrNoLoadBalancer says that nobody knows where HAProxy is.
var ErrNoLoadBalancer = errors.New("it is not known where HAProxy is: the cluster has no note of it, the ConfigMap that kubectl " +
	"ha-init writes (kube-system/kubectl-ha): name the cluster file with -f FILE, or HAProxy's host with --lb [USER@]HOST")

// Text makes a cluster file of what the cluster knows of itself: its controllers, by k0s's own objects, and by its note
// how they are reached and where its load balancer is. Where the load balancer's hosts are named otherwise, those of the
// note are left out. The server is that of the kubeconfig.
func (f *Flags) Text(ctx context.Context, api *kube.Cluster, server string, balancersNamed bool) ([]byte, error) {
	note, err := api.Note(ctx)
	if err != nil {
		return nil, err
	}
	s := sight{server: server}
	if note != "" {
		if s.note, err = config.Parse(Source, []byte(note)); err != nil {
			return nil, err
		}
	}
	if (s.note == nil || s.note.LoadBalancer == nil) && !balancersNamed {
		return nil, ErrNoLoadBalancer
	}
	if s.members, err = api.EtcdMembers(ctx); err != nil {
		return nil, err
	}
	if s.controlNodes, err = api.ControlNodes(ctx); err != nil {
		return nil, err
	}
	if s.nodes, err = api.Nodes(ctx); err != nil {
		return nil, err
	}
	cluster, lb := f.file(s)
	if len(cluster.Hosts) == 0 {
		return nil, errors.New("the cluster has no objects of k0s's that name its controllers (EtcdMember, ControlNode)")
	}
	if balancersNamed && lb != nil {
		lb.Hosts = nil
	}
	return config.Write(cluster, lb)
}

// sight is what is seen of a cluster through its API.
type sight struct {
	note         *config.File // nil where it keeps none
	members      []kube.EtcdMember
	controlNodes []kube.ControlNode
	nodes        []kube.Node
	server       string // of the kubeconfig
}

// file puts it together. Who the controllers are is for k0s's objects to say, how they are reached for the note.
func (f *Flags) file(s sight) (*config.Cluster, *config.LoadBalancer) {
	cluster, lb := &config.Cluster{}, (*config.LoadBalancer)(nil)
	var noted []*config.Host
	if s.note != nil {
		cluster.Name, cluster.K0s.Config, cluster.K0s.DynamicConfig = s.note.Cluster.Name, s.note.Cluster.K0s.Config, s.note.Cluster.K0s.DynamicConfig
		noted, lb = s.note.Cluster.Controllers(), s.note.LoadBalancer
	}
	addresses := s.controllers(noted)
	for _, h := range noted {
		address, err := netip.ParseAddr(h.Address())
		if i := slices.Index(addresses, address); err == nil && i >= 0 {
			addresses = slices.Delete(addresses, i, i+1)
			h.Conn = f.Override(h.Conn)
			cluster.Hosts = append(cluster.Hosts, h)
		}
	}
	for _, address := range addresses {
		cluster.Hosts = append(cluster.Hosts, f.host(address, s.nodes))
	}
	if lb == nil {
		return cluster, s.loadBalancer(addresses)
	}
	for _, h := range lb.Hosts {
		h.Conn = f.Override(h.Conn)
	}
	return cluster, lb
}

// controllers lists the addresses of the controllers, by name. One that has left etcd, and whose object is still there, is
// among them where the note has not forgotten it: ha-eject was cut off there. Before 1.31, k0s has ControlNodes only.
func (s sight) controllers(noted []*config.Host) []netip.Addr {
	var addresses []netip.Addr
	add := func(address netip.Addr) {
		if address = address.Unmap(); !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	for _, m := range s.members {
		isNoted := func(h *config.Host) bool { return h.Address() == m.PeerAddress.Unmap().String() }
		if m.PeerAddress.IsValid() && (m.Joined || slices.ContainsFunc(noted, isNoted)) {
			add(m.PeerAddress)
		}
	}
	for _, n := range s.controlNodes {
		if len(s.members) == 0 && len(n.Addresses) > 0 {
			add(n.Addresses[0])
		}
	}
	return addresses
}

// host is a controller of which the note knows nothing.
func (f *Flags) host(address netip.Addr, nodes []kube.Node) *config.Host {
	h := &config.Host{Conn: f.Override(f.Connection(address.String())), Role: config.RoleController}
	if f.DataDir != config.DefaultDataDir {
		h.DataDir = f.DataDir
	}
	for _, n := range nodes {
		if n.ControlPlane && slices.Contains(n.Addresses, address) {
			h.Role, h.NoTaints = config.RoleControllerWorker, !n.Tainted
		}
	}
	return h
}

// loadBalancer is one of which nothing is known but where the kubeconfig leads, unless that is one of the controllers; nil
// where it is.
func (s sight) loadBalancer(controllers []netip.Addr) *config.LoadBalancer {
	host, _ := kube.ServerHost(s.server)
	address, err := netip.ParseAddr(host)
	if host == "" || host == "localhost" || err == nil && (address.IsLoopback() || slices.Contains(controllers, address.Unmap())) {
		return nil
	}
	return config.NewLoadBalancer(host)
}
