package etcd

import (
	"slices"
	"strings"
	"testing"
)

func TestTheStateIsWhatAllMembersKnow(t *testing.T) {
	unstarted := Member{ID: 3}
	s := NewState([]View{
		view(1, []Member{named(1, "a"), named(2, "b"), unstarted}),
		view(2, []Member{named(2, "b"), named(3, "c")}),
	})
	var names []string
	for _, m := range s.Members {
		names = append(names, m.String())
	}
	if want := []string{"a (1)", "b (2)", "c (3)"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestTheLeaderIsThatOfTheHighestTerm(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		want  uint64
	}{
		"agreed":             {trio(), 1},
		"a new one":          {trio(says(3, func(s *Status) { s.Term, s.Leader = 6, 2 })), 2},
		"an election":        {trio(says(3, func(s *Status) { s.Term, s.Leader = 6, 0 })), 0},
		"not known to all":   {trio(says(1, noLeader)), 1},
		"one that is frozen": {trio(silent(1)), 1},
		"nobody":             {State{}, 0},
	} {
		if got := c.state.Leader(); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestLag(t *testing.T) {
	s := trio(says(2, func(s *Status) { s.Applied = 93 }), says(3, func(s *Status) { s.Applied = 101 }))
	for id, want := range map[uint64]uint64{1: 0, 2: 7, 3: 0} {
		if got, known := s.Lag(id); got != want || !known {
			t.Errorf("%d: got %d, %v; want %d", id, got, known, want)
		}
	}
	for _, s := range []State{trio(silent(1)), trio(silent(2))} {
		if _, known := s.Lag(2); known {
			t.Error("it cannot be known")
		}
	}
}

func TestStrength(t *testing.T) {
	for name, c := range map[string]struct {
		state                   State
		voters, healthy, canDie int
	}{
		"three":           {trio(), 3, 3, 1},
		"one is dead":     {trio(silent(2)), 3, 2, 0},
		"two are dead":    {trio(silent(1), silent(2)), 3, 1, -1},
		"two":             {trio(only(1, 2)), 2, 2, 0},
		"one":             {trio(only(1)), 1, 1, 0},
		"and a learner":   {trio(learner), 3, 3, 1},
		"and a dead one":  {trio(unstarted), 4, 3, 0},
		"one is cut off":  {trio(stuck(3)), 3, 2, 0},
		"nothing is seen": {State{}, 0, 0, -1},
	} {
		got := c.state.Strength()
		if got.Voters != c.voters || got.Healthy != c.healthy || got.MayFail() != c.canDie {
			t.Errorf("%s: got %+v, %d", name, got, got.MayFail())
		}
	}
}

func TestProblems(t *testing.T) {
	if got := trio(learner).Problems(); len(got) > 0 {
		t.Errorf("a learner is none: %q", got)
	}
	got := trio(silent(3), unstarted, alarm(1, NoSpace), says(2, func(s *Status) { s.Cluster = 78 })).Problems()
	want := []string{
		"c (3) does not answer: no route to host", "unstarted member 5 never started (peer https://10.10.0.5:2380)",
		"the alarm NOSPACE on a (1) is raised", "the members disagree on which cluster this is (its ID): a (1) says: 4d; b (2) says: 4e",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAlarmsAreToldFromErrors(t *testing.T) {
	alarms, others := alarmsAmong([]string{
		"memberID:10276657743932975437 alarm:NOSPACE ", "etcdserver: no leader", "memberID:7 alarm:CORRUPT", "memberID:x alarm:CORRUPT",
	})
	if want := []Alarm{{10276657743932975437, NoSpace}, {7, Corrupt}}; !slices.Equal(alarms, want) {
		t.Errorf("alarms %v", alarms)
	}
	if want := []string{"etcdserver: no leader", "memberID:x alarm:CORRUPT"}; !slices.Equal(others, want) {
		t.Errorf("others %q", others)
	}
}
