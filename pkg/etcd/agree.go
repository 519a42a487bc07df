package etcd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Disagreements says where the members that answered contradict each other: in the cluster that they belong to, in
// who its members are, in who leads. No one of them can be believed then.
func (s State) Disagreements() []string { return s.disagreements() }

// disagreements leaves out what the excepted members say.
func (s State) disagreements(except ...uint64) []string {
	clusters, lists, leaders := opinions{}, opinions{}, opinions{}
	for _, id := range slices.Sorted(maps.Keys(s.Views)) {
		if slices.Contains(except, id) {
			continue
		}
		view, name := s.Views[id], s.name(id)
		clusters.add(fmt.Sprintf("%x", view.Status.Cluster), name)
		if !view.Status.Learner {
			lists.add(s.namesOf(view.Members), name)
		}
		if view.Status.Leader != 0 {
			leaders.add(s.name(view.Status.Leader), name)
		}
	}
	var all []string
	for _, c := range []struct {
		about string
		said  opinions
	}{
		{"which cluster this is (its ID)", clusters},
		{"who its members are", lists},
		{"who leads", leaders},
	} {
		if len(c.said) > 1 {
			all = append(all, fmt.Sprintf("the members disagree on %s: %s", c.about, c.said))
		}
	}
	return all
}

func (s State) name(id uint64) string {
	if m, found := s.Member(id); found {
		return m.String()
	}
	return fmt.Sprintf("%x", id)
}

// namesOf writes a list of members with all that matters in a comparison.
func (s State) namesOf(members []Member) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = s.name(m.ID)
		if m.Learner {
			names[i] += " as a learner"
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// opinions are what is said, and by whom.
type opinions map[string][]string

func (o opinions) add(opinion, by string) { o[opinion] = append(o[opinion], by) }

func (o opinions) String() string {
	var said []string
	for _, opinion := range slices.Sorted(maps.Keys(o)) {
		verb := "says"
		if len(o[opinion]) > 1 {
			verb = "say"
		}
		said = append(said, fmt.Sprintf("%s %s: %s", strings.Join(o[opinion], " and "), verb, opinion))
	}
	return strings.Join(said, "; ")
}
