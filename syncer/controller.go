package syncer

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// Kinds of the objects that tell of controllers, the most telling one first.
const (
	kindNode        = "Node"
	kindControlNode = "ControlNode"
	kindEtcdMember  = "EtcdMember"
)

// Annotations that each of these objects may have.
const (
	// DrainAnnotation takes a controller out of the load balancers for as long as it is there.
	DrainAnnotation = kube.DrainAnnotation
	// AddressAnnotation is the address to use instead of those that the object has.
	AddressAnnotation = "kubectl-ha.io/address"
)

// fact is what one object says of a controller.
type fact struct {
	kind string
	// name of the host, in lower case: k0s names its objects so.
	name string
	// annotated is the address of AddressAnnotation; addresses are the object's own.
	annotated netip.Addr
	addresses []netip.Addr
	// leaving says that the host is to get no connections: it is being ejected, deleted, or leaves etcd.
	leaving bool
	// role of an etcd member; empty where it is not known.
	role etcdRole
}

// etcdRole is what k0s says of a member of etcd. Who leads, and who is a learner, no object tells.
type etcdRole string

const (
	voter        etcdRole = "voter"
	formerMember etcdRole = "has left"
)

func (f fact) equal(other fact) bool {
	return f.kind == other.kind && f.name == other.name && f.annotated == other.annotated && f.leaving == other.leaving && f.role == other.role &&
		slices.Equal(f.addresses, other.addresses)
}

// Family says which of a host's addresses load balancers connect to.
type Family string

const (
	// AnyFamily takes the first address that an object has.
	AnyFamily Family = "any"
	// IPv4 takes the first of its addresses.
	IPv4 Family = "ipv4"
	// IPv6 takes the first of its addresses.
	IPv6 Family = "ipv6"
)

func (f Family) has(address netip.Addr) bool {
	switch f {
	case IPv4:
		return address.Is4()
	case IPv6:
		return address.Is6()
	}
	return address.IsValid()
}

// Controller is a host of the control plane, as the API's objects tell.
type Controller struct {
	Name    string
	Address netip.Addr
	// Leaving controllers keep their places in HAProxy and get no connections.
	Leaving bool
	// Node says that it has a Node, which Events can be about.
	Node bool
	// Role in etcd, as its EtcdMember says; empty where it does not.
	Role etcdRole
}

// Desired says who belongs to the control plane: every controller that an object tells of, whatever its state. Cordoned
// or NotReady controllers belong to it as all others do: health is HAProxy's business. A controller leaves when any of
// its objects says so. The address is the annotated one, else the first of the configured family that the Node, the
// ControlNode or the EtcdMember has, in this order. Objects of the same name or the same address are of the same host.
// A controller without such an address cannot be served and is not listed.
//
// A kubelet may label and annotate its own Node, a worker's as well: a Node whose name no ControlNode and no EtcdMember has says
// nothing of a controller that has another name.
func Desired(facts []fact, family Family) []Controller {
	facts = slices.Clone(facts)
	kinds := []string{kindNode, kindControlNode, kindEtcdMember}
	byK0s := map[string]bool{} // names that k0s's own objects have, which kubelets cannot write
	for _, f := range facts {
		byK0s[f.name] = byK0s[f.name] || f.kind != kindNode
	}
	slices.SortFunc(facts, func(a, b fact) int {
		if byK0s[a.name] != byK0s[b.name] {
			return map[bool]int{true: -1, false: 1}[byK0s[a.name]]
		}
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)), cmp.Compare(a.name, b.name))
	})
	var controllers []Controller
	for _, f := range facts {
		address := f.address(family)
		i := slices.IndexFunc(controllers, func(c Controller) bool {
			return c.Name == f.name || address.IsValid() && c.Address == address
		})
		if i < 0 {
			controllers = append(controllers, Controller{Name: f.name})
			i = len(controllers) - 1
		}
		if byK0s[controllers[i].Name] && !byK0s[f.name] {
			continue
		}
		c := &controllers[i]
		c.Leaving = c.Leaving || f.leaving
		c.Node = c.Node || f.kind == kindNode
		c.Role = cmp.Or(c.Role, f.role)
		if f.annotated.IsValid() || !c.Address.IsValid() {
			c.Address = address
		}
	}
	controllers = slices.DeleteFunc(controllers, func(c Controller) bool { return !c.Address.IsValid() })
	slices.SortFunc(controllers, func(a, b Controller) int { return strings.Compare(a.Name, b.Name) })
	return unique(controllers)
}

// unique keeps one of several controllers that came to have the same address by an annotation: HAProxy could not tell
// them apart. The one that stays in service is kept.
func unique(controllers []Controller) []Controller {
	var kept []Controller
	for _, c := range controllers {
		i := slices.IndexFunc(kept, func(k Controller) bool { return k.Address == c.Address })
		switch {
		case i < 0:
			kept = append(kept, c)
		case kept[i].Leaving && !c.Leaving:
			kept[i] = c
		}
	}
	return kept
}

func (f fact) address(family Family) netip.Addr {
	if f.annotated.IsValid() {
		return f.annotated
	}
	for _, address := range f.addresses {
		if family.has(address) {
			return address
		}
	}
	return netip.Addr{}
}
