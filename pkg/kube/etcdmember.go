package kube

import (
	"context"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// EtcdMembersResource is the API resource of EtcdMember objects.
func EtcdMembersResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "etcd.k0sproject.io", Version: "v1beta1", Resource: "etcdmembers"}
}

// EtcdMember is k0s's own object for a member of etcd (etcd.k0sproject.io/v1beta1). It appears once the member votes.
type EtcdMember struct {
	Name        string // the host's name in lower case
	PeerAddress netip.Addr
	MemberID    string // hexadecimal
	Joined      bool
	Leaving     bool   // it was told to leave, or has left
	DrainedBy   string // value of DrainAnnotation; empty without one
}

// EtcdMembers lists the EtcdMember objects; a cluster that has no such kind (k0s before 1.31) has none.
func (c *Cluster) EtcdMembers(ctx context.Context) ([]EtcdMember, error) {
	return listObjects(ctx, c.Dynamic.Resource(EtcdMembersResource()), "EtcdMember", EtcdMemberOf)
}

// EtcdMemberOf reads an EtcdMember object.
func EtcdMemberOf(object *unstructured.Unstructured) EtcdMember {
	member := EtcdMember{Name: object.GetName(), DrainedBy: drainedBy(object)}
	// A field of another type reads as absent: the status is k0s's and may not be written yet.
	peer, _, _ := unstructured.NestedString(object.Object, "status", "peerAddress")
	member.PeerAddress, _ = netip.ParseAddr(peer)
	member.MemberID, _, _ = unstructured.NestedString(object.Object, "status", "memberID")
	member.Leaving, _, _ = unstructured.NestedBool(object.Object, "spec", "leave")
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		if condition, ok := entry.(map[string]any); ok && condition["type"] == "Joined" {
			member.Joined = condition["status"] == string(metav1.ConditionTrue)
			member.Leaving = member.Leaving || condition["status"] == string(metav1.ConditionFalse)
		}
	}
	return member
}
