package simkubelet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// heartbeat is a kubelet's: a quarter of its lease's forty seconds.
	heartbeat    = 10 * time.Second
	leaseSeconds = 40
	// report is how often an unchanged status is written.
	report = 5 * time.Minute
)

// Kubelet is one simulated kubelet.
type Kubelet struct {
	Spec       Spec
	Kubeconfig string
	Log        *slog.Logger

	client   kubernetes.Interface
	facts    machine
	reported time.Time
	cancel   context.CancelFunc
	done     chan struct{}
}

// Start registers the Node and keeps it until Stop. Everything goes to the
// server that the kubeconfig names, which is read here and not again.
func (k *Kubelet) Start() error {
	config, err := clientcmd.BuildConfigFromFlags("", k.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubelet's kubeconfig: %w", err)
	}
	config.Timeout = heartbeat
	if k.client, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("reading the kubelet's kubeconfig: %w", err)
	}
	k.facts = readMachine()
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel, k.done = cancel, make(chan struct{})
	k.Log.Info("simulated kubelet started", "node", k.Spec.Name, "server", config.Host)
	go func() {
		defer close(k.done)
		k.run(ctx)
	}()
	return nil
}

// Stop ends the heartbeats. The Node stays, as it does when a kubelet stops.
func (k *Kubelet) Stop() error {
	if k.cancel != nil {
		k.cancel()
		<-k.done
	}
	return nil
}

func (k *Kubelet) run(ctx context.Context) {
	failed := ""
	beats := time.NewTicker(heartbeat)
	defer beats.Stop()
	pods := time.NewTicker(time.Second)
	defer pods.Stop()
	k.beat(ctx, &failed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-beats.C:
			k.beat(ctx, &failed)
		case <-pods.C:
			if failed != "" {
				// Not registered, or no API server: a kubelet retries often.
				k.beat(ctx, &failed)
				continue
			}
			if err := k.syncPods(ctx); err != nil && ctx.Err() == nil {
				k.Log.Error("syncing pods", "err", err)
			}
		}
	}
}

// beat renews the lease and looks after the Node. A repeated failure is logged
// once.
func (k *Kubelet) beat(ctx context.Context, failed *string) {
	err := k.syncNode(ctx)
	if err == nil {
		err = k.renew(ctx)
	}
	switch {
	case err == nil && *failed != "":
		k.Log.Info("heartbeats succeed again")
		*failed = ""
	case err != nil && err.Error() != *failed && ctx.Err() == nil:
		k.Log.Error("heartbeat", "err", err)
		*failed = err.Error()
	}
}

// syncNode registers the Node, or writes its status when that is due or when
// the cluster has come to think that this kubelet is gone.
func (k *Kubelet) syncNode(ctx context.Context) error {
	nodes := k.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, k.Spec.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if !k.reported.IsZero() {
			// A deleted Node is registered again only when the kubelet restarts.
			return nil
		}
		if _, err = nodes.Create(ctx, newNode(k.Spec, k.facts, time.Now()), metav1.CreateOptions{}); err == nil {
			k.Log.Info("registered", "node", k.Spec.Name)
			k.reported = time.Now()
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("syncing node %s: %w", k.Spec.Name, err)
	}
	if ready(node.Status) && time.Since(k.reported) < report {
		return nil
	}
	now := time.Now()
	before := node.Status.Conditions
	node.Status = newStatus(k.Spec, k.facts, now)
	keepTransitions(node.Status.Conditions, before)
	if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("reporting node %s: %w", k.Spec.Name, err)
	}
	k.reported = now
	return nil
}

// keepTransitions carries over when a condition that still holds began to.
func keepTransitions(current, before []corev1.NodeCondition) {
	for i := range current {
		for _, b := range before {
			if b.Type == current[i].Type && b.Status == current[i].Status {
				current[i].LastTransitionTime = b.LastTransitionTime
			}
		}
	}
}

func (k *Kubelet) renew(ctx context.Context) error {
	leases := k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NowMicro(), int32(leaseSeconds)
	lease, err := leases.Get(ctx, k.Spec.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: k.Spec.Name},
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity: &k.Spec.Name, LeaseDurationSeconds: &seconds, RenewTime: &now,
			},
		}, metav1.CreateOptions{})
	} else if err == nil {
		lease.Spec.RenewTime = &now
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renewing the node's lease: %w", err)
	}
	return nil
}
