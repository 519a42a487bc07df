package syncer

import (
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

func nodeObject(name, address string, annotations map[string]string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations, Labels: map[string]string{kube.ControlPlaneLabel: kube.ControlPlaneRole}},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: address}}},
	}
}

func TestStoreTellsOfWhatMattersAlone(t *testing.T) {
	changes := 0
	s := newStore(readNode, func() { changes++ })
	check := func(what string, want int, err error) {
		t.Helper()
		if changes != want || err != nil {
			t.Errorf("%s: told %d times, not %d; %v", what, changes, want, err)
		}
		changes = 0
	}
	if _, synced := s.list(); synced {
		t.Error("complete before the first list")
	}
	check("an empty list", 1, s.Replace(nil, "1"))
	check("the same list", 0, s.Replace(nil, "2"))
	n := nodeObject("cp1", "10.0.0.1", nil)
	check("a new Node", 1, s.Add(n))
	for i := range 100 {
		beat := n.DeepCopy()
		beat.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastHeartbeatTime: metav1.NewTime(time.Unix(int64(i), 0))}}
		beat.Spec.Unschedulable = i%2 == 0
		check("a heartbeat, a cordon, NotReady", 0, s.Update(beat))
	}
	check("an annotation", 1, s.Update(nodeObject("cp1", "10.0.0.1", map[string]string{DrainAnnotation: ""})))
	check("another address", 1, s.Update(nodeObject("cp1", "10.0.0.2", map[string]string{DrainAnnotation: ""})))
	facts, synced := s.list()
	if !synced || len(facts) != 1 || !facts[0].leaving || !slices.Equal(facts[0].addresses, node("", "10.0.0.2").addresses) {
		t.Errorf("%+v, %v", facts, synced)
	}
	check("a deletion", 1, s.Delete(n))
	check("another deletion", 0, s.Delete(n))
	if err := s.Update("nonsense"); err == nil {
		t.Error("took nonsense")
	}
}

func TestFactsAreReadFromObjects(t *testing.T) {
	deleted := nodeObject("CP1", "10.0.0.1", map[string]string{AddressAnnotation: "192.0.2.1"})
	now := metav1.Now()
	deleted.DeletionTimestamp = &now
	got, err := readNode(deleted)
	if want := node("cp1", "10.0.0.1").at("192.0.2.1").leaves(); err != nil || !got.equal(want) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = readNode(nodeObject("cp1", "10.0.0.1", map[string]string{AddressAnnotation: "nonsense"}))
	if want := node("cp1", "10.0.0.1"); err != nil || !got.equal(want) {
		t.Errorf("%+v, %v", got, err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "cp1"}, "spec": map[string]any{"leave": true}, "status": map[string]any{"peerAddress": "10.0.0.1"},
	}}
	got, err = readEtcdMember(object)
	if want := etcdMember("cp1", "10.0.0.1").leaves(); err != nil || !got.equal(want) {
		t.Errorf("%+v, %v", got, err)
	}
	for status, role := range map[string]etcdRole{"True": voter, "False": formerMember, "Unknown": ""} {
		object.Object["status"] = map[string]any{"peerAddress": "10.0.0.1", "conditions": []any{map[string]any{"type": "Joined", "status": status}}}
		got, err = readEtcdMember(object)
		if want := etcdMember("cp1", "10.0.0.1").leaves().is(role); err != nil || !got.equal(want) {
			t.Errorf("Joined %s: %+v, %v", status, got, err)
		}
	}
	object.Object["status"] = map[string]any{"addresses": []any{map[string]any{"type": "InternalIP", "address": "10.0.0.2"}}}
	got, err = readControlNode(object)
	if want := controlNode("cp1", "10.0.0.2"); err != nil || !got.equal(want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOperationIsHeldUntilItIsNotRenewed(t *testing.T) {
	now, changes := time.Unix(1000, 0), 0
	o := newOperation(func() { changes++ })
	o.now = func() time.Time { return now }
	lease := func(holder string, renewed int64) *coordinationv1.Lease {
		at := metav1.NewMicroTime(time.Unix(renewed, 0))
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: kube.OperationLease},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &at}}
	}
	if o.known() {
		t.Error("known before it was looked at")
	}
	expect := func(want string, wantChanges int, err error) {
		t.Helper()
		if got := o.held(); got != want || changes != wantChanges || err != nil {
			t.Errorf("held by %q, not %q; told %d times, not %d; %v", got, want, changes, wantChanges, err)
		}
		changes = 0
	}
	expect("", 1, o.Replace(nil, "1"))
	// The other machine's clock is of no consequence.
	expect("anna", 1, o.Add(lease("anna", 5)))
	now = now.Add(50 * time.Second)
	expect("anna", 0, o.Update(lease("anna", 6)))
	now = now.Add(50 * time.Second)
	expect("anna", 0, nil)
	now = now.Add(11 * time.Second)
	expect("", 0, o.Update(lease("anna", 6)))
	expect("anna", 0, o.Update(lease("anna", 7)))
	expect("", 1, o.Update(lease("", 8)))
	expect("bert", 1, o.Replace([]any{lease("bert", 9)}, "2"))
	expect("", 1, o.Delete(nil))
	other := lease("carl", 10)
	other.Name = "another"
	expect("", 0, o.Update(other))
}
