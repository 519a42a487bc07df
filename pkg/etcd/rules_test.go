package etcd

import (
	"errors"
	"strings"
	"testing"
)

// trio is a healthy cluster of a (1, the leader), b (2) and c (3), changed.
func trio(changes ...func(*State)) State {
	members := []Member{named(1, "a"), named(2, "b"), named(3, "c")}
	var views []View
	for _, m := range members {
		views = append(views, view(m.ID, members))
	}
	s := NewState(views)
	for _, change := range changes {
		change(&s)
	}
	return s
}

func named(id uint64, name string) Member {
	return Member{ID: id, Name: name, PeerURLs: []string{"https://10.10.0." + name + ":2380"}}
}

func view(id uint64, members []Member) View {
	return View{Status: Status{ID: id, Cluster: 77, Leader: 1, Term: 5, Index: 100, Applied: 100}, Members: members}
}

func silent(id uint64) func(*State) {
	return func(s *State) {
		delete(s.Views, id)
		s.Silent[id] = errors.New("no route to host")
	}
}

// only keeps the members with these IDs, in all lists.
func only(ids ...uint64) func(*State) {
	return func(s *State) {
		var members []Member
		for _, id := range ids {
			m, _ := s.Member(id)
			members = append(members, m)
		}
		*s = State{Members: members, Views: map[uint64]View{}, Silent: map[uint64]error{}}
		for _, id := range ids {
			s.Views[id] = view(id, members)
		}
	}
}

// with adds a member to all lists.
func with(m Member) func(*State) {
	return func(s *State) {
		s.Members = append(s.Members, m)
		for id, v := range s.Views {
			v.Members = append(v.Members[:len(v.Members):len(v.Members)], m)
			s.Views[id] = v
		}
	}
}

// learner is member d (4), which answers.
func learner(s *State) {
	m := named(4, "d")
	m.Learner = true
	with(m)(s)
	s.Views[4] = View{Status: Status{ID: 4, Cluster: 77, Leader: 1, Term: 5, Applied: 90, Learner: true}}
}

func unstarted(s *State) { with(Member{ID: 5, PeerURLs: []string{"https://10.10.0.5:2380"}})(s) }

// says changes the status of a member.
func says(id uint64, change func(*Status)) func(*State) {
	return func(s *State) {
		v := s.Views[id]
		change(&v.Status)
		s.Views[id] = v
	}
}

func alarm(id uint64, kind string) func(*State) {
	return says(2, func(s *Status) { s.Alarms = append(s.Alarms, Alarm{Member: id, Type: kind}) })
}

// lists makes a member list others than the rest does.
func lists(id uint64, members ...Member) func(*State) {
	return func(s *State) {
		v := s.Views[id]
		v.Members = members
		s.Views[id] = v
	}
}

func stuck(id uint64) func(*State) {
	return func(s *State) {
		v := s.Views[id]
		v.ReadErr = errors.New("no quorum confirms a read")
		s.Views[id] = v
	}
}

// judge compares an error with the words that it must have; none for permission.
func judge(t *testing.T, err error, words ...string) {
	t.Helper()
	if (err == nil) != (len(words) == 0) {
		t.Errorf("got %v, want %q", err, words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got %v, want %q", err, word)
		}
	}
}

