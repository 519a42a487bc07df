package kube

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// k0s's leader answers an object that is to leave by removing the member that it names.
func TestRemoveLearner(t *testing.T) {
	for name, c := range map[string]struct {
		there []string // objects from before
		leads bool
		says  string
	}{
		"removed":               {nil, true, ""},
		"k0s does nothing":      {nil, false, "having k0s remove the etcd member a4: it is still there: "},
		"it has its object now": {[]string{"cp4"}, true, "already exists"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, client := withObjects()
			cluster.Poll = time.Millisecond
			members := client.Resource(EtcdMembersResource())
			for _, there := range c.there {
				own := object("etcd.k0sproject.io/v1beta1", "EtcdMember", there, nil)
				if _, err := members.Create(t.Context(), own, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var removed string
			led := make(chan struct{})
			go func() {
				defer close(led)
				for c.leads && removed == "" && ctx.Err() == nil {
					o, err := members.Get(ctx, "cp4", metav1.GetOptions{})
					if err != nil {
						continue
					}
					id, _, _ := unstructured.NestedString(o.Object, "status", "memberID")
					if m := EtcdMemberOf(o); id == "" || !m.Leaving {
						continue
					}
					joined := []any{map[string]any{"type": "Joined", "status": "False"}}
					if err := unstructured.SetNestedSlice(o.Object, joined, "status", "conditions"); err != nil {
						t.Error(err)
					}
					if _, err := members.UpdateStatus(ctx, o, metav1.UpdateOptions{}); err != nil {
						t.Error(err)
					}
					removed = id
				}
			}()
			err := cluster.RemoveLearner(ctx, "cp4", 0xa4, netip.MustParseAddr("10.10.5.2"))
			cancel()
			<-led
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || removed != "a4" {
				t.Errorf("removed %q: %v", removed, err)
			}
			if left, err := cluster.EtcdMembers(t.Context()); err != nil || len(left) > 0 {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
}
