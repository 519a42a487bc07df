package syncer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// StatusConfigMap is where the state of every load balancer is told, a key each.
const StatusConfigMap = kube.SyncerStatusName

// statusTimeout bounds the writing of a status: an API that is away must not hold up load balancers.
const statusTimeout = 3 * time.Second

// Status is what the ConfigMap says of one load balancer.
type Status = kube.SyncerStatus

// ServerStatus is what it says of a server.
type ServerStatus = kube.ServerStatus

// CertificateStatus is what it says of the client certificate of its health checks.
type CertificateStatus = kube.CertificateStatus

// statusOf says in short what came of a sync.
func statusOf(lb LoadBalancer, controllers []Controller, o outcome) Status {
	status := Status{LoadBalancer: lb.Address, Result: string(o.result), Message: o.message()}
	for _, c := range o.waiting {
		status.Waiting = append(status.Waiting, c.Name)
	}
	if o.report == nil {
		return status
	}
	if o.report.Process != nil {
		status.HAProxy = o.report.Process.Version
	}
	status.Certificate = certificateStatusOf(o)
	order := []string{"up", "down", "drain", "maint"}
	for _, s := range o.report.Servers {
		if s.Unused {
			continue
		}
		i := slices.IndexFunc(status.Servers, func(have ServerStatus) bool { return have.Address == s.Address.String() })
		if i < 0 {
			name := cmp.Or(nameAt(controllers, s.Address), s.Slot)
			status.Servers = append(status.Servers, ServerStatus{Name: name, Address: s.Address.String(), State: stateOf(s)})
			continue
		}
		if slices.Index(order, stateOf(s)) > slices.Index(order, status.Servers[i].State) {
			status.Servers[i].State = stateOf(s)
		}
	}
	slices.SortFunc(status.Servers, func(a, b ServerStatus) int { return strings.Compare(a.Name+a.Address, b.Name+b.Address) })
	return status
}

// certificateStatusOf is of an outcome with a report; nil where health checks show no certificate of ours.
func certificateStatusOf(o outcome) *CertificateStatus {
	if o.report.Certificate == nil {
		return nil
	}
	status := &CertificateStatus{NotAfter: metav1.NewTime(o.report.Certificate.NotAfter)}
	if o.renewal.err != nil {
		status.Message = steady(o.renewal.err)
	}
	return status
}

// teller says in the API and in the log how load balancers are, when that changes.
type teller struct {
	balancers  []LoadBalancer
	configMaps corev1client.ConfigMapInterface
	events     record.EventRecorder
	namespace  string
	log        *slog.Logger
	now        func() time.Time

	mu   sync.Mutex
	told map[string]Status
	// unwritten are those that could not be written.
	unwritten map[string]bool
}

func newTeller(configMaps corev1client.ConfigMapInterface, events record.EventRecorder, o Options) *teller {
	return &teller{balancers: o.LoadBalancers, configMaps: configMaps, events: events, namespace: o.Namespace, log: o.Log, now: time.Now,
		told: map[string]Status{}, unwritten: map[string]bool{}}
}

// forget is for who leads no more: by the time that it leads again, another one has told other things.
func (t *teller) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.told)
	clear(t.unwritten)
}

