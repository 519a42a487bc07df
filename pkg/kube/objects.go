package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// listObjects lists objects of a kind of k0s's own; a cluster that has no such kind has none.
func listObjects[T any](ctx context.Context, resource dynamic.ResourceInterface, kind string, read func(*unstructured.Unstructured) T) ([]T, error) {
	list, err := resource.List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s objects: %w", kind, err)
	}
	objects := make([]T, 0, len(list.Items))
	for i := range list.Items {
		objects = append(objects, read(&list.Items[i]))
	}
	return objects, nil
}
