package kube

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestSyncerStatuses(t *testing.T) {
	cluster, _ := withObjects()
	cluster.Client = fake.NewClientset()
	if got, err := cluster.SyncerStatuses(t.Context()); err != nil || got != nil {
		t.Errorf("without a syncer: %v, %v", got, err)
	}
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: SyncerNamespace, Name: SyncerStatusName}, Data: map[string]string{
		"b_22": `{"loadBalancer":"b:22","result":"refused","message":"why","since":"2026-01-02T03:04:05Z","later":1}`,
		"a_22": `{"loadBalancer":"a:22","result":"success","servers":[{"name":"cp1","address":"10.10.0.2","state":"up"}]}`,
	}}
	cluster.Client = fake.NewClientset(object)
	got, err := cluster.SyncerStatuses(t.Context())
	if err != nil || len(got) != 2 || got[0].LoadBalancer != "a:22" || got[0].Servers[0].State != "up" || got[1].Message != "why" || got[1].Since.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	object.Data["b_22"] = "nonsense"
	cluster.Client = fake.NewClientset(object)
	if _, err := cluster.SyncerStatuses(t.Context()); err == nil || !strings.Contains(err.Error(), "reading b_22 of the ConfigMap kubectl-ha/ha-syncer-status") {
		t.Errorf("%v", err)
	}
}

func TestMarks(t *testing.T) {
	cluster, _ := withObjects(
		object("autopilot.k0sproject.io/v1beta2", "ControlNode", "cp1", nil), object("etcd.k0sproject.io/v1beta1", "EtcdMember", "cp1", nil),
	)
	cluster.Client = fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cp1", Annotations: map[string]string{"mine": "stays"}}})
	read := func() []string {
		nodes, err := cluster.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		controlNodes, err := cluster.ControlNodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		members, err := cluster.EtcdMembers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return []string{nodes[0].DrainedBy, controlNodes[0].DrainedBy, members[0].DrainedBy}
	}
	for _, by := range []string{`who "it" is`, ""} {
		for _, name := range []string{"cp1", "gone"} {
			for _, err := range []error{cluster.MarkNode(t.Context(), name, by), cluster.MarkControlNode(t.Context(), name, by), cluster.MarkEtcdMember(t.Context(), name, by)} {
				if err != nil {
					t.Error(err)
				}
			}
		}
		for _, got := range read() {
			if got != by {
				t.Errorf("got %q, want %q", got, by)
			}
		}
	}
	node, err := cluster.Client.CoreV1().Nodes().Get(t.Context(), "cp1", metav1.GetOptions{})
	if err != nil || node.Annotations["mine"] != "stays" {
		t.Errorf("%v, %v", node.Annotations, err)
	}
	node.Annotations[DrainAnnotation] = ""
	if got := NodeOf(node).DrainedBy; got != "true" {
		t.Errorf("any value counts: %q", got)
	}
}
