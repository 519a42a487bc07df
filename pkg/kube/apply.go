package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// fieldManager is who has set what Apply sets.
const fieldManager = "kubectl-ha"

// Apply makes objects as they are given, in their order, by server-side apply: fields that are not given are left to
// others.
func (c *Cluster) Apply(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, object := range objects {
		if _, err := c.apply(ctx, object, metav1.ApplyOptions{}); err != nil {
			return fmt.Errorf("applying the %s: %w", nameOf(object), err)
		}
	}
	return nil
}

// Stale lists those of the objects that Apply would make or change.
func (c *Cluster) Stale(ctx context.Context, objects ...*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var stale []*unstructured.Unstructured
	for _, object := range objects {
		changes, err := c.changes(ctx, object)
		if err != nil {
			return nil, fmt.Errorf("comparing the %s with what it is to be: %w", nameOf(object), err)
		}
		if changes {
			stale = append(stale, object)
		}
	}
	return stale, nil
}

// changes asks the API server what an object would be like if it was applied.
func (c *Cluster) changes(ctx context.Context, object *unstructured.Unstructured) (bool, error) {
	before, err := c.Dynamic.Resource(resourceOf(object)).Namespace(object.GetNamespace()).Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	after, err := c.apply(ctx, object, metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return false, err
	}
	for _, o := range []*unstructured.Unstructured{before, after} {
		o.SetManagedFields(nil)
		o.SetResourceVersion("")
	}
	return !equality.Semantic.DeepEqual(before.Object, after.Object), nil
}

func (c *Cluster) apply(ctx context.Context, object *unstructured.Unstructured, options metav1.ApplyOptions) (*unstructured.Unstructured, error) {
	options.FieldManager, options.Force = fieldManager, true
	return c.Dynamic.Resource(resourceOf(object)).Namespace(object.GetNamespace()).Apply(ctx, object.GetName(), object, options)
}

// resourceOf knows the resources whose names follow from their kinds, as those of Kubernetes itself do.
func resourceOf(object *unstructured.Unstructured) schema.GroupVersionResource {
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	return resource
}

// nameOf names an object for people.
func nameOf(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + strings.TrimPrefix(object.GetNamespace()+"/"+object.GetName(), "/")
}

// ServesAdmissionPolicies tells whether the API has ValidatingAdmissionPolicies: Kubernetes 1.30 and later.
func (c *Cluster) ServesAdmissionPolicies() (bool, error) {
	list, err := c.Client.Discovery().ServerResourcesForGroupVersion(admissionv1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking which resources the API has: %w", err)
	}
	isPolicy := func(r metav1.APIResource) bool { return r.Name == "validatingadmissionpolicies" }
	return slices.ContainsFunc(list.APIResources, isPolicy), nil
}

// SecretData reads what a Secret holds; nothing when there is none.
func (c *Cluster) SecretData(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	secret, err := c.Client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Secret %s/%s: %w", namespace, name, err)
	}
	return secret.Data, nil
}

// RolledOut is nil when all pods of a Deployment are of its present template and available; else it says what is in
// their way.
func (c *Cluster) RolledOut(ctx context.Context, namespace, name string) error {
	d, err := c.Client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the Deployment %s/%s: %w", namespace, name, err)
	}
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	if s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want {
		return nil
	}
	reasons := []error{fmt.Errorf("%d of %d pods are of the present version, %d available", s.UpdatedReplicas, want, s.AvailableReplicas)}
	pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set(d.Spec.Selector.MatchLabels).String(),
	})
	if err != nil {
		return errors.Join(append(reasons, fmt.Errorf("listing pods: %w", err))...)
	}
	for i := range pods.Items {
		if reason := troubleOf(&pods.Items[i]); reason != "" {
			reasons = append(reasons, fmt.Errorf("the pod %s: %s", pods.Items[i].Name, reason))
		}
	}
	return errors.Join(reasons...)
}

// troubleOf says why a pod does not run.
func troubleOf(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return condition.Message
		}
	}
	for i := range pod.Status.ContainerStatuses {
		state := pod.Status.ContainerStatuses[i].State
		if state.Waiting != nil && state.Waiting.Reason != "ContainerCreating" {
			return strings.TrimSuffix(state.Waiting.Reason+": "+state.Waiting.Message, ": ")
		}
		if state.Terminated != nil {
			return fmt.Sprintf("it ended with exit code %d %s", state.Terminated.ExitCode, state.Terminated.Message)
		}
	}
	return ""
}
