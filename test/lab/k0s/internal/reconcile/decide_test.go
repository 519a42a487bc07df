package reconcile

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/objects"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	leaseOf := func(holder string, renewed time.Duration) *coordinationv1.Lease {
		seconds, at := int32(60), metav1.NewMicroTime(now.Add(-renewed))
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &at,
		}}
	}
	member := func(leave bool, labels map[string]string) *objects.EtcdMember {
		m := &objects.EtcdMember{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: objects.EtcdMemberSpec{Leave: leave}}
		m.Status.SetJoined(true, "Member joined", now)
		return m
	}
	running := map[string]string{objects.LabelShutdownOnLeave: "run1"}
	asked := map[string]string{objects.LabelShutdownOnLeave: "run1", objects.LabelShutdown: "run1"}
	gone := member(true, running)
	gone.Status.SetJoined(false, "No such member ID", now)
	for name, test := range map[string]struct {
		situation
		want    action
		message string
	}{
		"a member":        {situation{member: member(false, running), exists: true}, nothing, ""},
		"an unknown ID":   {situation{member: member(false, running)}, markGone, "No such member ID"},
		"known to be off": {situation{member: gone}, nothing, ""},
		"the last controller": {
			situation{member: member(true, running), exists: true, self: true, controllers: 1}, wait, "only active controller",
		},
		"the leader itself": {
			situation{member: member(true, running), exists: true, self: true, controllers: 2}, yield, "another controller",
		},
		"running": {
			situation{member: member(true, running), exists: true, lease: leaseOf("run1", 0)}, requestShutdown, "",
		},
		"asked already": {
			situation{member: member(true, asked), exists: true, lease: leaseOf("run1", 0)}, wait, "still active",
		},
		"started again meanwhile": {
			situation{member: member(true, asked), exists: true, lease: leaseOf("run2", 0)}, wait, "Unexpected lease holder",
		},
		"shut down": {
			situation{member: member(true, asked), exists: true, lease: leaseOf("run1", 2*time.Minute)}, wait, "waiting for it to leave",
		},
		"dead for long": {
			situation{member: member(true, asked), exists: true, lease: leaseOf("run1", 6*time.Minute)}, remove, "",
		},
		"no lease":          {situation{member: member(true, running), exists: true}, wait, "No k0s controller lease found"},
		"an older k0s's":    {situation{member: member(true, nil), exists: true}, remove, ""},
		"joined by another": {situation{member: member(false, nil), exists: true, self: true}, nothing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.now = now
			got := decide(test.situation)
			if got.action != test.want || !strings.Contains(got.message, test.message) {
				t.Errorf("got %d %q, want %d %q", got.action, got.message, test.want, test.message)
			}
		})
	}
}
