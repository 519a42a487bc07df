package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What the plugins and the syncer know of each other, besides the Lease of OperationLease.

const (
	// DrainAnnotation takes a controller out of the load balancers for as long as one of its objects has it.
	DrainAnnotation = "kubectl-ha.io/drain"
	// SyncerNamespace is where the syncer runs.
	SyncerNamespace = "kubectl-ha"
	// SyncerStatusName is the ConfigMap there in which it tells how every load balancer is, by an entry each: a SyncerStatus
	// in JSON.
	SyncerStatusName = "ha-syncer-status"
)

// Results of a SyncerStatus that need nobody.
const (
	SyncerSuccess   = "success"
	SyncerPostponed = "postponed" // a plugin changes the control plane
)

// SyncerStatus is what the syncer says of one load balancer.
type SyncerStatus struct {
	LoadBalancer string `json:"loadBalancer"`
	// Result of the last sync: success, postponed, refused, unchecked, stopped, busy or error.
	Result  string `json:"result"`
	Message string `json:"message,omitempty"`
	// HAProxy is its version, when it was last seen to run.
	HAProxy string         `json:"haproxy,omitempty"`
	Servers []ServerStatus `json:"servers,omitempty"`
	// Waiting are controllers that are not let in yet.
	Waiting []string `json:"waiting,omitempty"`
	// Certificate is the one that health checks show to API servers; none where they show none of ours.
	Certificate *CertificateStatus `json:"certificate,omitempty"`
	// Since is when this was first so, by the syncer's clock.
	Since metav1.Time `json:"since"`
}

// ServerStatus is a server in the worst of its states over all backends.
type ServerStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	State   string `json:"state"`
}

// CertificateStatus is the client certificate of a load balancer's health checks.
type CertificateStatus struct {
	// NotAfter is when it ends; null when there is none.
	NotAfter metav1.Time `json:"notAfter"`
	// Message says why it is not renewed although that is due.
	Message string `json:"message,omitempty"`
}

// SyncerStatuses lists what the syncer says of the load balancers, sorted by their addresses; where none is installed, it
// says nothing.
func (c *Cluster) SyncerStatuses(ctx context.Context) ([]SyncerStatus, error) {
	object, err := c.Client.CoreV1().ConfigMaps(SyncerNamespace).Get(ctx, SyncerStatusName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ConfigMap %s/%s: %w", SyncerNamespace, SyncerStatusName, err)
	}
	var statuses []SyncerStatus
	for key, text := range object.Data {
		var status SyncerStatus
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			return nil, fmt.Errorf("reading %s of the ConfigMap %s/%s: %w", key, SyncerNamespace, SyncerStatusName, err)
		}
		statuses = append(statuses, status)
	}
	slices.SortFunc(statuses, func(a, b SyncerStatus) int { return cmp.Compare(a.LoadBalancer, b.LoadBalancer) })
	return statuses, nil
}

// MarkNode tells the syncer by DrainAnnotation, whose value says who wants it, that the Node's host is to get no
// connections. An empty value takes the annotation off. A Node that is gone is no error, and so for the other kinds.
func (c *Cluster) MarkNode(ctx context.Context, name, by string) error {
	_, err := c.Client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, drainPatch(by), metav1.PatchOptions{})
	return marked("Node", name, err)
}

// MarkControlNode does that on the object that k0s has of a controller with a kubelet or without.
func (c *Cluster) MarkControlNode(ctx context.Context, name, by string) error {
	controlNodes := c.Dynamic.Resource(ControlNodesResource())
	_, err := controlNodes.Patch(ctx, name, types.MergePatchType, drainPatch(by), metav1.PatchOptions{})
	return marked("ControlNode", name, err)
}

// MarkEtcdMember does that on the object that k0s has of a member of etcd.
func (c *Cluster) MarkEtcdMember(ctx context.Context, name, by string) error {
	members := c.Dynamic.Resource(EtcdMembersResource())
	_, err := members.Patch(ctx, name, types.MergePatchType, drainPatch(by), metav1.PatchOptions{})
	return marked("EtcdMember", name, err)
}

func drainPatch(by string) []byte {
	value := []byte("null")
	if by != "" {
		value, _ = json.Marshal(by) // a string always can be
	}
	return fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, DrainAnnotation, value)
}

func marked(kind, name string, err error) error {
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("annotating %s %s: %w", kind, name, err)
	}
	return nil
}

// drainedBy reads DrainAnnotation, which may have any value.
func drainedBy(object metav1.Object) string {
	by, found := object.GetAnnotations()[DrainAnnotation]
	if found && by == "" {
		return "true"
	}
	return by
}
