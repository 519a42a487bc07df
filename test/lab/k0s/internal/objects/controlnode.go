package objects

import (
	"context"
	"fmt"
	"runtime"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// ControlNode describes the object that stands for a controller.
type ControlNode struct {
	Name, NodeName, Address string
	// Worker says that the controller runs workloads too.
	Worker bool
}

// EnsureControlNode creates the object of a controller, or brings its status
// up to date.
func EnsureControlNode(ctx context.Context, client dynamic.Interface, node ControlNode) error {
	resource := client.Resource(schema.GroupVersionResource{
		Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes",
	})
	mode := "controller"
	if node.Worker {
		mode = "controller+worker"
	}
	object, err := resource.Get(ctx, node.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		fresh := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "autopilot.k0sproject.io/v1beta2",
			"kind":       "ControlNode",
		}}
		fresh.SetName(node.Name)
		fresh.SetLabels(map[string]string{
			"kubernetes.io/hostname": node.NodeName, "kubernetes.io/os": runtime.GOOS, "kubernetes.io/arch": runtime.GOARCH,
		})
		fresh.SetAnnotations(map[string]string{"autopilot.k0sproject.io/mode": mode})
		object, err = resource.Create(ctx, fresh, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("creating ControlNode %s: %w", node.Name, err)
	}
	object.Object["status"] = map[string]any{
		"k0sVersion": vars.Version,
		"addresses": []any{
			map[string]any{"type": "InternalIP", "address": node.Address},
			map[string]any{"type": "Hostname", "address": node.NodeName},
		},
	}
	if _, err := resource.UpdateStatus(ctx, object, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("updating ControlNode %s: %w", node.Name, err)
	}
	return nil
}