func TestCanRemove(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		id    uint64
		words []string
	}{
		"a follower of three":                 {trio(), 2, nil},
		"the leader of three":                 {trio(), 1, nil},
		"a dead one of three":                 {trio(silent(3)), 3, nil},
		"one of two":                          {trio(only(1, 2)), 2, nil},
		"a learner":                           {trio(learner), 4, nil},
		"a learner that never started":        {trio(func(s *State) { with(Member{ID: 5, Learner: true})(s) }), 5, nil},
		"a voter that never started":          {trio(unstarted), 5, nil},
		"a learner beside one voter":          {trio(only(1), learner), 4, nil},
		"one whose own view differs":          {trio(lists(3, named(3, "c"))), 3, nil},
		"nobody":                              {trio(), 9, []string{"no member 9"}},
		"the last one":                        {trio(only(1)), 1, []string{"a (1) is the last voting member"}},
		"the last voter beside a learner":     {trio(only(1), learner), 1, []string{"last voting member"}},
		"a healthy one while another is dead": {trio(silent(3)), 2, []string{"c (3) does not answer: no route to host", "quorum would be lost: of the 2 voters that remain 2 must be healthy, and 1 are"}},
		"the leader while another is dead":    {trio(silent(3)), 1, []string{"c (3) does not answer", "quorum would be lost"}},
		"a dead one of two":                   {trio(only(1, 2), silent(2)), 2, []string{"lost its quorum (1 of 2 voters are healthy, 2 must be)"}},
		"a dead one when two of three are":    {trio(silent(2), silent(3)), 3, []string{"b (2) does not answer", "lost its quorum"}},
		"a survivor that complains":           {trio(says(3, func(s *Status) { s.Errors = []string{"disk is slow"} })), 2, []string{"c (3) reports: disk is slow"}},
		"a survivor without a leader":         {trio(says(3, func(s *Status) { s.Leader = 0 })), 2, []string{"c (3) knows no leader"}},
		"a survivor that is cut off":          {trio(stuck(3)), 2, []string{"c (3): no quorum confirms a read"}},
		"a learner beside it":                 {trio(learner), 2, []string{"d (4) is still a learner"}},
		"an unstarted one beside it":          {trio(unstarted), 2, []string{"unstarted member 5 never started"}},
		"an alarm":                            {trio(alarm(3, NoSpace)), 2, []string{"the alarm NOSPACE on c (3) is raised"}},
		"members that disagree":               {trio(lists(3, named(1, "a"), named(3, "c"))), 2, []string{"disagree on who its members are", "c (3) says: a (1), c (3)"}},
		"two leaders":                         {trio(says(3, func(s *Status) { s.Leader = 3 })), 2, []string{"disagree on who leads"}},
		"two clusters":                        {trio(says(3, func(s *Status) { s.Cluster = 78 })), 2, []string{"disagree on which cluster this is"}},
	} {
		t.Run(name, func(t *testing.T) { judge(t, CanRemove(c.state, c.id), c.words...) })
	}
}

// quintet is a healthy cluster of five, a (1, the leader) to e (5), changed.
func quintet(changes ...func(*State)) State {
	return trio(append([]func(*State){five}, changes...)...)
}

func five(s *State) {
	for id, name := range map[uint64]string{4: "d", 5: "e"} {
		with(named(id, name))(s)
	}
	only(1, 2, 3, 4, 5)(s)
}

// Removing a member that is down is how a cluster is repaired in which others are, too.
func TestCanRemoveWhileOthersAreDown(t *testing.T) {
	all := []Member{named(1, "a"), named(2, "b"), named(3, "c"), named(4, "d"), named(5, "e")}
	for name, c := range map[string]struct {
		state State
		id    uint64
		down  []Member
		words []string
	}{
		"one of two of five":               {quintet(silent(4), silent(5)), 4, all[4:], nil},
		"the other one of them":            {quintet(silent(4), silent(5)), 5, all[3:4], nil},
		"the last of them":                 {quintet(silent(5), only(1, 2, 3, 5), silent(5)), 5, nil, nil},
		"not when that was not said":       {quintet(silent(4), silent(5)), 4, nil, []string{"e (5) does not answer"}},
		"not when another one was meant":   {quintet(silent(4), silent(5)), 4, all[:1], []string{"e (5) does not answer"}},
		"no healthy one":                   {quintet(silent(4), silent(5)), 3, all[3:], []string{"d (4) does not answer", "e (5) does not answer", "quorum would be lost: of the 4 voters that remain 3 must be healthy, and 2 are"}},
		"no healthy one of a strong five":  {quintet(silent(5)), 3, all[4:], []string{"e (5) does not answer"}},
		"one of three, the quorum is lost": {quintet(silent(3), silent(4), silent(5)), 5, all[2:4], []string{"lost its quorum (2 of 5 voters are healthy, 3 must be)"}},
		"one of two of three":              {trio(silent(2), silent(3)), 3, all[1:2], []string{"lost its quorum"}},
		"not beside one that is cut off":   {quintet(silent(4), stuck(5)), 4, all[4:], []string{"e (5): no quorum confirms a read"}},
		"not beside a learner":             {quintet(silent(5), learnerSix), 5, all[:4], []string{"f (6) is still a learner"}},
		"not under an alarm":               {quintet(silent(4), silent(5), alarm(5, NoSpace)), 4, all[4:], []string{"the alarm NOSPACE on e (5)"}},
	} {
		t.Run(name, func(t *testing.T) { judge(t, CanRemove(c.state, c.id, c.down...), c.words...) })
	}
}

