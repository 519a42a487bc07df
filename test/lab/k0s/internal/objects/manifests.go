// Package objects holds what k0s puts into a cluster: custom resources, roles,
// and the objects that stand for a controller.
package objects

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

//go:embed crds.yaml
var crds []byte

//go:embed rbac.yaml
var rbac []byte

// resourceOf knows the kinds in the manifests.
func resourceOf(kind string) schema.GroupVersionResource {
	return map[string]schema.GroupVersionResource{
		"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
		"ClusterRoleBinding":       {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
		"Namespace":                {Version: "v1", Resource: "namespaces"},
	}[kind]
}

// Apply creates what the manifests hold and the cluster does not, and waits
// until the custom resources are served.
func Apply(ctx context.Context, client dynamic.Interface) error {
	for _, document := range append(split(crds), split(rbac)...) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return fmt.Errorf("parsing a manifest: %w", err)
		}
		resource := client.Resource(resourceOf(object.GetKind()))
		if _, err := resource.Create(ctx, object, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		if err := waitEstablished(ctx, resource, object.GetName()); err != nil {
			return err
		}
	}
	return nil
}

func split(manifests []byte) [][]byte { return bytes.Split(manifests, []byte("\n---\n")) }

func waitEstablished(ctx context.Context, resource dynamic.ResourceInterface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		object, err := resource.Get(ctx, name, metav1.GetOptions{})
		if err == nil && established(object) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the custom resource %s: %w", name, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		condition, ok := c.(map[string]any)
		if ok && condition["type"] == "Established" && condition["status"] == "True" {
			return true
		}
	}
	return false
}