// tell takes note of an outcome.
func (t *teller) tell(ctx context.Context, lb LoadBalancer, controllers []Controller, o outcome) {
	status := statusOf(lb, controllers, o)
	t.mu.Lock()
	before, known := t.told[lb.key()]
	changed := !known || !same(before, status)
	status.Since = before.Since
	if changed {
		status.Since = metav1.NewTime(t.now().UTC().Truncate(time.Second))
	}
	write := changed || t.unwritten[lb.key()]
	t.told[lb.key()] = status
	t.mu.Unlock()
	for _, action := range o.actions {
		t.log.Info("changed HAProxy", "loadBalancer", lb.Address, "action", action)
	}
	if changed {
		t.announce(lb, controllers, before, status, o)
	}
	if !write {
		return
	}
	err := t.write(ctx, lb, status)
	if err != nil {
		t.log.Warn("status could not be written", "loadBalancer", lb.Address, "err", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unwritten[lb.key()] = err != nil
}

func same(a, b Status) bool {
	a.Since, b.Since = metav1.Time{}, metav1.Time{}
	one, errA := json.Marshal(a)
	two, errB := json.Marshal(b)
	return errors.Join(errA, errB) == nil && string(one) == string(two)
}

// announce logs a new state, and makes Events of what changed.
func (t *teller) announce(lb LoadBalancer, controllers []Controller, before, status Status, o outcome) {
	level := slog.LevelInfo
	if o.result != success && o.result != postponed {
		level = slog.LevelWarn
	}
	t.log.Log(context.Background(), level, "load balancer", "loadBalancer", lb.Address, "result", status.Result, "message", status.Message)
	if (status.Result != before.Result || status.Message != before.Message) && o.err != nil && o.result != postponed {
		t.events.Event(t.about(), corev1.EventTypeWarning, reasonOf(o.result), fmt.Sprintf("%s: %s", lb.Address, status.Message))
	}
	if o.report == nil {
		return
	}
	if status.Certificate != nil {
		t.announceCertificate(lb, before.Certificate, status.Certificate, o.renewal.done)
	}
	for _, c := range controllers {
		was, is := stateIn(before, c), stateIn(status, c)
		switch {
		case !c.Node || was == is:
		case is == "up":
			t.events.Event(nodeReference(c), corev1.EventTypeNormal, "LoadBalancerServing", "HAProxy on "+lb.Address+" gives it connections")
		case was == "up" && is != "down":
			t.events.Event(nodeReference(c), corev1.EventTypeNormal, "LoadBalancerDrained", "HAProxy on "+lb.Address+" gives it no new connections")
		case was == "up":
			t.events.Event(nodeReference(c), corev1.EventTypeWarning, "LoadBalancerCheckFailed", "HAProxy on "+lb.Address+" finds it down")
		}
	}
}

func (t *teller) announceCertificate(lb LoadBalancer, before, is *CertificateStatus, renewed bool) {
	switch {
	case renewed:
		until := is.NotAfter.UTC().Format(time.RFC3339)
		t.log.Info("renewed the client certificate of the health checks", "loadBalancer", lb.Address, "until", until)
		t.events.Event(t.about(), corev1.EventTypeNormal, "CertificateRenewed",
			fmt.Sprintf("%s: health checks show a client certificate that is valid until %s", lb.Address, until))
	case is.Message != "" && (before == nil || is.Message != before.Message):
		t.log.Warn("client certificate of the health checks is not renewed", "loadBalancer", lb.Address, "message", is.Message)
		t.events.Event(t.about(), corev1.EventTypeWarning, "CertificateNotRenewed", fmt.Sprintf("%s: %s", lb.Address, is.Message))
	}
}

func reasonOf(r result) string {
	switch r {
	case refused:
		return "ChangeRefused"
	case unchecked:
		return "HealthCheckFailed"
	case stopped:
		return "HAProxyStopped"
	case busy:
		return "HAProxyBusy"
	}
	return "SyncFailed"
}

func stateIn(s Status, c Controller) string {
	for _, server := range s.Servers {
		if server.Address == c.Address.String() {
			return server.State
		}
	}
	return ""
}

// nodeReference is as the kubelet makes it: kubectl describe finds Events by it.
func nodeReference(c Controller) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: kindNode, APIVersion: "v1", Name: c.Name, UID: types.UID(c.Name)}
}

// about is what Events are about that concern no Node.
func (t *teller) about() *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "ConfigMap", APIVersion: "v1", Namespace: t.namespace, Name: StatusConfigMap}
}

// write puts the status of one load balancer into the ConfigMap, which the manifests bring.
func (t *teller) write(ctx context.Context, lb LoadBalancer, status Status) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	text, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		return err
	}
	written, err := t.patch(ctx, map[string]any{lb.key(): string(text)})
	if err != nil {
		return err
	}
	// Of load balancers that there are no more, nobody else would take the last word away.
	former := map[string]any{}
	for key := range written.Data {
		if !slices.ContainsFunc(t.balancers, func(lb LoadBalancer) bool { return lb.key() == key }) {
			former[key] = nil
		}
	}
	if len(former) > 0 {
		_, err = t.patch(ctx, former)
	}
	return err
}

func (t *teller) patch(ctx context.Context, data map[string]any) (*corev1.ConfigMap, error) {
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return nil, err
	}
	return t.configMaps.Patch(ctx, StatusConfigMap, types.MergePatchType, patch, metav1.PatchOptions{})
}
