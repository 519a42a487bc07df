package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lease"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/member"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/objects"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// resyncEvery is how often the leader looks at etcd's members without being
// told of a change: this is what promotes learners.
const resyncEvery = 10 * time.Second

// Members keeps EtcdMember objects in step with etcd.
type Members struct {
	Vars *vars.Vars
	// Name is the object of this host, Node its node name.
	Name, Node  string
	PeerAddress string
	Kube        kubernetes.Interface
	Objects     objects.EtcdMembers
	Elector     *lease.Elector
	Log         *slog.Logger
	// Leave is called when this host is asked to leave the cluster, or just to
	// shut down.
	Leave func(removeMember bool)

	cancel context.CancelFunc
	done   chan struct{}
}

// Start writes this host's object and keeps all of them until Stop. Writing it
// clears spec.leave: a controller that starts wants to be a member.
func (m *Members) Start(ctx context.Context) error {
	var err error
	for attempt := range 5 {
		if attempt > 0 {
			time.Sleep(3 * time.Second)
		}
		if err = m.writeOwn(ctx); err == nil {
			break
		}
		m.Log.Error("writing this host's EtcdMember", "err", err)
	}
	if err != nil {
		return fmt.Errorf("failed to create EtcdMember object for this controller: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, m.done = cancel, make(chan struct{})
	go func() {
		defer close(m.done)
		m.run(ctx)
	}()
	return nil
}

// Stop ends the reconciling.
func (m *Members) Stop() error {
	if m.cancel != nil {
		m.cancel()
		<-m.done
	}
	return nil
}

func (m *Members) writeOwn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	etcd, err := member.Connect(m.Vars)
	if err != nil {
		return err
	}
	defer etcd.Close()
	// Only a voter gets here: a learner does not serve the API server.
	id, err := etcd.ID(ctx)
	if err != nil {
		return err
	}
	own, err := m.Objects.Get(ctx, m.Name)
	if apierrors.IsNotFound(err) {
		own = &objects.EtcdMember{ObjectMeta: metav1.ObjectMeta{Name: m.Name}}
		m.stamp(own)
		own, err = m.Objects.Create(ctx, own)
	} else if err == nil {
		m.stamp(own)
		own, err = m.Objects.Update(ctx, own)
	}
	if err != nil {
		return err
	}
	own.Status.PeerAddress, own.Status.MemberID = m.PeerAddress, strconv.FormatUint(id, 16)
	own.Status.SetJoined(true, "Member joined", time.Now())
	return m.Objects.UpdateStatus(ctx, own)
}

func (m *Members) stamp(own *objects.EtcdMember) {
	if own.Labels == nil {
		own.Labels = map[string]string{}
	}
	own.Labels[objects.LabelControllerLease] = lease.OfController(m.Node)
	own.Labels[objects.LabelShutdownOnLeave] = m.Vars.InvocationID
	delete(own.Labels, objects.LabelShutdown)
	own.Spec.Leave = false
}

// run leads or follows, as the leader lease says, until ctx ends.
func (m *Members) run(ctx context.Context) {
	for ctx.Err() == nil {
		leading, changed := m.Elector.Leading()
		term, end := context.WithCancel(ctx)
		go func() {
			select {
			case <-changed:
			case <-term.Done():
			}
			end()
		}()
		if leading {
			m.lead(term)
		} else {
			m.follow(term)
		}
		end()
	}
}

// follow waits until the leader asks this host to shut down.
func (m *Members) follow(ctx context.Context) {
	for ctx.Err() == nil {
		asked := false
		err := m.Objects.Watch(ctx, func(object *objects.EtcdMember) {
			if asked || object.Name != m.Name || object.Labels[objects.LabelShutdown] != m.Vars.InvocationID {
				return
			}
			asked = true
			m.Log.Info("asked to shut down", "leave", object.Spec.Leave)
			m.Leave(object.Spec.Leave)
		})
		if err != nil && ctx.Err() == nil {
			m.Log.Error("following", "err", err)
		}
		pause(ctx, time.Second)
	}
}

// lead reconciles every member whenever one changes, and every ten seconds.
func (m *Members) lead(ctx context.Context) {
	trigger := make(chan struct{}, 1)
	go func() {
		for ctx.Err() == nil {
			if err := m.Objects.Watch(ctx, func(*objects.EtcdMember) {
				select {
				case trigger <- struct{}{}:
				default:
				}
			}); err != nil && ctx.Err() == nil {
				m.Log.Error("leading", "err", err)
			}
			pause(ctx, time.Second)
		}
	}()
	for ctx.Err() == nil {
		if err := m.resync(ctx); err != nil && ctx.Err() == nil {
			m.Log.Error("reconciling etcd members", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-trigger:
		case <-time.After(resyncEvery + rand.N(time.Second)):
		}
	}
}

func (m *Members) resync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	objectList, err := m.Objects.List(ctx)
	if err != nil {
		return err
	}
	etcd, err := member.Connect(m.Vars)
	if err != nil {
		return err
	}
	defer etcd.Close()
	known, err := etcd.Members(ctx)
	if err != nil {
		return err
	}
	for _, object := range objectList {
		if err := m.reconcile(ctx, etcd, known, object); err != nil {
			m.Log.Error("reconciling an EtcdMember", "name", object.Name, "err", err)
		}
	}
	return m.promote(ctx, etcd, known, objectList)
}

func (m *Members) reconcile(ctx context.Context, etcd *member.Client, known []member.Member, object *objects.EtcdMember) error {
	id, err := strconv.ParseUint(object.Status.MemberID, 16, 64)
	if err != nil {
		return fmt.Errorf("parsing the member ID: %w", err)
	}
	s := situation{member: object, self: object.Status.PeerAddress == m.PeerAddress, now: time.Now()}
	for _, k := range known {
		s.exists = s.exists || k.ID == id
	}
	if s.exists && object.Spec.Leave {
		if s.controllers, err = lease.Controllers(ctx, m.Kube, s.now); err != nil {
			return err
		}
		if s.lease, err = m.leaseOf(ctx, object); err != nil {
			return err
		}
	}
	d := decide(s)
	if d.action != nothing {
		m.Log.Info("EtcdMember", "name", object.Name, "action", int(d.action), "message", d.message)
	}
	switch d.action {
	case nothing:
		return nil
	case requestShutdown:
		object.Labels[objects.LabelShutdown] = object.Labels[objects.LabelShutdownOnLeave]
		_, err := m.Objects.Update(ctx, object)
		return err
	case markGone:
		object.Status.SetJoined(false, d.message, time.Now())
		return m.write(ctx, object, objects.Success, d.message)
	case wait:
		return m.write(ctx, object, "", d.message)
	case yield:
		err := m.write(ctx, object, "", d.message)
		m.Elector.Yield()
		return err
	case remove:
		if err := etcd.Remove(ctx, id); err != nil {
			return m.write(ctx, object, objects.Failure, "Failed to delete member from cluster: "+err.Error())
		}
		object.Status.SetJoined(false, "Member removed from cluster", time.Now())
		return m.write(ctx, object, objects.Success, "Member removed from cluster")
	}
	return nil
}

// write updates an object's status if that changes anything: every write comes
// back as an event.
func (m *Members) write(ctx context.Context, object *objects.EtcdMember, outcome, message string) error {
	if object.Status.ReconcileStatus == outcome && object.Status.Message == message && outcome != objects.Success {
		return nil
	}
	object.Status.ReconcileStatus, object.Status.Message = outcome, message
	return m.Objects.UpdateStatus(ctx, object)
}

func (m *Members) leaseOf(ctx context.Context, object *objects.EtcdMember) (*coordinationv1.Lease, error) {
	name := object.Labels[objects.LabelControllerLease]
	if name == "" {
		name = lease.OfController(object.Name)
	}
	found, err := m.Kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, err
}

// promote makes at most one started learner a voter.
func (m *Members) promote(ctx context.Context, etcd *member.Client, known []member.Member, all []*objects.EtcdMember) error {
	rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	for _, k := range known {
		// A learner without a name has not started yet.
		if !k.Learner || k.Name == "" {
			continue
		}
		outcome, err := etcd.Promote(ctx, k.ID)
		if err != nil {
			return err
		}
		if outcome != member.Promoted {
			return nil
		}
		m.Log.Info("learner became a voter", "name", k.Name, "id", strconv.FormatUint(k.ID, 16))
		for _, object := range all {
			if object.Name == k.Name && object.Status.Joined() != "True" {
				object.Status.SetJoined(true, "Member joined", time.Now())
				return m.Objects.UpdateStatus(ctx, object)
			}
		}
		return nil
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
