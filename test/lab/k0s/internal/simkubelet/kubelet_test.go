package simkubelet

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func kubelet(objects ...*corev1.Pod) (*Kubelet, *fake.Clientset) {
	client := fake.NewClientset()
	for _, pod := range objects {
		_ = client.Tracker().Add(pod)
	}
	return &Kubelet{
		Spec: Spec{
			Name: "cp1", Address: "10.0.0.1", Labels: map[string]string{"zone": "a"},
			Taints: []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}},
		},
		Log: slog.New(slog.DiscardHandler), client: client,
	}, client
}

func getNode(t *testing.T, client *fake.Clientset) *corev1.Node {
	t.Helper()
	node, err := client.CoreV1().Nodes().Get(t.Context(), "cp1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func TestNodeIsRegistered(t *testing.T) {
	k, client := kubelet()
	failed := ""
	k.beat(t.Context(), &failed)
	if failed != "" {
		t.Fatal(failed)
	}
	node := getNode(t, client)
	if node.Labels["zone"] != "a" || node.Labels[corev1.LabelHostname] != "cp1" || len(node.Spec.Taints) != 1 {
		t.Errorf("labels %v, taints %v", node.Labels, node.Spec.Taints)
	}
	if a := node.Status.Addresses[0]; a.Type != corev1.NodeInternalIP || a.Address != "10.0.0.1" || !ready(node.Status) {
		t.Errorf("status %+v", node.Status)
	}
	lease, err := client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "cp1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k.beat(t.Context(), &failed)
	again, err := client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "cp1", metav1.GetOptions{})
	if err != nil || !again.Spec.RenewTime.After(lease.Spec.RenewTime.Time) {
		t.Errorf("the lease was not renewed: %v, %v", again.Spec.RenewTime, err)
	}
}

func TestNodeThatWasGivenUpIsReportedAgain(t *testing.T) {
	k, client := kubelet()
	if err := k.syncNode(t.Context()); err != nil {
		t.Fatal(err)
	}
	node := getNode(t, client)
	for i := range node.Status.Conditions {
		node.Status.Conditions[i].Status = corev1.ConditionUnknown
	}
	if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := k.syncNode(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !ready(getNode(t, client).Status) {
		t.Error("the node is still given up")
	}
}

func TestDeletedNodeStaysDeleted(t *testing.T) {
	k, client := kubelet()
	if err := k.syncNode(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Nodes().Delete(t.Context(), "cp1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := k.syncNode(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().Get(t.Context(), "cp1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("err = %v: a kubelet registers once, when it starts", err)
	}
}

func TestPods(t *testing.T) {
	now := metav1.Now()
	pod := func(name string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: "uid"},
			Spec: corev1.PodSpec{
				NodeName: "cp1", HostNetwork: true, Containers: []corev1.Container{{Name: "web", Image: "web:1"}},
			},
			Status: corev1.PodStatus{Phase: phase},
		}
	}
	ending := pod("ending", corev1.PodRunning)
	ending.DeletionTimestamp, ending.Finalizers = &now, []string{"kept/by-the-tracker"}
	k, client := kubelet(pod("new", corev1.PodPending), pod("done", corev1.PodSucceeded), ending)
	if err := k.syncPods(t.Context()); err != nil {
		t.Fatal(err)
	}
	phase := func(name string) corev1.PodStatus {
		got, err := client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	status := phase("new")
	if status.Phase != corev1.PodRunning || status.PodIP != "10.0.0.1" || !status.ContainerStatuses[0].Ready {
		t.Errorf("the new pod's status is %+v", status)
	}
	if got := phase("done").Phase; got != corev1.PodSucceeded {
		t.Errorf("the finished pod is %s", got)
	}
	deleted := false
	for _, action := range client.Actions() {
		deleted = deleted || action.GetVerb() == "delete"
	}
	if !deleted {
		t.Error("the end of a pod was not confirmed")
	}
}

func TestTransitionsAreKept(t *testing.T) {
	first, second := time.Unix(100, 0), time.Unix(200, 0)
	current, before := conditions(second), conditions(first)
	before[3].Status = corev1.ConditionUnknown
	keepTransitions(current, before)
	if !current[0].LastTransitionTime.Time.Equal(first) || !current[3].LastTransitionTime.Time.Equal(second) {
		t.Errorf("transitions = %v, %v", current[0].LastTransitionTime, current[3].LastTransitionTime)
	}
}

func TestParseTaint(t *testing.T) {
	for text, want := range map[string]corev1.Taint{
		"a":                  {Key: "a"},
		"a:NoSchedule":       {Key: "a", Effect: corev1.TaintEffectNoSchedule},
		"a=b:NoExecute":      {Key: "a", Value: "b", Effect: corev1.TaintEffectNoExecute},
		"a/b=c:NoSchedule":   {Key: "a/b", Value: "c", Effect: corev1.TaintEffectNoSchedule},
		"a:PreferNoSchedule": {Key: "a", Effect: corev1.TaintEffectPreferNoSchedule},
	} {
		if got, err := ParseTaint(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":NoSchedule", "a=b", "a:Never"} {
		if _, err := ParseTaint(text); err == nil {
			t.Errorf("%q is taken for a taint", text)
		}
	}
}

func TestMachineFacts(t *testing.T) {
	if got := osImage("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"); got != "Debian GNU/Linux 12" {
		t.Errorf("os image = %q", got)
	}
	if got := memory("MemFree: 1 kB\nMemTotal:  2048 kB\n"); got != 2<<20 {
		t.Errorf("memory = %d", got)
	}
}
