// Package node takes the pods off a Node before it goes, as `kubectl drain` does.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/drain"
)

// Options are kubectl drain's own.
type Options struct {
	GracePeriod        int  // seconds; negative leaves it to each pod
	Force              bool // pods that no controller would make anew, too
	IgnoreDaemonSets   bool
	DeleteEmptyDirData bool
	DisableEviction    bool // delete, which disregards PodDisruptionBudgets
	PodSelector        string
	SkipWait           int // seconds; above 0, pods that were to go longer ago than this are not waited for
}

// Drainer takes the pods off one Node.
type Drainer struct {
	Client  kubernetes.Interface
	Name    string
	Options Options
	// Observe, when not nil, is told of each pod that has gone, and of each that cannot go yet.
	Observe func(text string)
}

const (
	// retryEviction is how long kubectl drain waits before it asks again for what a PodDisruptionBudget forbids.
	retryEviction = 5 * time.Second
	chunkSize     = 500
)

// helper is for timeouts above zero: to kubectl, 0 means for ever.
func (d *Drainer) helper(ctx context.Context, timeout time.Duration) *drain.Helper {
	observe := d.Observe
	if observe == nil {
		observe = func(string) {}
	}
	return &drain.Helper{
		Ctx: ctx, Client: d.Client, Timeout: timeout, ChunkSize: chunkSize,
		Force: d.Options.Force, GracePeriodSeconds: d.Options.GracePeriod, IgnoreAllDaemonSets: d.Options.IgnoreDaemonSets,
		DeleteEmptyDirData: d.Options.DeleteEmptyDirData, DisableEviction: d.Options.DisableEviction,
		PodSelector: d.Options.PodSelector, SkipWaitForDeleteTimeoutSeconds: d.Options.SkipWait,
		EvictErrorRetryDelay: retryEviction,
		Out:                  io.Discard,
		ErrOut:               lines{observe},
		OnPodDeletionOrEvictionFinished: func(pod *corev1.Pod, _ bool, err error) {
			if err == nil {
				observe("pod " + pod.Namespace + "/" + pod.Name + " has gone")
			}
		},
	}
}

// lines hands on what kubectl would print, line by line.
type lines struct{ observe func(text string) }

func (l lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if line = strings.TrimSpace(line); line != "" {
			l.observe(line)
		}
	}
	return len(p), nil
}

// Pods lists the pods that a drain would take off, as "namespace/name"; its error says which pods keep it from being done
// and which flag lets them go.
func (d *Drainer) Pods(ctx context.Context) ([]string, error) {
	list, errs := d.helper(ctx, 0).GetPodsForDeletion(d.Name)
	if len(errs) > 0 {
		return nil, fmt.Errorf("draining %s: %w", d.Name, errors.Join(errs...))
	}
	var names []string
	for _, pod := range list.Pods() {
		names = append(names, pod.Namespace+"/"+pod.Name)
	}
	return names, nil
}

// Cordon keeps new pods off the Node. It tells whether they were not kept off before.
func (d *Drainer) Cordon(ctx context.Context) (changed bool, err error) {
	return d.setCordon(ctx, true)
}

// Uncordon lets pods onto the Node again. One that has gone is no error.
func (d *Drainer) Uncordon(ctx context.Context) error {
	_, err := d.setCordon(ctx, false)
	return err
}

func (d *Drainer) setCordon(ctx context.Context, cordoned bool) (changed bool, err error) {
	verb := "uncordoning"
	if cordoned {
		verb = "cordoning"
	}
	node, err := d.Client.CoreV1().Nodes().Get(ctx, d.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err == nil {
		changed = node.Spec.Unschedulable != cordoned
		err = drain.RunCordonOrUncordon(d.helper(ctx, 0), node, cordoned)
	}
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", verb, d.Name, err)
	}
	return changed, nil
}

// Drain takes the pods off, and waits until they have gone.
func (d *Drainer) Drain(ctx context.Context, timeout time.Duration) error {
	helper := d.helper(ctx, timeout)
	list, errs := helper.GetPodsForDeletion(d.Name)
	err := errors.Join(errs...)
	if err == nil {
		err = helper.DeleteOrEvictPods(list.Pods())
	}
	if err != nil {
		return fmt.Errorf("draining %s: %w", d.Name, err)
	}
	return nil
}
