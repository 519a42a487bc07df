package kube

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestControlNodes(t *testing.T) {
	address := func(kind, text string) map[string]any { return map[string]any{"type": kind, "address": text} }
	cluster, client := withObjects(
		object("autopilot.k0sproject.io/v1beta2", "ControlNode", "cp1", map[string]any{"k0sVersion": "v1.36.3+k0s.2", "addresses": []any{
			"nonsense", address("InternalIP", "10.10.0.2"), address("Hostname", "cp1"), address("InternalIP", "::ffff:10.10.0.3"), address("InternalIP", "x"),
		}}),
		object("autopilot.k0sproject.io/v1beta2", "ControlNode", "cp2", nil),
	)
	got, err := cluster.ControlNodes(t.Context())
	want := []ControlNode{
		{Name: "cp1", Addresses: []netip.Addr{netip.MustParseAddr("10.10.0.2"), netip.MustParseAddr("10.10.0.3")}, Version: "v1.36.3+k0s.2"},
		{Name: "cp2"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	var answer error = apierrors.NewInternalError(errors.New("broken"))
	client.PrependReactor("list", "controlnodes", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, answer })
	if _, err := cluster.ControlNodes(t.Context()); !errors.Is(err, answer) {
		t.Errorf("got %v", err)
	}
	answer = &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: 404}}
	if got, err := cluster.ControlNodes(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("without that kind: got %v, %v", got, err)
	}
}

func TestDeleting(t *testing.T) {
	cluster, client := withObjects(
		object("autopilot.k0sproject.io/v1beta2", "ControlNode", "cp1", nil), object("etcd.k0sproject.io/v1beta1", "EtcdMember", "cp1", nil),
	)
	objects := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cp1"}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-node-lease", Name: "k0s-ctrl-cp1"}},
	)
	cluster.Client = objects
	for kind, remove := range map[string]func(context.Context, string) error{
		"nodes": cluster.DeleteNode, "controlnodes": cluster.DeleteControlNode, "etcdmembers": cluster.DeleteEtcdMember,
		"leases": cluster.DeleteControllerLease,
	} {
		for range 2 {
			if err := remove(t.Context(), "cp1"); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		denied := errors.New("denied")
		deny := func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, denied }
		objects.PrependReactor("delete", kind, deny)
		client.PrependReactor("delete", kind, deny)
		if err := remove(t.Context(), "cp1"); !errors.Is(err, denied) {
			t.Errorf("%s: got %v", kind, err)
		}
	}
	left := 0
	for _, list := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) { l, err := cluster.Nodes(ctx); return len(l), err },
		func(ctx context.Context) (int, error) { l, err := cluster.ControlNodes(ctx); return len(l), err },
		func(ctx context.Context) (int, error) { l, err := cluster.EtcdMembers(ctx); return len(l), err },
	} {
		n, err := list(t.Context())
		if err != nil {
			t.Error(err)
		}
		left += n
	}
	if left != 0 {
		t.Errorf("%d objects are left", left)
	}
}
