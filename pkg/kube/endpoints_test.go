package kube

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const (
	controllerAddress = "10.10.0.2"
	balancerAddress   = "10.10.4.10"
)

func endpoints(skipMirror bool, addresses ...string) *corev1.Endpoints {
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}}
	if skipMirror {
		e.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"}
	}
	for _, a := range addresses {
		e.Subsets = append(e.Subsets, corev1.EndpointSubset{Addresses: []corev1.EndpointAddress{{IP: a}}})
	}
	return e
}

func slice(name string, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"},
	}}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

func TestNeedsRepair(t *testing.T) {
	other := slice("kubernetes-of-another-service", "10.9.9.9")
	other.Labels[discoveryv1.LabelServiceName] = "other"
	for name, c := range map[string]struct {
		objects []runtime.Object
		want    bool
	}{
		"started with externalAddress": {[]runtime.Object{endpoints(false, balancerAddress), slice("kubernetes-x", balancerAddress)}, false},
		"nothing there yet":            {nil, false},
		"started without it":           {[]runtime.Object{endpoints(true, controllerAddress), slice("kubernetes", controllerAddress)}, true},
		"given it later":               {[]runtime.Object{endpoints(true, balancerAddress), slice("kubernetes")}, true},
		"given it later, slice gone":   {[]runtime.Object{endpoints(true, balancerAddress)}, true},
		"repair cut off before the stale slice was deleted": {
			[]runtime.Object{endpoints(false, balancerAddress), slice("kubernetes", controllerAddress), slice("kubernetes-x", balancerAddress)},
			true,
		},
		"slices of another Service": {[]runtime.Object{endpoints(false, balancerAddress), slice("kubernetes-x", balancerAddress), other}, false},
		"IPv6":                      {[]runtime.Object{endpoints(false, "fd00::10"), slice("kubernetes-x", "fd00::10")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &Cluster{Client: fake.NewClientset(c.objects...)}
			s, err := cluster.APIService(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := s.NeedsRepair(); got != c.want {
				t.Errorf("got %v for %+v", got, s)
			}
		})
	}
}

// apiServer is a fake API server in which k0s writes Endpoints after some looks at them, and in which Endpoints
// without the label are mirrored.
func apiServer(t *testing.T, looks int, address string, objects ...runtime.Object) (*Cluster, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(objects...)
	resource := corev1.SchemeGroupVersion.WithResource("endpoints")
	client.PrependReactor("get", "endpoints", func(clienttesting.Action) (bool, runtime.Object, error) {
		if looks--; looks == 0 {
			if err := client.Tracker().Update(resource, endpoints(true, address), "default"); err != nil {
				t.Error(err)
			}
		}
		return false, nil, nil
	})
	client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		object, err := client.Tracker().Get(resource, "default", "kubernetes")
		if err != nil {
			return false, nil, nil
		}
		if e := object.(*corev1.Endpoints); e.Labels[discoveryv1.LabelSkipMirror] == "" {
			mirror := slice("kubernetes-x")
			for _, a := range addressesOf(e) {
				mirror.Endpoints = append(mirror.Endpoints, discoveryv1.Endpoint{Addresses: []string{a.String()}})
			}
			if err := client.Tracker().Add(mirror); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Error(err)
			}
		}
		return false, nil, nil
	})
	return &Cluster{Client: client, Poll: time.Millisecond}, client
}

func isBalancer(a netip.Addr) bool { return a == netip.MustParseAddr(balancerAddress) }

func TestRepairLeadsKubernetesDefaultToTheLoadBalancer(t *testing.T) {
	cluster, client := apiServer(t, 3, balancerAddress, endpoints(true, controllerAddress), slice("kubernetes", controllerAddress))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := cluster.RepairAPIService(ctx, isBalancer); err != nil {
		t.Fatal(err)
	}
	s, err := cluster.APIService(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.NeedsRepair() || !slices.Equal(s.mirrored, []netip.Addr{netip.MustParseAddr(balancerAddress)}) {
		t.Errorf("afterwards: %+v", s)
	}
	// The stale slice goes last: until then it is the only one.
	var changes []string
	for _, a := range client.Actions() {
		if a.GetVerb() == "patch" || a.GetVerb() == "delete" {
			changes = append(changes, a.GetVerb()+" "+a.GetResource().Resource)
		}
	}
	if want := []string{"patch endpoints", "delete endpointslices"}; !slices.Equal(changes, want) {
		t.Errorf("changes: %s", changes)
	}

	if err := cluster.RepairAPIService(ctx, isBalancer); err != nil {
		t.Errorf("done again: %v", err)
	}
}

func TestRepairIsTakenUpWhereItWasCutOff(t *testing.T) {
	cluster, _ := apiServer(t, 0, balancerAddress, endpoints(false, balancerAddress), slice("kubernetes", controllerAddress))
	if err := cluster.RepairAPIService(t.Context(), isBalancer); err != nil {
		t.Fatal(err)
	}
	if s, err := cluster.APIService(t.Context()); err != nil || s.NeedsRepair() {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestRepairSaysWhatItWaitsFor(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()

	cluster, client := apiServer(t, 0, "", endpoints(true, controllerAddress), slice("kubernetes", controllerAddress))
	err := cluster.RepairAPIService(ctx, isBalancer)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), controllerAddress) ||
		!strings.Contains(err.Error(), "k0s has not yet written") {
		t.Errorf("got %v", err)
	}
	for _, a := range client.Actions() {
		if a.GetVerb() != "get" && a.GetVerb() != "list" {
			t.Errorf("something was changed: %s", a.GetVerb())
		}
	}

	// Without the controller that mirrors, the slice from before stays.
	client = fake.NewClientset(endpoints(true, balancerAddress), slice("kubernetes"))
	cluster = &Cluster{Client: client, Poll: time.Millisecond}
	if err := cluster.RepairAPIService(ctx, isBalancer); err == nil || !strings.Contains(err.Error(), "not mirrored") {
		t.Errorf("got %v", err)
	}
	if s, err := cluster.APIService(t.Context()); err != nil || !s.stale {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestAPIServiceErrorsNameWhatWasRead(t *testing.T) {
	broken := errors.New("broken")
	for resource, want := range map[string]string{
		"endpoints":      "reading Endpoints default/kubernetes: broken",
		"endpointslices": "listing EndpointSlices of default/kubernetes: broken",
	} {
		client := fake.NewClientset()
		client.PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, broken })
		if _, err := (&Cluster{Client: client}).APIService(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
	}
}
