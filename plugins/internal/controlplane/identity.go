package controlplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// identity is what one source knows of a host: the cluster file, etcd's list of members, or an object of the API.
type identity struct {
	names     []string
	addresses []netip.Addr // by which other hosts know it
	others    []netip.Addr // that it has besides; several hosts may have them, as those of a container bridge
	member    uint64       // the ID in etcd that the source names; 0 for none

	// What the source is; all but one are nil or empty.
	machine     *machine
	voter       *etcd.Member // of etcd's list, voting or not
	node        *kube.Node
	controlNode string
	etcdMember  string
}

func (i identity) is(argument string) bool {
	return slices.ContainsFunc(i.names, func(name string) bool { return name != "" && strings.EqualFold(name, argument) })
}

func (i identity) at(address netip.Addr) bool { return slices.Contains(i.addresses, address.Unmap()) }

// related tells whether two sources are certainly about the same host: by an address or a member's ID. Names are not
// that certain: a host that was set up anew has the name of an orphan that it left in etcd.
func (i identity) related(other identity) bool {
	return i.member != 0 && i.member == other.member || slices.ContainsFunc(i.addresses, other.at)
}

// identify finds all that is known of the one host that the argument names: by its name, an address, or its member's ID
// in etcd. It finds nothing when nobody knows it.
func identify(argument string, known []identity) ([]identity, error) {
	groups := grouped(known)
	var found [][]identity
	for _, matches := range matchers(argument) {
		for _, group := range groups {
			if slices.ContainsFunc(group, matches) {
				found = append(found, group)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	all := slices.Concat(found...)
	if !oneHost(all) {
		return nil, fmt.Errorf("%q names more than one controller (%s): give the address of the one that is meant, or its "+
			"member's ID", argument, strings.Join(describeAll(all), ", "))
	}
	// What bears the same name and is nobody else's belongs to it: objects whose host and member are gone.
	for _, name := range namesOf(all) {
		var namesakes []identity
		for _, group := range groups {
			if slices.ContainsFunc(group, func(i identity) bool { return i.is(name) }) && !sharesWith(all, group) {
				namesakes = append(namesakes, group...)
			}
		}
		if together := slices.Concat(all, namesakes); oneHost(together) {
			all = together
		}
	}
	return all, nil
}

// matchers are the ways in which an argument may name a host, the surest one first.
func matchers(argument string) []func(identity) bool {
	ways := []func(identity) bool{func(i identity) bool { return i.is(argument) }}
	if address, err := netip.ParseAddr(argument); err == nil {
		ways = append(ways, func(i identity) bool { return i.at(address) },
			func(i identity) bool { return slices.Contains(i.others, address.Unmap()) })
	}
	if id, err := strconv.ParseUint(strings.TrimPrefix(argument, "0x"), 16, 64); err == nil && id != 0 {
		ways = append(ways, func(i identity) bool { return i.member == id })
	}
	return ways
}

// grouped puts together what is certainly about the same host.
func grouped(known []identity) [][]identity {
	var groups [][]identity
	for _, i := range known {
		group := []identity{i}
		var others [][]identity
		for _, g := range groups {
			if slices.ContainsFunc(g, i.related) {
				group = append(group, g...)
			} else {
				others = append(others, g)
			}
		}
		others = append(others, group)
		groups = others
	}
	return groups
}

// oneHost tells whether all of it can be one host: it has one member and one entry in the file, at most.
func oneHost(all []identity) bool {
	members, machines := map[uint64]bool{}, map[*machine]bool{}
	for _, i := range all {
		if i.voter != nil {
			members[i.voter.ID] = true
		}
		if i.machine != nil {
			machines[i.machine] = true
		}
	}
	return len(members) <= 1 && len(machines) <= 1
}

func sharesWith(all, group []identity) bool {
	return slices.ContainsFunc(group, func(i identity) bool {
		return slices.ContainsFunc(all, func(other identity) bool {
			return i.machine == other.machine && i.voter == other.voter && i.node == other.node &&
				i.controlNode == other.controlNode && i.etcdMember == other.etcdMember
		})
	})
}

func namesOf(all []identity) []string {
	var names []string
	for _, i := range all {
		for _, name := range i.names {
			if name = strings.ToLower(name); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// describeAll names the hosts among the sources.
func describeAll(all []identity) []string {
	var texts []string
	for _, i := range all {
		switch {
		case i.voter != nil:
			texts = append(texts, "etcd member "+i.voter.String())
		case i.machine != nil:
			texts = append(texts, i.machine.host.Conn.String())
		}
	}
	slices.Sort(texts)
	return texts
}

// identityOf is what the cluster file and the host itself say.
func identityOf(m *machine) identity {
	i := identity{machine: m, names: []string{m.host.Hostname, m.host.Conn.Address()}}
	if address, err := netip.ParseAddr(m.host.Address()); err == nil {
		i.addresses = append(i.addresses, address.Unmap())
	}
	if address, err := netip.ParseAddr(m.host.Conn.Address()); err == nil {
		i.others = append(i.others, address.Unmap())
	}
	if m.seen {
		i.names = append(i.names, m.name(), m.facts.Hostname)
		i.addresses = append(i.addresses, m.address)
		i.others = append(i.others, m.facts.Addresses...)
	}
	return i
}

func identityOfMember(member etcd.Member) identity {
	i := identity{voter: &member, member: member.ID, names: []string{member.Name}}
	if address, err := peerAddress(member); err == nil {
		i.addresses = append(i.addresses, address)
	}
	return i
}

func identityOfNode(node kube.Node) identity {
	return identity{node: &node, names: []string{node.Name}, addresses: node.Addresses}
}

func identityOfControlNode(node kube.ControlNode) identity {
	return identity{controlNode: node.Name, names: []string{node.Name}, addresses: node.Addresses}
}

func identityOfEtcdMember(object kube.EtcdMember) identity {
	i := identity{etcdMember: object.Name, names: []string{object.Name}}
	i.member, _ = strconv.ParseUint(object.MemberID, 16, 64) // 0 where k0s has not written it yet
	if object.PeerAddress.IsValid() {
		i.addresses = append(i.addresses, object.PeerAddress.Unmap())
	}
	return i
}
