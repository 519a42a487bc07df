package syncer

import (
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
)

func TestStatusIsOfWhoLeadsAndOfLoadBalancersThatAre(t *testing.T) {
	lb := LoadBalancer{User: "root", Address: "10.10.4.10:22"}
	api := fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kubectl-ha", Name: StatusConfigMap}, Data: map[string]string{"10.10.4.99_22": "{}"},
	}).CoreV1().ConfigMaps("kubectl-ha")
	replica := func() *teller {
		return newTeller(api, record.NewFakeRecorder(100), Options{LoadBalancers: []LoadBalancer{lb}, Namespace: "kubectl-ha", Log: slog.New(slog.DiscardHandler)})
	}
	wants := func(want string) {
		t.Helper()
		written, err := api.Get(t.Context(), StatusConfigMap, metav1.GetOptions{})
		if err != nil || len(written.Data) != 1 || !strings.Contains(written.Data[lb.key()], `"result": "`+want+`"`) {
			t.Errorf("got %v, %v; want %s of one load balancer", written.Data, err, want)
		}
	}
	a, b := replica(), replica()
	a.tell(t.Context(), lb, nil, outcome{result: success})
	wants("success")
	a.forget()
	b.tell(t.Context(), lb, nil, outcome{result: failed})
	wants("error")
	b.forget()
	a.tell(t.Context(), lb, nil, outcome{result: success})
	wants("success")
}
