package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// pod is one on cp3, owned by an object of that kind, or by nobody.
func pod(name, owner string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PodSpec{NodeName: "cp3"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if owner != "" {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: owner, Name: "owner", Controller: &yes}}
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func emptyDir(p *corev1.Pod) {
	p.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
}

func labelled(p *corev1.Pod) { p.Labels = map[string]string{"app": "web"} }

// deletedLongAgo is for a pod that its kubelet does not let go.
func deletedLongAgo(p *corev1.Pod) {
	then := metav1.NewTime(time.Now().Add(-time.Hour))
	p.DeletionTimestamp, p.Finalizers = &then, []string{"example.com/stuck"}
}

// cluster has the Node cp3 and pods on it. It evicts by deleting; what it was asked is in the list.
func cluster(pods ...*corev1.Pod) (*fake.Clientset, func() []string) {
	objects := []runtime.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cp3"}},
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "owner"}},
	}
	for _, p := range pods {
		objects = append(objects, p)
	}
	client := fake.NewClientset(objects...)
	client.Resources = []*metav1.APIResourceList{{
		GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods/eviction", Kind: "Eviction", Group: "policy", Version: "v1"}},
	}}
	var mu sync.Mutex
	var did []string
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		did = append(did, text)
	}
	resource := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		name := a.(clienttesting.CreateAction).GetObject().(metav1.Object).GetName()
		note("evict " + name)
		return true, nil, client.Tracker().Delete(resource, "default", name)
	})
	client.PrependReactor("delete", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		note("delete " + a.(clienttesting.DeleteAction).GetName())
		return false, nil, nil
	})
	return client, func() []string {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(did)
		return did
	}
}

func TestDrain(t *testing.T) {
	defaults := Options{GracePeriod: -1, IgnoreDaemonSets: true}
	for name, c := range map[string]struct {
		pods    []*corev1.Pod
		options Options
		did     string
		says    string // the error
	}{
		"pods of a controller are evicted, and those of DaemonSets stay": {
			[]*corev1.Pod{pod("web-1", "ReplicaSet"), pod("web-2", "ReplicaSet"), pod("agent", "DaemonSet")}, defaults, "evict web-1, evict web-2", "",
		},
		"nothing is there": {nil, defaults, "", ""},
		"pods that nobody would make anew": {
			[]*corev1.Pod{pod("web", "ReplicaSet"), pod("lone", "")}, defaults, "", "use --force to override",
		},
		"they go by force": {[]*corev1.Pod{pod("lone", "")}, Options{GracePeriod: -1, Force: true}, "evict lone", ""},
		"data that would be lost": {
			[]*corev1.Pod{pod("cache", "ReplicaSet", emptyDir)}, defaults, "", "use --delete-emptydir-data to override",
		},
		"it may be lost": {
			[]*corev1.Pod{pod("cache", "ReplicaSet", emptyDir)}, Options{GracePeriod: -1, DeleteEmptyDirData: true}, "evict cache", "",
		},
		"DaemonSets must be ignored": {
			[]*corev1.Pod{pod("agent", "DaemonSet")}, Options{GracePeriod: -1}, "", "use --ignore-daemonsets to ignore",
		},
		"only those with some labels": {
			[]*corev1.Pod{pod("web", "ReplicaSet", labelled), pod("lone", "")}, Options{GracePeriod: -1, PodSelector: "app=web"}, "evict web", "",
		},
		"one whose time was over long ago is not waited for": {
			[]*corev1.Pod{pod("stuck", "ReplicaSet", deletedLongAgo)}, Options{GracePeriod: -1, SkipWait: 60}, "", "",
		},
		"without eviction": {
			[]*corev1.Pod{pod("web", "ReplicaSet")}, Options{GracePeriod: -1, DisableEviction: true}, "delete web", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, did := cluster(c.pods...)
			d := &Drainer{Client: client, Name: "cp3", Options: c.options}
			_, planErr := d.Pods(t.Context())
			err := d.Drain(t.Context(), 10*time.Second)
			if got := strings.Join(did(), ", "); got != c.did {
				t.Errorf("did %q, want %q", got, c.did)
			}
			for _, err := range []error{planErr, err} {
				if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) ||
					!strings.HasPrefix(err.Error(), "draining cp3: ")) {
					t.Errorf("got %v, want %s", err, c.says)
				}
			}
		})
	}
}

func TestABudgetThatForbidsAnEvictionEndsADrainInTime(t *testing.T) {
	client, _ := cluster(pod("web", "ReplicaSet"))
	client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewTooManyRequests("the budget forbids it", 1)
	})
	var mu sync.Mutex
	var said []string
	d := &Drainer{Client: client, Name: "cp3", Options: Options{GracePeriod: -1}, Observe: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, text)
	}}
	if err := d.Drain(t.Context(), 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "draining cp3: ") {
		t.Errorf("got %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(strings.Join(said, "\n"), "the budget forbids it") {
		t.Errorf("said %q", said)
	}
}

func TestCordon(t *testing.T) {
	client, _ := cluster()
	d := &Drainer{Client: client, Name: "cp3"}
	cordoned := func() bool {
		n, err := client.CoreV1().Nodes().Get(context.Background(), "cp3", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return n.Spec.Unschedulable
	}
	for _, want := range []bool{true, false} {
		if changed, err := d.Cordon(t.Context()); err != nil || changed != want || !cordoned() {
			t.Errorf("changed %v, want %v; %v", changed, want, err)
		}
	}
	if err := d.Uncordon(t.Context()); err != nil || cordoned() {
		t.Errorf("got %v", err)
	}
	d.Name = "gone"
	if changed, err := d.Cordon(t.Context()); err != nil || changed {
		t.Errorf("a Node that has gone: %v, %v", changed, err)
	}
}
