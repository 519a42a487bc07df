package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// api is an API in memory.
type api struct {
	*fake.Clientset
	objects *dynamicfake.FakeDynamicClient
}

func newAPI(objects ...runtime.Object) *api {
	kinds := map[schema.GroupVersionResource]string{kube.EtcdMembersResource(): "EtcdMemberList", kube.ControlNodesResource(): "ControlNodeList"}
	status := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kubectl-ha", Name: StatusConfigMap}}
	return &api{
		Clientset: fake.NewClientset(append(objects, status)...),
		objects:   dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds),
	}
}

func (a *api) clients() *clients {
	return &clients{
		core: a.CoreV1(), leases: a.CoordinationV1(), watched: a.CoordinationV1(), objects: a.objects, signing: a.CertificatesV1(),
	}
}

// start runs a syncer on the API, in front of one load balancer, until the test or stop ends it.
func (a *api) start(t *testing.T, identity string, f *fakeHAProxy) (url string, stop func()) {
	t.Helper()
	o := Options{
		LoadBalancers: []LoadBalancer{{"root", "lb1:22"}}, Namespace: "kubectl-ha", Identity: identity, Family: AnyFamily,
		Listen: freeAddress(t), Resync: 100 * time.Millisecond, Debounce: time.Millisecond,
		APIPort: 6443, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, a.clients(), newAPIServers(6443, "", nil), f.open) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return "http://" + o.Listen, stop
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// await fails the test when the condition does not come true.
func await(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func awaitServers(t *testing.T, f *fakeHAProxy, want string) {
	t.Helper()
	await(t, "HAProxy has "+want, func() error {
		if got := up(f); got != want {
			return fmt.Errorf("it has %s", got)
		}
		return nil
	})
}

func get(url string) (int, string) {
	response, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

func plainController(kind, api, name, address string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": api, "kind": kind, "metadata": map[string]any{"name": name}, "status": map[string]any{"peerAddress": address},
	}}
}

func TestSyncerFollowsTheObjectsOfTheAPI(t *testing.T) {
	a := newAPI(nodeObject("cp1", "10.0.0.1", nil), nodeObject("cp2", "10.0.0.2", nil))
	worker := nodeObject("worker", "10.0.0.9", nil)
	worker.Labels = nil
	if _, err := a.CoreV1().Nodes().Create(t.Context(), worker, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Both are in already; the gate, which asks real servers, is not what this is about.
	f := &fakeHAProxy{states: map[int]string{1: "up", 2: "up", 7: "up"}, pid: 1}
	url, stop := a.start(t, "one", f)
	awaitServers(t, f, "cp1 up, cp2 up")
	if code, body := get(url + "/readyz"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}

	// One that leaves, by an annotation.
	drained := nodeObject("cp2", "10.0.0.2", map[string]string{DrainAnnotation: "true"})
	if _, err := a.CoreV1().Nodes().Update(t.Context(), drained, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitServers(t, f, "cp1 up, cp2 maint")
	status := func() (s Status, err error) {
		configMap, err := a.CoreV1().ConfigMaps("kubectl-ha").Get(t.Context(), StatusConfigMap, metav1.GetOptions{})
		if err == nil {
			err = json.Unmarshal([]byte(configMap.Data["lb1_22"]), &s)
		}
		return s, err
	}
	wantServers := []ServerStatus{{Name: "cp1", Address: "10.0.0.1", State: "up"}, {Name: "cp2", Address: "10.0.0.2", State: "maint"}}
	await(t, "the status says so", func() error {
		s, err := status()
		if err != nil || s.Result != "success" || !slices.Equal(s.Servers, wantServers) {
			return fmt.Errorf("%+v, %w", s, err)
		}
		return nil
	})
	await(t, "there is an Event on the Node", func() error {
		events, err := a.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
		for _, e := range events.Items {
			if e.InvolvedObject.Name == "cp2" && e.Reason == "LoadBalancerDrained" {
				return nil
			}
		}
		return fmt.Errorf("%d others, %w", len(events.Items), err)
	})

	// A plain controller, which only k0s's own objects tell of. It takes the place that HAProxy has for it.
	f.change(func() { f.states[3] = "up" })
	member3 := plainController("EtcdMember", "etcd.k0sproject.io/v1beta1", "cp3", "10.0.0.3")
	if _, err := a.objects.Resource(kube.EtcdMembersResource()).Create(t.Context(), member3, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Its creation may have come after a look that took it out; then it waits for its API server, which there is none of.
	await(t, "it is known", func() error {
		if _, body := get(url + "/metrics"); !strings.Contains(body, `ha_syncer_controllers{state="serving"} 2`) {
			return errors.New("it is not")
		}
		return nil
	})
	_, body := get(url + "/metrics")
	for _, want := range []string{
		`ha_syncer_syncs_total{load_balancer="lb1:22",result="success"}`, `ha_syncer_sync_duration_seconds_count{load_balancer="lb1:22"}`,
		`ha_syncer_last_success_timestamp_seconds{load_balancer="lb1:22"}`, "ha_syncer_leader 1", `ha_syncer_controllers{state="leaving"} 1`,
		`ha_syncer_backend_servers{backend="kubeAPI_backend",load_balancer="lb1:22",state="up"}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no metric %s", want)
		}
	}

	// All objects vanish: nobody is taken away.
	before := up(f)
	for _, name := range []string{"cp1", "cp2"} {
		if err := a.CoreV1().Nodes().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.objects.Resource(kube.EtcdMembersResource()).Delete(t.Context(), "cp3", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the status says that it is refused", func() error {
		s, err := status()
		if err != nil || s.Result != "refused" || !strings.Contains(s.Message, "knows no controller") {
			return fmt.Errorf("%+v, %w", s, err)
		}
		return nil
	})
	if got := up(f); !strings.Contains(got, "cp1 up") {
		t.Errorf("HAProxy had %s and has %s", before, got)
	}
	stop()
	lease, err := a.CoordinationV1().Leases("kubectl-ha").Get(t.Context(), LeaderLease, metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" {
		t.Errorf("the Lease was not given back: %+v, %v", lease, err)
	}
	if left := f.count(&f.opened) - f.count(&f.closed); left != 0 {
		t.Errorf("%d sessions are left open", left)
	}
}

func TestAClusterWithoutKindsOfK0sIsFollowedAllTheSame(t *testing.T) {
	a := newAPI(nodeObject("cp1", "10.0.0.1", nil))
	absent := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound}}
	a.objects.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, absent })
	a.objects.PrependWatchReactor("*", clienttesting.DefaultWatchReactor(nil, absent))
	f := &fakeHAProxy{states: map[int]string{1: "up", 2: "down"}}
	a.start(t, "one", f)
	awaitServers(t, f, "cp1 up")
}

func TestTheNextReplicaLeadsAtOnceWhenOneEnds(t *testing.T) {
	a := newAPI(nodeObject("cp1", "10.0.0.1", nil))
	first, second := &fakeHAProxy{states: map[int]string{1: "up", 2: "down"}}, &fakeHAProxy{states: map[int]string{1: "up", 2: "down"}}
	_, stop := a.start(t, "one", first)
	awaitServers(t, first, "cp1 up")
	url, _ := a.start(t, "two", second)
	await(t, "the other one is ready", func() error {
		if code, body := get(url + "/readyz"); code != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
	if got := up(second); got != "cp1 up, cp2 down" {
		t.Errorf("it changed HAProxy without leading: %s", got)
	}
	start := time.Now()
	stop()
	awaitServers(t, second, "cp1 up")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the next one led after %v: the Lease was not given back", took)
	}
}

func TestAPluginAtWorkIsSeenByItsLease(t *testing.T) {
	holder, now := "anna@laptop", metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: kube.OperationLease},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &now},
	}
	a := newAPI(nodeObject("cp1", "10.0.0.1", nil), lease)
	f := &fakeHAProxy{states: map[int]string{1: "up", 2: "up"}}
	url, _ := a.start(t, "one", f)
	await(t, "it is postponed", func() error {
		if _, body := get(url + "/metrics"); !strings.Contains(body, `result="postponed"`) {
			return errors.New("it is not")
		}
		return nil
	})
	if got := up(f); got != "cp1 up, cp2 up" {
		t.Errorf("HAProxy was changed meanwhile: %s", got)
	}
	if err := a.CoordinationV1().Leases(metav1.NamespaceSystem).Delete(t.Context(), kube.OperationLease, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitServers(t, f, "cp1 up")
}
