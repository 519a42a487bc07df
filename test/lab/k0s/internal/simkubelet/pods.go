package simkubelet

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// syncPods reports every pod that is bound to this Node as running, and
// confirms the end of every pod that is to end. No container runs: this is
// what lets a Deployment become available and a drain finish.
func (k *Kubelet) syncPods(ctx context.Context) error {
	pods, err := k.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + k.Spec.Name})
	if err != nil {
		return fmt.Errorf("listing this node's pods: %w", err)
	}
	for i := range pods.Items {
		if err := k.syncPod(ctx, &pods.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kubelet) syncPod(ctx context.Context, pod *corev1.Pod) error {
	client := k.client.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		err := client.Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("ending pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		return nil
	}
	if pod.Status.Phase != corev1.PodPending {
		return nil
	}
	pod.Status = runningStatus(pod, k.Spec.Address, metav1.Now())
	if _, err := client.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil &&
		!apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("reporting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// runningStatus is a pod's status once all its containers run.
func runningStatus(pod *corev1.Pod, address string, now metav1.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.Phase = corev1.PodRunning
	status.StartTime = &now
	status.HostIP, status.HostIPs = address, []corev1.HostIP{{IP: address}}
	if pod.Spec.HostNetwork {
		status.PodIP, status.PodIPs = address, []corev1.PodIP{{IP: address}}
	}
	status.Conditions = nil
	for _, kind := range []corev1.PodConditionType{
		corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady,
	} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now,
		})
	}
	started := true
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: "simulated://" + container.Image,
			ContainerID: "simulated://" + string(pod.UID) + "/" + container.Name,
			Ready:       true, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	return status
}
