package etcd

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAMemberIsFoundByTheAddressOfItsPeerURL(t *testing.T) {
	members := []Member{
		{ID: 1, Name: "a", PeerURLs: []string{"https://10.10.0.2:2380"}},
		{ID: 2, Name: "b", PeerURLs: []string{"https://[fd00::2]:2380"}},
		{ID: 3, Name: "c", PeerURLs: []string{"https://cp3.example.com:2380"}},
	}
	for address, want := range map[string]uint64{
		"10.10.0.2":        1,
		"::ffff:10.10.0.2": 1,
		"fd00::2":          2,
		"10.10.0.20":       0,
		"fd00::3":          0,
	} {
		m, found := ByAddress(members, netip.MustParseAddr(address))
		if found != (want != 0) || m.ID != want {
			t.Errorf("%s: got member %d, want %d", address, m.ID, want)
		}
	}
}

func TestQuorumAndTolerance(t *testing.T) {
	for _, c := range []struct{ voters, quorum, tolerates int }{
		{1, 1, 0}, {2, 2, 0}, {3, 2, 1}, {4, 3, 1}, {5, 3, 2}, {7, 4, 3},
	} {
		if got := Quorum(c.voters); got != c.quorum {
			t.Errorf("quorum of %d: got %d, want %d", c.voters, got, c.quorum)
		}
		if got := Tolerates(c.voters); got != c.tolerates {
			t.Errorf("tolerance of %d: got %d, want %d", c.voters, got, c.tolerates)
		}
	}
}

func TestNoMemberIsAddedBesideAnUnfinishedOne(t *testing.T) {
	healthy := []Member{{ID: 1, Name: "a"}, {ID: 2, Name: "b"}}
	if err := CanAdd(healthy, nil); err != nil {
		t.Errorf("a healthy cluster must admit a member: %v", err)
	}
	for name, c := range map[string]struct {
		members []Member
		alarms  []string
		want    string
	}{
		"learner":   {append([]Member{{ID: 3, Name: "c", Learner: true}}, healthy...), nil, "c (3) is still a learner"},
		"unstarted": {append([]Member{{ID: 4}}, healthy...), nil, "unstarted member 4 never started"},
		"alarm":     {healthy, []string{"NOSPACE on 1"}, "alarm NOSPACE on 1"},
	} {
		if err := CanAdd(c.members, c.alarms); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}