func learnerSix(s *State) {
	m := named(6, "f")
	m.Learner = true
	with(m)(s)
}

func TestDown(t *testing.T) {
	s := quintet(silent(3), silent(4), stuck(5), learnerSix, func(s *State) { with(Member{ID: 7})(s) })
	if got := Down(s, 3); len(got) != 1 || got[0].ID != 4 {
		t.Errorf("got %v", got)
	}
}

func TestCanPromote(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		id    uint64
		words []string
	}{
		"a learner of three":          {trio(learner), 4, nil},
		"the second member":           {trio(only(1), learner), 4, nil},
		"nobody":                      {trio(), 9, []string{"no member 9"}},
		"a voter":                     {trio(), 2, []string{"b (2) votes already"}},
		"a silent learner":            {trio(learner, silent(4)), 4, []string{"d (4) does not answer: no route to host"}},
		"one that never started":      {trio(func(s *State) { with(Member{ID: 5, Learner: true})(s) }), 5, []string{"never started"}},
		"while a voter is dead":       {trio(learner, silent(3)), 4, []string{"c (3) does not answer"}},
		"while the quorum is lost":    {trio(learner, silent(2), silent(3)), 4, []string{"lost its quorum"}},
		"while an alarm is raised":    {trio(learner, alarm(1, Corrupt)), 4, []string{"the alarm CORRUPT on a (1)"}},
		"while members disagree":      {trio(learner, lists(3, named(3, "c"))), 4, []string{"disagree on who its members are"}},
		"while a member is unstarted": {trio(learner, unstarted), 4, []string{"unstarted member 5 never started"}},
	} {
		t.Run(name, func(t *testing.T) { judge(t, CanPromote(c.state, c.id), c.words...) })
	}
}

func TestCanMoveLeader(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		to    uint64
		words []string
	}{
		"to a follower":                 {trio(), 2, nil},
		"while another one is dead":     {trio(silent(3)), 2, nil},
		"while an alarm is raised":      {trio(alarm(1, NoSpace)), 2, nil},
		"to nobody":                     {trio(), 9, []string{"no member 9"}},
		"to the leader":                 {trio(), 1, []string{"a (1) leads already"}},
		"to a learner":                  {trio(learner), 4, []string{"d (4) is a learner, which cannot lead"}},
		"to a dead one":                 {trio(silent(3)), 3, []string{"c (3) does not answer"}},
		"from a dead one":               {trio(silent(1)), 2, []string{"the leader does not answer"}},
		"without a quorum":              {trio(silent(2), silent(3)), 2, []string{"lost its quorum"}},
		"without a leader":              {trio(says(1, noLeader), says(2, noLeader), says(3, noLeader)), 2, []string{"knows no leader"}},
		"while members disagree on one": {trio(says(3, func(s *Status) { s.Leader = 3 })), 2, []string{"disagree on who leads"}},
	} {
		t.Run(name, func(t *testing.T) { judge(t, CanMoveLeader(c.state, c.to), c.words...) })
	}
}

func noLeader(s *Status) { s.Leader = 0 }

