package objects

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Labels by which k0s's controllers agree on a leave.
const (
	LabelControllerLease = "k0s.k0sproject.io/controller-lease"
	LabelShutdownOnLeave = "k0s.k0sproject.io/shutdown-on-leave"
	LabelShutdown        = "k0s.k0sproject.io/shutdown"
)

// Outcomes of reconciling an EtcdMember.
const (
	Success = "Success"
	Failure = "Failed"
)

// EtcdMember is etcdmembers.etcd.k0sproject.io/v1beta1.
type EtcdMember struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              EtcdMemberSpec   `json:"spec"`
	Status            EtcdMemberStatus `json:"status,omitzero"`
}

// EtcdMemberSpec says whether the member is to leave.
type EtcdMemberSpec struct {
	Leave bool `json:"leave,omitempty"`
}

// EtcdMemberStatus is what k0s knows of the member.
type EtcdMemberStatus struct {
	PeerAddress     string            `json:"peerAddress"`
	MemberID        string            `json:"memberID"`
	ReconcileStatus string            `json:"reconcileStatus,omitempty"`
	Message         string            `json:"message,omitempty"`
	Conditions      []MemberCondition `json:"conditions,omitempty"`
}

// MemberCondition is a condition of an EtcdMember. Joined is the only one.
type MemberCondition struct {
	Type               string      `json:"type"`
	Status             string      `json:"status"`
	Message            string      `json:"message,omitempty"`
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitzero"`
}

// Joined reports the condition Joined: "True", "False" or nothing.
func (s *EtcdMemberStatus) Joined() string {
	for _, c := range s.Conditions {
		if c.Type == "Joined" {
			return c.Status
		}
	}
	return ""
}

// SetJoined sets the condition Joined.
func (s *EtcdMemberStatus) SetJoined(joined bool, message string, now time.Time) {
	status := "False"
	if joined {
		status = "True"
	}
	for i := range s.Conditions {
		if c := &s.Conditions[i]; c.Type == "Joined" {
			if c.Status != status {
				c.LastTransitionTime = metav1.NewTime(now)
			}
			c.Status, c.Message = status, message
			return
		}
	}
	s.Conditions = append(s.Conditions, MemberCondition{
		Type: "Joined", Status: status, Message: message, LastTransitionTime: metav1.NewTime(now),
	})
}

// EtcdMembers reads and writes EtcdMember objects.
type EtcdMembers struct{ resource dynamic.ResourceInterface }

// NewEtcdMembers makes a client for EtcdMember objects.
func NewEtcdMembers(client dynamic.Interface) EtcdMembers {
	return EtcdMembers{client.Resource(schema.GroupVersionResource{
		Group: "etcd.k0sproject.io", Version: "v1beta1", Resource: "etcdmembers",
	})}
}

// Get returns one member's object.
func (m EtcdMembers) Get(ctx context.Context, name string) (*EtcdMember, error) {
	return decode(m.resource.Get(ctx, name, metav1.GetOptions{}))
}

// List returns all members' objects.
func (m EtcdMembers) List(ctx context.Context) ([]*EtcdMember, error) {
	list, err := m.resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	members := make([]*EtcdMember, 0, len(list.Items))
	for i := range list.Items {
		decoded, err := decode(&list.Items[i], nil)
		if err != nil {
			return nil, err
		}
		members = append(members, decoded)
	}
	return members, nil
}

// Create creates an object without its status.
func (m EtcdMembers) Create(ctx context.Context, member *EtcdMember) (*EtcdMember, error) {
	object, err := encode(member)
	if err != nil {
		return nil, err
	}
	return decode(m.resource.Create(ctx, object, metav1.CreateOptions{}))
}

// Update writes everything but the status.
func (m EtcdMembers) Update(ctx context.Context, member *EtcdMember) (*EtcdMember, error) {
	object, err := encode(member)
	if err != nil {
		return nil, err
	}
	return decode(m.resource.Update(ctx, object, metav1.UpdateOptions{}))
}

// UpdateStatus writes the status.
func (m EtcdMembers) UpdateStatus(ctx context.Context, member *EtcdMember) error {
	object, err := encode(member)
	if err != nil {
		return err
	}
	_, err = m.resource.UpdateStatus(ctx, object, metav1.UpdateOptions{})
	return err
}

// Watch calls changed with every object that exists, appears or changes, until
// ctx ends or the watch breaks.
func (m EtcdMembers) Watch(ctx context.Context, changed func(*EtcdMember)) error {
	watch, err := m.resource.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watching EtcdMember objects: %w", err)
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("watching EtcdMember objects: %v", event.Object)
		}
		member, err := decode(object, nil)
		if err != nil {
			return err
		}
		changed(member)
	}
	return ctx.Err()
}

func encode(member *EtcdMember) (*unstructured.Unstructured, error) {
	member.TypeMeta = metav1.TypeMeta{APIVersion: "etcd.k0sproject.io/v1beta1", Kind: "EtcdMember"}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(member)
	if err != nil {
		return nil, fmt.Errorf("encoding an EtcdMember: %w", err)
	}
	if member.Status.MemberID == "" {
		delete(fields, "status")
	}
	return &unstructured.Unstructured{Object: fields}, nil
}

func decode(object *unstructured.Unstructured, err error) (*EtcdMember, error) {
	if err != nil {
		return nil, err
	}
	member := &EtcdMember{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, member); err != nil {
		return nil, fmt.Errorf("decoding an EtcdMember: %w", err)
	}
	return member, nil
}
