package kube

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// object is one of k0s's own, with a status.
func object(apiVersion, kind, name string, status map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name},
	}}
	if status != nil {
		u.Object["status"] = status
	}
	return u
}

func withObjects(objects ...runtime.Object) (*Cluster, *dynamicfake.FakeDynamicClient) {
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		EtcdMembersResource():  "EtcdMemberList",
		plansResource():        "PlanList",
		ControlNodesResource(): "ControlNodeList",
	}, objects...)
	return &Cluster{Dynamic: client}, client
}

func TestUpgradeInProgress(t *testing.T) {
	plan := func(name string, status map[string]any) *unstructured.Unstructured {
		return object("autopilot.k0sproject.io/v1beta2", "Plan", name, status)
	}
	state := func(s any) map[string]any { return map[string]any{"state": s} }
	for name, c := range map[string]struct {
		objects []runtime.Object
		want    string
	}{
		"no Plan":                   {nil, ""},
		"a new Plan":                {[]runtime.Object{plan("autopilot", nil)}, "not started yet"},
		"next host being chosen":    {[]runtime.Object{plan("autopilot", state("Schedulable"))}, "Schedulable"},
		"hosts at work":             {[]runtime.Object{plan("autopilot", state("SchedulableWait"))}, "SchedulableWait"},
		"a state of a later k0s":    {[]runtime.Object{plan("autopilot", state("Cordoning"))}, "Cordoning"},
		"done":                      {[]runtime.Object{plan("autopilot", state("Completed"))}, ""},
		"given up: not understood":  {[]runtime.Object{plan("autopilot", state("Warning"))}, ""},
		"given up: hosts missing":   {[]runtime.Object{plan("autopilot", state("IncompleteTargets"))}, ""},
		"given up: not allowed":     {[]runtime.Object{plan("autopilot", state("Restricted"))}, ""},
		"given up: failed":          {[]runtime.Object{plan("autopilot", state("ApplyFailed"))}, ""},
		"a Plan that k0s ignores":   {[]runtime.Object{plan("mine", state("Schedulable"))}, ""},
		"a status of another shape": {[]runtime.Object{plan("autopilot", state(int64(7)))}, "not started yet"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, _ := withObjects(c.objects...)
			got, err := cluster.UpgradeInProgress(t.Context())
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}

	t.Run("errors", func(t *testing.T) {
		cluster, client := withObjects()
		var answer error = apierrors.NewInternalError(errors.New("broken"))
		client.PrependReactor("*", "plans", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, answer })
		if _, err := cluster.UpgradeInProgress(t.Context()); !errors.Is(err, answer) {
			t.Errorf("got %v", err)
		}
		// What an API server without that kind says.
		answer = &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: 404}}
		if state, err := cluster.UpgradeInProgress(t.Context()); err != nil || state != "" {
			t.Errorf("got %q, %v", state, err)
		}
	})
}

func TestEtcdMembers(t *testing.T) {
	joined := func(status string) []any {
		return []any{"nonsense", map[string]any{"type": "Joined", "status": status}}
	}
	member := func(name string, status map[string]any) *unstructured.Unstructured {
		return object("etcd.k0sproject.io/v1beta1", "EtcdMember", name, status)
	}
	for name, c := range map[string]struct {
		status map[string]any
		want   EtcdMember
	}{
		"joined": {
			map[string]any{"peerAddress": "10.10.0.2", "memberID": "8e9e05c5", "conditions": joined("True")},
			EtcdMember{Name: "cp1", PeerAddress: netip.MustParseAddr("10.10.0.2"), MemberID: "8e9e05c5", Joined: true},
		},
		"left": {
			map[string]any{"peerAddress": "fd00::2", "memberID": "8e9e05c5", "conditions": joined("False")},
			EtcdMember{Name: "cp1", PeerAddress: netip.MustParseAddr("fd00::2"), MemberID: "8e9e05c5", Leaving: true, Left: true},
		},
		"without a status":      {nil, EtcdMember{Name: "cp1"}},
		"with a strange status": {map[string]any{"peerAddress": "cp1.example", "memberID": int64(1), "conditions": "none"}, EtcdMember{Name: "cp1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := EtcdMemberOf(member("cp1", c.status)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}

	told := member("cp1", map[string]any{"conditions": joined("True")})
	told.Object["spec"] = map[string]any{"leave": true}
	if got := EtcdMemberOf(told); !got.Leaving || !got.Joined {
		t.Errorf("told to leave: %+v", got)
	}
	cluster, client := withObjects(member("cp1", nil), member("cp2", nil))
	members, err := cluster.EtcdMembers(t.Context())
	if err != nil || len(members) != 2 {
		t.Errorf("got %v, %v", members, err)
	}
	var answer error = &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: 404}}
	client.PrependReactor("*", "etcdmembers", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, answer })
	if members, err := cluster.EtcdMembers(t.Context()); err != nil || members != nil {
		t.Errorf("without that kind: %v, %v", members, err)
	}
	answer = errors.New("broken")
	if _, err := cluster.EtcdMembers(t.Context()); err == nil || err.Error() != "listing EtcdMember objects: broken" {
		t.Errorf("got %v", err)
	}
}

func TestNodes(t *testing.T) {
	node := func(name string, labels map[string]string, ready corev1.ConditionStatus, addresses ...corev1.NodeAddress) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
		n.Status.NodeInfo.KubeletVersion = "v1.36.3+k0s"
		n.Status.Addresses = addresses
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue}}
		if ready != "" {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: ready})
		}
		return n
	}
	internal := func(a string) corev1.NodeAddress { return corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a} }
	client := fake.NewClientset(
		node("worker", map[string]string{"node-role.kubernetes.io/control-plane": "true"}, corev1.ConditionUnknown),
		node("new", nil, "", internal("no address")),
		node("cp", map[string]string{ControlPlaneLabel: "control-plane"}, corev1.ConditionTrue, internal("::ffff:10.10.0.2"),
			internal("fd00::2"), corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "192.0.2.1"},
			corev1.NodeAddress{Type: corev1.NodeHostName, Address: "cp"}),
	)
	cluster := &Cluster{Client: client}
	got, err := cluster.Nodes(t.Context())
	want := []Node{
		{
			Name: "cp", Addresses: []netip.Addr{netip.MustParseAddr("10.10.0.2"), netip.MustParseAddr("fd00::2")},
			Ready: true, ControlPlane: true, Version: "v1.36.3+k0s",
		},
		{Name: "new", Version: "v1.36.3+k0s"},
		{Name: "worker", Version: "v1.36.3+k0s"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}

	client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("broken")
	})
	if _, err := cluster.Nodes(t.Context()); err == nil || err.Error() != "listing nodes: broken" {
		t.Errorf("got %v", err)
	}
}
