package syncer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func node(name string, addresses ...string) fact { return factAbout(kindNode, name, addresses) }

func controlNode(name string, addresses ...string) fact {
	return factAbout(kindControlNode, name, addresses)
}

func etcdMember(name string, addresses ...string) fact {
	return factAbout(kindEtcdMember, name, addresses)
}

func factAbout(kind, name string, addresses []string) fact {
	f := fact{kind: kind, name: name}
	for _, address := range addresses {
		f.addresses = append(f.addresses, ip(address))
	}
	return f
}

func (f fact) leaves() fact {
	f.leaving = true
	return f
}

func (f fact) is(role etcdRole) fact {
	f.role = role
	return f
}

func (f fact) at(address string) fact {
	f.annotated = ip(address)
	return f
}

func TestDesired(t *testing.T) {
	for name, c := range map[string]struct {
		facts  []fact
		family Family
		want   []Controller
	}{
		"nobody": {nil, AnyFamily, nil},
		"a controller that all objects tell of": {
			[]fact{etcdMember("cp1", "10.0.0.1").is(voter), node("cp1", "10.0.0.1"), controlNode("cp1", "10.0.0.1")}, AnyFamily,
			[]Controller{{Name: "cp1", Address: ip("10.0.0.1"), Node: true, Role: voter}},
		},
		"a plain controller has no Node": {
			[]fact{controlNode("cp1", "10.0.0.1"), etcdMember("cp2", "10.0.0.2")}, AnyFamily,
			[]Controller{{Name: "cp1", Address: ip("10.0.0.1")}, {Name: "cp2", Address: ip("10.0.0.2")}},
		},
		"the Node's address counts first": {
			[]fact{etcdMember("cp1", "10.1.0.1"), controlNode("cp1", "10.2.0.1"), node("cp1", "10.3.0.1")}, AnyFamily,
			[]Controller{{Name: "cp1", Address: ip("10.3.0.1"), Node: true}},
		},
		"an annotation counts before all": {
			[]fact{node("cp1", "10.3.0.1"), etcdMember("cp1", "10.1.0.1").at("192.0.2.1")}, AnyFamily,
			[]Controller{{Name: "cp1", Address: ip("192.0.2.1"), Node: true}},
		},
		"the family": {
			[]fact{node("cp1", "10.0.0.1", "fd00::1"), node("cp2", "10.0.0.2"), etcdMember("cp2", "fd00::2"), node("cp3", "10.0.0.3")}, IPv6,
			[]Controller{{Name: "cp1", Address: ip("fd00::1"), Node: true}, {Name: "cp2", Address: ip("fd00::2"), Node: true}},
		},
		"one object says that it leaves": {
			[]fact{node("cp1", "10.0.0.1"), etcdMember("cp1", "10.0.0.1").leaves(), node("cp2", "10.0.0.2").leaves()}, AnyFamily,
			[]Controller{{Name: "cp1", Address: ip("10.0.0.1"), Leaving: true, Node: true}, {Name: "cp2", Address: ip("10.0.0.2"), Leaving: true, Node: true}},
		},
		"objects of other names and the same address": {
			[]fact{controlNode("cp1.example", "10.0.0.1"), etcdMember("cp1", "10.0.0.1").leaves()}, AnyFamily,
			[]Controller{{Name: "cp1.example", Address: ip("10.0.0.1"), Leaving: true}},
		},
		"a worker that takes itself for a controller": {
			[]fact{node("cp1", "10.0.0.1").at("192.0.2.1"), controlNode("cp1", "10.0.0.1"), node("a1", "10.0.9.9").at("192.0.2.1").leaves(), node("w1", "192.0.2.1").leaves()}, AnyFamily,
			[]Controller{{Name: "cp1", Address: ip("192.0.2.1"), Node: true}},
		},
		"two come to the same address by an annotation": {
			[]fact{node("cp1", "10.0.0.1").leaves(), node("cp2", "10.0.0.2").at("10.0.0.1")}, AnyFamily,
			[]Controller{{Name: "cp1", Address: ip("10.0.0.1"), Leaving: true, Node: true}},
		},
		"without an address": {[]fact{node("cp1"), node("cp2", "10.0.0.2")}, AnyFamily, []Controller{{Name: "cp2", Address: ip("10.0.0.2"), Node: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // objects come in any order
				rand.Shuffle(len(c.facts), func(i, j int) { c.facts[i], c.facts[j] = c.facts[j], c.facts[i] })
				if got := Desired(c.facts, c.family); !slices.Equal(got, c.want) {
					t.Fatalf("of %+v\ngot  %+v\nwant %+v", c.facts, got, c.want)
				}
			}
		})
	}
}

func TestDesiredListsNoNameAndNoAddressTwice(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var facts []fact
		for range random.IntN(8) {
			f := fact{kind: []string{kindNode, kindControlNode, kindEtcdMember}[random.IntN(3)], name: fmt.Sprint("cp", random.IntN(4)), leaving: random.IntN(4) == 0}
			for range random.IntN(3) {
				f.addresses = append(f.addresses, netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(4))}))
			}
			if random.IntN(4) == 0 {
				f.annotated = netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(4))})
			}
			facts = append(facts, f)
		}
		names, addresses := map[string]bool{}, map[netip.Addr]bool{}
		for _, c := range Desired(facts, AnyFamily) {
			if names[c.Name] || addresses[c.Address] || !c.Address.IsValid() {
				t.Fatalf("%+v of %+v", c, facts)
			}
			names[c.Name], addresses[c.Address] = true, true
		}
	}
}
