package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func plansResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "plans"}
}

// autopilotPlan is the one Plan that k0s carries out; it ignores those of other names (k0s v1.36.3,
// pkg/autopilot/controller/plans).
const autopilotPlan = "autopilot"

// UpgradeInProgress returns the state of k0s's autopilot Plan while it is being carried out, else nothing.
// Controllers must not come or go meanwhile.
func (c *Cluster) UpgradeInProgress(ctx context.Context) (state string, err error) {
	plan, err := c.Dynamic.Resource(plansResource()).Get(ctx, autopilotPlan, metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // the Plan, or the very kind
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the autopilot Plan: %w", err)
	}
	// A field of another type reads as absent.
	state, _, _ = unstructured.NestedString(plan.Object, "status", "state")
	if planEnded(state) {
		return "", nil
	}
	if state == "" {
		state = "not started yet"
	}
	return state, nil
}

// planEnded tells the states that k0s does nothing about any more (k0s v1.36.3, pkg/autopilot/controller/plans/core).
// The others are none (the Plan is new), SchedulableWait (hosts are at work) and Schedulable (the next one is chosen);
// one that this program does not know counts as going on.
func planEnded(state string) bool {
	switch state {
	case "Completed", "Warning", "IncompleteTargets", "Restricted", "ApplyFailed":
		return true
	}
	return false
}
