package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NoteName is the ConfigMap, in kube-system, in which the cluster itself keeps where its controllers and its load balancer
// are. NoteKey is the one entry of it, a cluster file.
const (
	NoteName = "kubectl-ha"
	NoteKey  = "cluster.yaml"
)

// Note reads what the cluster keeps; nothing when it keeps nothing.
func (c *Cluster) Note(ctx context.Context) (string, error) {
	object, err := c.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, NoteName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the ConfigMap %s/%s: %w", metav1.NamespaceSystem, NoteName, err)
	}
	return object.Data[NoteKey], nil
}

// WriteNote makes the cluster keep the text. Whoever may read ConfigMaps in kube-system can read it.
func (c *Cluster) WriteNote(ctx context.Context, text string) error {
	maps := c.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	object, err := maps.Get(ctx, NoteName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: NoteName, Labels: map[string]string{"app.kubernetes.io/managed-by": "kubectl-ha"}},
			Data:       map[string]string{NoteKey: text},
		}, metav1.CreateOptions{})
	case err == nil:
		object = object.DeepCopy()
		if object.Data == nil {
			object.Data = map[string]string{}
		}
		object.Data[NoteKey] = text
		_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing the ConfigMap %s/%s: %w", metav1.NamespaceSystem, NoteName, err)
	}
	return nil
}
