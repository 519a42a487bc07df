package etcd

import (
	"errors"
	"strings"
	"testing"
)

func TestCanGrow(t *testing.T) {
	members := []Member{
		{ID: 1, Name: "cp1", PeerURLs: []string{"https://10.0.0.1:2380"}}, {ID: 2, Name: "cp2", PeerURLs: []string{"https://10.0.0.2:2380"}},
		{ID: 3, Name: "cp3", PeerURLs: []string{"https://10.0.0.3:2380"}},
	}
	view := func(id uint64, members []Member, change ...func(*View)) View {
		v := View{Status: Status{ID: id, Cluster: 9, Leader: 1, Term: 2}, Members: members}
		for _, f := range change {
			f(&v)
		}
		return v
	}
	all := func(change ...func(*View)) []View {
		return []View{view(1, members, change...), view(2, members), view(3, members)}
	}
	with := append(append([]Member{}, members...), Member{ID: 4, Learner: true, PeerURLs: []string{"https://10.0.0.4:2380"}})
	nobody := func(Member) bool { return false }
	only := func(id uint64) func(Member) bool { return func(m Member) bool { return m.ID == id } }
	for name, c := range map[string]struct {
		views       []View
		answeredFor func(Member) bool
		want        []string
	}{
		"all is well": {all(), nobody, nil},
		"an alarm": {
			all(func(v *View) { v.Status.Alarms = []Alarm{{Member: 1, Type: NoSpace}} }), nobody,
			[]string{"the alarm NOSPACE on cp1 (1) is raised"},
		},
		"a learner": {
			[]View{view(1, with), view(2, with), view(3, with)}, nobody,
			[]string{"unstarted member 4 never started", "unstarted member 4 is still a learner (peer 10.0.0.4)"},
		},
		"a learner that this change brings in": {[]View{view(1, with), view(2, with), view(3, with)}, only(4), nil},
		"one does not answer":                  {all()[:2], nobody, []string{"cp3 (3) does not answer"}},
		"one that cannot be asked":             {all()[:2], only(3), nil},
		"one knows no leader": {
			all(func(v *View) { v.Status.Leader = 0 }), nobody, []string{"cp1 (1) knows no leader"},
		},
		"two leaders": {
			all(func(v *View) { v.Status.Leader = 3 }), nobody, []string{"the members disagree on who leads"},
		},
		"a member that some know": {
			[]View{view(1, members), view(2, members), view(3, with)}, only(4), []string{"the members disagree on who its members are"},
		},
		"no quorum": {
			all(func(v *View) { v.ReadErr = errors.New("no quorum confirms a read") }), nobody, []string{"cp1 (1): no quorum confirms a read"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := CanGrow(NewState(c.views), c.answeredFor)
			if len(c.want) == 0 && err != nil {
				t.Error(err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
			if err != nil && strings.Count(err.Error(), "\n") != len(c.want)-1 {
				t.Errorf("got %v", err)
			}
		})
	}
}
