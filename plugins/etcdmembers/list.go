package etcdmembers

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// memberList is what is printed, in any form.
type memberList struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Source     string   `json:"source"`  // sourceEtcd or sourceObjects
	Healthy    *bool    `json:"healthy"` // null when only objects were looked at
	Quorum     quorum   `json:"quorum"`
	Members    []row    `json:"members"`
	Problems   []string `json:"problems"`
	Notes      []string `json:"notes"`
	Warning    string   `json:"warning,omitempty"` // that this is less than was asked for
}

const (
	sourceEtcd    = "etcd"
	sourceObjects = "EtcdMember"
)

type quorum struct {
	Voters  int64  `json:"voters"`
	Needed  int64  `json:"needed"`
	Healthy *int64 `json:"healthy,omitempty"`
	MayFail *int64 `json:"mayFail,omitempty"` // of the healthy ones; negative when the quorum is lost
}

// row is one member.
type row struct {
	Name       string   `json:"name"`
	ID         string   `json:"id"` // hexadecimal, as etcdctl's
	Status     string   `json:"status"`
	Role       string   `json:"role"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Detail     *detail  `json:"detail,omitempty"` // what the member itself says
	Alarms     []string `json:"alarms,omitempty"`
	Errors     []string `json:"errors,omitempty"`
}

// Values of row.Status and row.Role.
const (
	started     = "started"
	unstarted   = "unstarted"
	unreachable = "unreachable"
	joined      = "joined" // EtcdMember objects know no more
	left        = "left"

	leads   = "leader"
	votes   = "voter"
	learns  = "learner"
	unknown = "unknown"
)

type detail struct {
	Version   string  `json:"version"`
	DBSize    int64   `json:"dbSize"`
	DBInUse   int64   `json:"dbSizeInUse"`
	DBQuota   int64   `json:"dbSizeQuota,omitempty"`
	RaftTerm  int64   `json:"raftTerm"`
	RaftIndex int64   `json:"raftIndex"`
	Lag       *int64  `json:"lag,omitempty"`
	Latency   float64 `json:"latencySeconds,omitempty"`
}

// listOf judges a picture.
func listOf(p picture) memberList {
	strength := p.state.Strength()
	healthy, mayFail := int64(strength.Healthy), int64(strength.MayFail())
	l := newList(sourceEtcd)
	l.Quorum = quorum{
		Voters: int64(strength.Voters), Needed: int64(etcd.Quorum(strength.Voters)), Healthy: &healthy, MayFail: &mayFail,
	}
	for _, m := range p.state.Members {
		l.Members = append(l.Members, rowOf(p.state, m))
		if m.Learner {
			l.Notes = append(l.Notes, m.String()+" is a learner: it does not vote yet")
		}
	}
	l.Problems = append(l.Problems, p.state.Problems()...)
	if p.objectsErr != nil {
		l.Notes = append(l.Notes, fmt.Sprintf("the EtcdMember objects could not be compared: %v", p.objectsErr))
	} else {
		problems, notes := compare(p.state, p.objects)
		l.Problems, l.Notes = append(l.Problems, problems...), append(l.Notes, notes...)
	}
	l.Notes = append(l.Notes, p.strangers...)
	sound := len(l.Problems) == 0
	l.Healthy = &sound
	return l
}

func newList(source string) memberList {
	return memberList{
		APIVersion: "kubectl-ha.io/v1alpha1", Kind: "EtcdMemberList", Source: source,
		Members: []row{}, Problems: []string{}, Notes: []string{},
	}
}

func rowOf(s etcd.State, m etcd.Member) row {
	r := row{
		Name: m.Name, ID: fmt.Sprintf("%x", m.ID), Status: started, Role: votes,
		PeerURLs: append([]string{}, m.PeerURLs...), ClientURLs: append([]string{}, m.ClientURLs...),
	}
	view, answers := s.Views[m.ID]
	switch {
	case !answers && m.Name == "":
		r.Status = unstarted
	case !answers:
		r.Status = unreachable
	}
	switch {
	case m.Learner:
		r.Role = learns
	case m.ID == s.Leader():
		r.Role = leads
	}
	for _, a := range s.Alarms() {
		if a.Member == m.ID {
			r.Alarms = append(r.Alarms, a.Type)
		}
	}
	if !answers {
		if err := s.Silent[m.ID]; err != nil {
			r.Errors = []string{err.Error()}
		}
		return r
	}
	status := view.Status
	r.Errors = append(r.Errors, status.Errors...)
	if view.ReadErr != nil {
		r.Errors = append(r.Errors, view.ReadErr.Error())
	}
	r.Detail = &detail{
		Version: status.Version, DBSize: status.DBSize, DBInUse: status.DBInUse, DBQuota: status.DBQuota,
		RaftTerm: int64(status.Term), RaftIndex: int64(status.Index), Latency: view.Latency.Seconds(),
	}
	if lag, known := s.Lag(m.ID); known {
		entries := int64(lag)
		r.Detail.Lag = &entries
	}
	return r
}

// listOfObjects shows what k0s's objects say, which is no more than who has joined.
func listOfObjects(objects []kube.EtcdMember) memberList {
	l := newList(sourceObjects)
	for _, o := range objects {
		r := row{
			Name: o.Name, ID: strings.TrimLeft(o.MemberID, "0"), Status: left, Role: unknown, PeerURLs: []string{}, ClientURLs: []string{},
		}
		if id, err := strconv.ParseUint(o.MemberID, 16, 64); err == nil {
			r.ID = fmt.Sprintf("%x", id)
		}
		if o.PeerAddress.IsValid() {
			r.PeerURLs = append(r.PeerURLs, peerURL(o.PeerAddress))
		}
		if o.Joined {
			r.Status, r.Role = joined, votes // k0s makes the object of a member that votes
			l.Quorum.Voters++
		}
		l.Members = append(l.Members, r)
	}
	l.Quorum.Needed = int64(etcd.Quorum(int(l.Quorum.Voters)))
	return l
}
