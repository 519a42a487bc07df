package reconcile

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
)

func TestEndpointsGetTheExternalAddress(t *testing.T) {
	const skipMirror = "endpointslice.kubernetes.io/skip-mirror"
	left := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default", Labels: map[string]string{skipMirror: "true"}},
		Subsets:    subsets([]string{"10.0.0.1"}, 6443),
	}
	for name, client := range map[string]*fake.Clientset{
		"a new cluster":            fake.NewClientset(),
		"after the API server did": fake.NewClientset(left),
	} {
		t.Run(name, func(t *testing.T) {
			api := clusterconfig.API{Address: "10.0.0.1", ExternalAddress: "10.0.0.9", Port: 6443}
			for range 2 {
				if err := Endpoints(t.Context(), client, api); err != nil {
					t.Fatal(err)
				}
			}
			got, err := client.CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if a := addressesOf(got); len(a) != 1 || a[0] != "10.0.0.9" || got.Subsets[0].Ports[0].Port != 6443 {
				t.Errorf("subsets = %+v", got.Subsets)
			}
			if name == "after the API server did" && got.Labels[skipMirror] != "true" {
				t.Error("the label that breaks the mirroring is gone: k0s leaves it")
			}
			writes := 0
			for _, action := range client.Actions() {
				if action.GetVerb() != "get" {
					writes++
				}
			}
			if writes != 1 {
				t.Errorf("%d writes, want 1", writes)
			}
		})
	}
}

func TestNodeRoles(t *testing.T) {
	node := func(name string, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	client := fake.NewClientset(
		node("cp", map[string]string{LabelNodeRole: "control-plane"}),
		node("own-role", map[string]string{LabelNodeRole: "control-plane", rolePrefix + "db": ""}),
		node("worker", nil),
	)
	if err := NodeRoles(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cp": "true", "own-role": "", "worker": ""} {
		got, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Labels[rolePrefix+"control-plane"] != want {
			t.Errorf("%s has labels %v", name, got.Labels)
		}
	}
}
