package haproxy

import (
	"fmt"
	"slices"
	"strconv"
)

// place puts the servers into the slots of a block and frees the slots of all other addresses. A server that has a
// slot keeps it; the others take free ones, the one that bears their name first. The block has at least count slots
// afterwards, and more when the servers need them.
func place(slots []Slot, servers []Server, count int) []Slot {
	placed := make([]Slot, 0, len(slots))
	for i, slot := range slots {
		slot.Index = i
		duplicate := slices.ContainsFunc(placed, func(s Slot) bool { return s.Used() && s.Address == slot.Address })
		if slot.Used() && (duplicate || !slices.ContainsFunc(servers, func(s Server) bool {
			return s.Address == slot.Address
		})) {
			slot = Slot{Index: i, Name: SpareName(i)}
		}
		placed = append(placed, slot)
	}
	for i := len(placed); i < max(count, len(servers)); i++ {
		placed = append(placed, Slot{Index: i, Name: SpareName(i)})
	}
	var waiting []Server
	for _, server := range servers {
		i := slices.IndexFunc(placed, func(s Slot) bool { return s.Address == server.Address })
		if i < 0 {
			waiting = append(waiting, server)
			continue
		}
		placed[i].Name, placed[i].Enabled = server.Name, server.Active
	}
	for _, server := range waiting {
		i := slices.IndexFunc(placed, func(s Slot) bool { return !s.Used() && s.Name == server.Name })
		if i < 0 {
			i = slices.IndexFunc(placed, func(s Slot) bool { return !s.Used() })
		}
		placed[i].Name, placed[i].Address, placed[i].Enabled = server.Name, server.Address, server.Active
	}
	return distinct(placed)
}

// distinct renames free slots whose name a server took, as with a host that is called slot3: HAProxy wants the names
// of a backend to be distinct.
func distinct(slots []Slot) []Slot {
	taken := map[string]bool{}
	for _, s := range slots {
		if s.Used() {
			taken[s.Name] = true
		}
	}
	for i, s := range slots {
		if s.Used() {
			continue
		}
		for n := 2; taken[slots[i].Name]; n++ {
			slots[i].Name = s.Name + "-" + strconv.Itoa(n)
		}
		taken[slots[i].Name] = true
	}
	return slots
}

// sameMembers says whether two blocks have the same controllers, enabled the same way. Names and order do not count:
// HAProxy knows the names it started with, and nobody is to be disturbed for a name.
func sameMembers(a, b []Slot) bool {
	members := func(slots []Slot) []string {
		var m []string
		for _, s := range slots {
			if s.Used() {
				m = append(m, fmt.Sprint(s.Address, s.Enabled))
			}
		}
		slices.Sort(m)
		return m
	}
	return slices.Equal(members(a), members(b))
}
