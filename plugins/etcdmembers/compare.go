package etcdmembers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// compare says where the EtcdMember objects differ from etcd's own members: problems, and notes about what is no harm.
func compare(s etcd.State, objects []kube.EtcdMember) (problems, notes []string) {
	if len(objects) == 0 {
		return nil, []string{"the cluster has no EtcdMember objects to compare with (k0s makes them since v1.31)"}
	}
	described := map[uint64]bool{}
	for _, object := range objects {
		id, err := strconv.ParseUint(object.MemberID, 16, 64)
		m, found := s.Member(id)
		switch {
		case err != nil:
			notes = append(notes, fmt.Sprintf("the EtcdMember object %s names no member yet", object.Name))
		case !found && object.Joined:
			problems = append(problems, fmt.Sprintf("the EtcdMember object %s is stale: etcd has no member %x; once its host is "+
				"gone for good, delete it (kubectl delete etcdmember %s)", object.Name, id, object.Name))
		case !found:
			notes = append(notes, fmt.Sprintf("the EtcdMember object %s is of a member that has left; it may be deleted "+
				"(kubectl delete etcdmember %s)", object.Name, object.Name))
		default:
			described[id] = true
			problems = append(problems, differences(m, object)...)
		}
	}
	if len(described) == 0 {
		return []string{"no EtcdMember object is of a member of this etcd: is the kubeconfig that of another cluster?"}, nil
	}
	for _, m := range s.Members {
		_, answers := s.Views[m.ID]
		switch {
		case described[m.ID]:
		case !answers:
			problems = append(problems, fmt.Sprintf("%s is an orphan: it has no EtcdMember object and does not answer; if its host "+
				"is gone or was never to be a controller, remove it (kubectl etcd-members remove %s)", m, argumentFor(m)))
		case !m.Learner: // a learner has none until it votes
			notes = append(notes, fmt.Sprintf("%s has no EtcdMember object (k0s makes it moments after the member began to vote)", m))
		}
	}
	return problems, notes
}

// differences compares a member with its object.
func differences(m etcd.Member, object kube.EtcdMember) []string {
	var found []string
	say := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("the EtcdMember object %s says ", object.Name)+fmt.Sprintf(format, args...))
	}
	if m.Name != "" && !strings.EqualFold(m.Name, object.Name) {
		say("that it is of member %x, which etcd calls %s", m.ID, m.Name)
	}
	if object.PeerAddress.IsValid() && !m.HasAddress(object.PeerAddress) {
		say("%s, and etcd has %s", object.PeerAddress, strings.Join(m.PeerURLs, ","))
	}
	if !object.Joined {
		say("that it has not joined or is leaving, and etcd lists it")
	}
	return found
}

// argumentFor is how a member is named on the command line.
func argumentFor(m etcd.Member) string {
	if m.Name == "" {
		return fmt.Sprintf("%x", m.ID)
	}
	return m.Name
}

// find finds the member that an argument names: by its name, its ID, or as "-o name" prints it.
func find(members []etcd.Member, argument string) (etcd.Member, error) {
	argument = strings.TrimPrefix(argument, namePrefix)
	var named []etcd.Member
	for _, m := range members {
		if m.Name != "" && strings.EqualFold(m.Name, argument) {
			named = append(named, m)
		}
	}
	if len(named) == 1 {
		return named[0], nil
	}
	if len(named) > 1 {
		return etcd.Member{}, fmt.Errorf("%d members are called %q: give the ID", len(named), argument)
	}
	if id, err := strconv.ParseUint(strings.TrimPrefix(argument, "0x"), 16, 64); err == nil {
		if i := slices.IndexFunc(members, func(m etcd.Member) bool { return m.ID == id }); i >= 0 {
			return members[i], nil
		}
	}
	var all []string
	for _, m := range members {
		all = append(all, m.String())
	}
	return etcd.Member{}, fmt.Errorf("etcd has no member %q: its members are %s", argument, strings.Join(all, ", "))
}
