package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// UpgradeInProgress returns the state of k0s's autopilot Plan while one is being carried out, else nothing.
// Controllers must not come or go meanwhile.
func (c *Cluster) UpgradeInProgress(ctx context.Context) (state string, err error) {
	plans := schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "plans"}
	list, err := c.Dynamic.Resource(plans).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("listing autopilot plans: %w", err)
	}
	for i := range list.Items {
		state, _, _ := unstructured.NestedString(list.Items[i].Object, "status", "state")
		switch state {
		case "", "Schedulable", "SchedulableWait":
			return state + " (Plan " + list.Items[i].GetName() + ")", nil
		}
	}
	return "", nil
}