func TestSuccessor(t *testing.T) {
	behind := func(id, applied uint64) func(*State) { return says(id, func(s *Status) { s.Applied = applied }) }
	for name, c := range map[string]struct {
		state  State
		except []uint64
		want   uint64
	}{
		"the first by name":        {trio(), nil, 2},
		"the one that follows":     {trio(behind(2, 90)), nil, 3},
		"the healthy one":          {trio(silent(2)), nil, 3},
		"not the excepted one":     {trio(), []uint64{2}, 3},
		"no learner":               {trio(only(1), learner), nil, 0},
		"nobody":                   {trio(silent(2), silent(3)), nil, 0},
		"nobody beside the leader": {trio(only(1)), nil, 0},
	} {
		if got, found := Successor(c.state, c.except...); got.ID != c.want || found != (c.want != 0) {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestSnapshotSource(t *testing.T) {
	ahead := func(id uint64) func(*State) { return says(id, func(s *Status) { s.Applied++ }) }
	for name, c := range map[string]struct {
		state State
		want  uint64
	}{
		"a follower":                 {trio(), 2},
		"the one that is ahead":      {trio(ahead(3)), 3},
		"the leader that is ahead":   {trio(ahead(1)), 1},
		"whoever is left":            {trio(silent(1), silent(2)), 3},
		"none with a broken disk":    {trio(alarm(2, Corrupt)), 3},
		"no learner":                 {trio(only(1), learner), 1},
		"nobody, with a broken disk": {trio(only(2), alarm(2, Corrupt)), 0},
	} {
		if got, err := SnapshotSource(c.state); got.ID != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestCanDefragment(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		words []string
	}{
		"three":                {trio(), nil},
		"one":                  {trio(only(1)), nil},
		"a full database":      {trio(alarm(1, NoSpace)), nil},
		"a broken database":    {trio(alarm(1, Corrupt)), []string{"the alarm CORRUPT on a (1)"}},
		"a dead member":        {trio(silent(2)), []string{"b (2) does not answer"}},
		"an unstarted one":     {trio(unstarted), []string{"never started"}},
		"members that differ":  {trio(lists(1, named(1, "a"))), []string{"disagree"}},
		"one that is cut off":  {trio(stuck(1)), []string{"no quorum confirms a read"}},
		"one that has trouble": {trio(says(2, func(s *Status) { s.Errors = []string{"x"} })), []string{"b (2) reports: x"}},
	} {
		t.Run(name, func(t *testing.T) { judge(t, CanDefragment(c.state), c.words...) })
	}
}

func TestTheLeaderIsDefragmentedLast(t *testing.T) {
	for leader, want := range map[uint64]string{1: "bca", 2: "acb", 3: "abc"} {
		s := trio()
		for id := range s.Views {
			says(id, func(s *Status) { s.Leader = leader })(&s)
		}
		got := ""
		for _, m := range DefragmentOrder(s) {
			got += m.Name
		}
		if got != want {
			t.Errorf("leader %d: got %s, want %s", leader, got, want)
		}
	}
}

func TestCanDisarm(t *testing.T) {
	full := says(2, func(s *Status) { s.DBSize, s.DBQuota = 100, 100 })
	roomy := says(2, func(s *Status) { s.DBSize, s.DBQuota = 99, 100 })
	for name, c := range map[string]struct {
		state State
		words []string
	}{
		"nothing":                       {trio(), nil},
		"space again":                   {trio(alarm(2, NoSpace), roomy), nil},
		"a quota that is not known":     {trio(alarm(2, NoSpace)), nil},
		"a member that was removed":     {trio(alarm(9, Corrupt)), nil},
		"no space":                      {trio(alarm(2, NoSpace), full), []string{"b (2) still fills its quota (100 of 100 bytes)"}},
		"a broken database":             {trio(alarm(3, Corrupt)), []string{"the database of c (3) is corrupt"}},
		"a member that is silent":       {trio(alarm(3, NoSpace), silent(3)), []string{"c (3) does not answer"}},
		"no quorum":                     {trio(alarm(2, NoSpace), silent(1), silent(3)), []string{"lost its quorum"}},
		"members that differ about all": {trio(alarm(2, NoSpace), lists(1, named(1, "a"))), []string{"disagree"}},
	} {
		t.Run(name, func(t *testing.T) { judge(t, CanDisarm(c.state), c.words...) })
	}
}
