package objects

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

func dynamicClient() *fake.FakeDynamicClient {
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "etcd.k0sproject.io", Version: "v1beta1", Resource: "etcdmembers"}: "EtcdMemberList",
	})
	// A custom resource is served as soon as it exists.
	client.PrependReactor("get", "customresourcedefinitions", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &unstructured.Unstructured{Object: map[string]any{
			"status": map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}},
		}}, nil
	})
	return client
}

func TestApplyCreatesEverythingOnce(t *testing.T) {
	client := dynamicClient()
	for range 2 {
		if err := Apply(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	created := map[string]int{}
	for _, action := range client.Actions() {
		if create, ok := action.(clienttesting.CreateAction); ok {
			created[create.GetObject().(*unstructured.Unstructured).GetName()]++
		}
	}
	for _, name := range []string{
		"etcdmembers.etcd.k0sproject.io", "controlnodes.autopilot.k0sproject.io", "plans.autopilot.k0sproject.io",
		"kubelet-bootstrap", "node-autoapprove-bootstrap", "node-autoapprove-certificate-rotation", "k0s-autopilot",
	} {
		if created[name] != 2 { // the second time it exists already
			t.Errorf("%s: %d attempts to create it, want 2", name, created[name])
		}
	}
}

func TestEtcdMembersRoundTrip(t *testing.T) {
	members := NewEtcdMembers(dynamicClient())
	own, err := members.Create(t.Context(), &EtcdMember{ObjectMeta: metav1.ObjectMeta{Name: "cp1"}})
	if err != nil {
		t.Fatal(err)
	}
	own.Status = EtcdMemberStatus{PeerAddress: "10.0.0.1", MemberID: "ab12"}
	own.Status.SetJoined(true, "Member joined", time.Now())
	if err := members.UpdateStatus(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	own, err = members.Get(t.Context(), "cp1")
	if err != nil {
		t.Fatal(err)
	}
	own.Spec.Leave = true
	if _, err := members.Update(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	all, err := members.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d members, %v", len(all), err)
	}
	got := all[0]
	if !got.Spec.Leave || got.Status.MemberID != "ab12" || got.Status.PeerAddress != "10.0.0.1" || got.Status.Joined() != "True" {
		t.Errorf("got %+v", got)
	}
}

func TestJoinedKeepsItsTransition(t *testing.T) {
	var s EtcdMemberStatus
	first, second := time.Unix(100, 0), time.Unix(200, 0)
	s.SetJoined(true, "Member joined", first)
	s.SetJoined(true, "again", second)
	if c := s.Conditions[0]; !c.LastTransitionTime.Time.Equal(first) || c.Message != "again" {
		t.Errorf("condition = %+v", c)
	}
	s.SetJoined(false, "gone", second)
	if c := s.Conditions[0]; len(s.Conditions) != 1 || !c.LastTransitionTime.Time.Equal(second) || s.Joined() != "False" {
		t.Errorf("conditions = %+v", s.Conditions)
	}
}

func TestControlNode(t *testing.T) {
	client := dynamicClient()
	node := ControlNode{Name: "cp1", NodeName: "cp1", Address: "10.0.0.1", Worker: true}
	for range 2 {
		if err := EnsureControlNode(t.Context(), client, node); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.Resource(schema.GroupVersionResource{
		Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes",
	}).Get(t.Context(), "cp1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	addresses, _, err := unstructured.NestedSlice(got.Object, "status", "addresses")
	if err != nil || len(addresses) != 2 || addresses[0].(map[string]any)["address"] != "10.0.0.1" {
		t.Errorf("addresses = %v, %v", addresses, err)
	}
	if got.GetAnnotations()["autopilot.k0sproject.io/mode"] != "controller+worker" {
		t.Errorf("annotations = %v", got.GetAnnotations())
	}
}
