package controlplane

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// fileHost is a controller of the file; with a name it could be looked at.
func fileHost(address, name string, others ...string) *machine {
	m := &machine{host: &config.Host{
		Conn: config.Connection{SSH: &config.SSH{Address: address, User: "root", Port: 22}}, Role: config.RoleController,
	}}
	if name != "" {
		m.seen, m.address, m.facts = true, netip.MustParseAddr(address), &host.Facts{Hostname: name}
		for _, a := range others {
			m.facts.Addresses = append(m.facts.Addresses, netip.MustParseAddr(a))
		}
	}
	return m
}

// describe says what was found, for comparison.
func describe(found []identity) string {
	var texts []string
	for _, i := range found {
		switch {
		case i.machine != nil:
			texts = append(texts, "host "+i.machine.host.Conn.Address())
		case i.voter != nil:
			texts = append(texts, "member "+i.voter.String())
		case i.node != nil:
			texts = append(texts, "Node "+i.node.Name)
		case i.controlNode != "":
			texts = append(texts, "ControlNode "+i.controlNode)
		case i.etcdMember != "":
			texts = append(texts, "EtcdMember "+i.etcdMember)
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

func TestIdentify(t *testing.T) {
	at := func(addresses ...string) []netip.Addr {
		var list []netip.Addr
		for _, a := range addresses {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	whole := []identity{
		identityOf(fileHost("10.0.0.1", "cp1", "172.17.0.1", "192.0.2.1")), identityOf(fileHost("10.0.0.2", "CP2", "172.17.0.1")),
		identityOf(fileHost("10.0.0.3", "")), // it could not be looked at
		identityOfMember(member(0xa1, "cp1", "10.0.0.1")), identityOfMember(member(0xb2, "cp2", "10.0.0.2")),
		identityOfMember(member(0xc3, "cp3", "10.0.0.3")),
		identityOfNode(kube.Node{Name: "cp3", Addresses: at("10.0.0.3")}),
		identityOfControlNode(kube.ControlNode{Name: "cp3", Addresses: at("10.0.0.3")}),
		identityOfEtcdMember(kube.EtcdMember{Name: "cp3", PeerAddress: at("10.0.0.3")[0], MemberID: "c3"}),
	}
	const cp1, cp3 = "host 10.0.0.1, member cp1 (a1)", "ControlNode cp3, EtcdMember cp3, Node cp3, host 10.0.0.3, member cp3 (c3)"
	// A host that was set up anew with another address, beside the orphan that it left.
	twice := []identity{
		identityOf(fileHost("10.0.0.9", "cp3")), identityOfMember(member(0xd4, "cp3", "10.0.0.9")),
		identityOfMember(member(0xc3, "cp3", "10.0.0.3")), identityOfNode(kube.Node{Name: "cp3", Addresses: at("10.0.0.9")}),
	}
	// What is left once host and member are gone.
	left := []identity{
		identityOfMember(member(0xa1, "cp1", "10.0.0.1")), identityOfControlNode(kube.ControlNode{Name: "cp3"}),
		identityOfEtcdMember(kube.EtcdMember{Name: "cp3", PeerAddress: at("10.0.0.3")[0], MemberID: "c3"}),
	}
	for name, c := range map[string]struct {
		known    []identity
		argument string
		want     string
		says     string
	}{
		"by the host's name":                {whole, "cp1", cp1, ""},
		"in another case":                   {whole, "cp2", "host 10.0.0.2, member cp2 (b2)", ""},
		"by the name that only others know": {whole, "cp3", cp3, ""},
		"by an address":                     {whole, "10.0.0.3", cp3, ""},
		"by an address written otherwise":   {whole, "::ffff:10.0.0.3", cp3, ""},
		"by an address that it has besides": {whole, "192.0.2.1", cp1, ""},
		"by the member's ID":                {whole, "c3", cp3, ""},
		"by the ID as some write it":        {whole, "0xA1", cp1, ""},
		"an address that several have":      {whole, "172.17.0.1", "", "names more than one controller"},
		"nobody":                            {whole, "cp4", "", ""},
		"an ID that nobody has":             {whole, "d4", "", ""},
		"a name that two have": {twice, "cp3", "",
			`"cp3" names more than one controller (etcd member cp3 (c3), etcd member cp3 (d4), root@10.0.0.9:22): give the address`},
		"the orphan, and nothing of its namesake": {twice, "c3", "member cp3 (c3)", ""},
		"the one that lives":                      {twice, "10.0.0.9", "Node cp3, host 10.0.0.9, member cp3 (d4)", ""},
		"what is left, by name":                   {left, "cp3", "ControlNode cp3, EtcdMember cp3", ""},
		"what is left, by address":                {left, "10.0.0.3", "ControlNode cp3, EtcdMember cp3", ""},
		"what is left, by ID":                     {left, "c3", "ControlNode cp3, EtcdMember cp3", ""},
		"a member that never started":             {[]identity{identityOfMember(learner(0xe5, "", "10.0.0.5"))}, "e5", "member unstarted member e5", ""},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := identify(c.argument, c.known)
			if got := describe(found); got != c.want || c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
