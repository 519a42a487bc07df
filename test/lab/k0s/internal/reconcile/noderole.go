package reconcile

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// LabelNodeRole is set by the kubelet of a controller+worker when it
	// registers its Node.
	LabelNodeRole = "node.k0sproject.io/role"
	rolePrefix    = "node-role.kubernetes.io/"
)

// NodeRoles gives every Node that has k0s's role label, and no
// node-role.kubernetes.io label yet, the latter.
func NodeRoles(ctx context.Context, client kubernetes.Interface) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		label := missingRole(&nodes.Items[i])
		if label == "" {
			continue
		}
		patch := fmt.Sprintf(`{"metadata":{"labels":{%q:"true"}}}`, label)
		name := nodes.Items[i].Name
		if _, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("labelling node %s: %w", name, err)
		}
	}
	return nil
}

func missingRole(node *corev1.Node) string {
	for label := range node.Labels {
		if strings.HasPrefix(label, rolePrefix) {
			return ""
		}
	}
	if role := node.Labels[LabelNodeRole]; role != "" {
		return rolePrefix + role
	}
	return ""
}
