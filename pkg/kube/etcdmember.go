package kube

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
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
	Left        bool   // k0s says that etcd has no such member any more
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
			member.Left = condition["status"] == string(metav1.ConditionFalse)
			member.Leaving = member.Leaving || member.Left
		}
	}
	return member
}

// RemoveLearner has k0s remove a member from etcd that has no object yet, since a learner has none: the leader removes at
// once what an object names that is to leave and that no running controller has made (k0s v1.36.3,
// pkg/component/controller/etcd_member_reconciler.go). It fails when that is not done before ctx ends.
func (c *Cluster) RemoveLearner(ctx context.Context, name string, id uint64, address netip.Addr) error {
	members := c.Dynamic.Resource(EtcdMembersResource())
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": EtcdMembersResource().GroupVersion().String(), "kind": "EtcdMember",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"leave": true},
	}}
	_, err := members.Create(ctx, object, metav1.CreateOptions{})
	if err == nil {
		status := fmt.Sprintf(`{"status":{"memberID":%q,"peerAddress":%q}}`, strconv.FormatUint(id, 16), address)
		_, err = members.Patch(ctx, name, types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
	}
	if err != nil {
		return fmt.Errorf("having k0s remove the etcd member %x: %w", id, err)
	}
	err = Wait(ctx, c.Poll, func(ctx context.Context) error {
		object, err := members.Get(ctx, name, metav1.GetOptions{})
		if err == nil && !EtcdMemberOf(object).Left {
			message, _, _ := unstructured.NestedString(object.Object, "status", "message")
			err = fmt.Errorf("it is still there: %s", message)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("having k0s remove the etcd member %x: %w", id, err)
	}
	return c.DeleteEtcdMember(ctx, name)
}
