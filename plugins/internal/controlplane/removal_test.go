package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// fleet is etcd in memory, each member asked by itself.
type fleet struct {
	members []etcd.Member
	leader  uint64
	silent  map[uint64]bool
	alarms  []etcd.Alarm
	// complaints are what members report of themselves.
	complaints []string
	did        []string
	refused    int // how often etcd itself refuses a removal
}

type fakePeer struct {
	*fleet
	id uint64
}

func (p fakePeer) View(context.Context) (etcd.View, error) {
	if p.silent[p.id] {
		return etcd.View{}, errors.New("connection refused")
	}
	learner := slices.ContainsFunc(p.members, func(m etcd.Member) bool { return m.ID == p.id && m.Learner })
	return etcd.View{
		Status:  etcd.Status{ID: p.id, Cluster: 1, Leader: p.leader, Learner: learner, Alarms: p.alarms, Errors: p.complaints, Applied: 7},
		Members: slices.Clone(p.members),
	}, nil
}

func (p fakePeer) Remove(_ context.Context, m etcd.Member) error {
	p.did = append(p.did, fmt.Sprintf("%x removes %x", p.id, m.ID))
	if p.refused > 0 {
		p.refused--
		return fmt.Errorf("%w: unhealthy cluster", etcd.ErrUnsafe)
	}
	p.members = slices.DeleteFunc(p.members, func(o etcd.Member) bool { return o.ID == m.ID })
	return nil
}

func (p fakePeer) MoveLeader(_ context.Context, to etcd.Member) error {
	p.did = append(p.did, fmt.Sprintf("%x hands over to %x", p.id, to.ID))
	p.leader = to.ID
	return nil
}

func (p fakePeer) Snapshot(_ context.Context, out io.Writer) (etcd.Snapshot, error) {
	p.did = append(p.did, fmt.Sprintf("%x is copied", p.id))
	_, err := io.WriteString(out, "data")
	return etcd.Snapshot{Size: 4}, err
}

func (fakePeer) Close() error { return nil }

// removalWorld is the guide's control plane of three, cp1 to cp3, of which cp1 leads.
type removalWorld struct {
	*world
	*fleet
	c *Cluster
}

func newRemovalWorld(t *testing.T, change ...func(w *removalWorld)) *removalWorld {
	t.Helper()
	return newRemovalWorldOf(t, guideFile, change...)
}

func newRemovalWorldOf(t *testing.T, file string, change ...func(w *removalWorld)) *removalWorld {
	t.Helper()
	w := &removalWorld{world: newWorld(t, file), fleet: &fleet{leader: 0xa1, silent: map[uint64]bool{}}}
	addresses := []string{"10.10.0.2", "10.10.1.2", "10.10.2.2"}
	w.controlPlane(addresses...)
	for i, address := range addresses {
		w.members = append(w.members, member([]uint64{0xa1, 0xb2, 0xc3}[i], fmt.Sprintf("cp%d", i+1), address))
	}
	for _, f := range change {
		f(w)
	}
	w.c = w.survey()
	for _, m := range w.c.controllers {
		if entry, found := etcd.ByAddress(w.members, m.address); found {
			m.peer = fakePeer{w.fleet, entry.ID}
		} else {
			m.peer = fakePeer{&fleet{silent: map[uint64]bool{0: true}}, 0}
		}
	}
	w.c.api = &api{kube: w.kube(), etcd: &fakeEtcd{}}
	w.c.connect = nil
	return w
}

// kube is the API: a Node, a ControlNode and an EtcdMember of each of three hosts.
func (w *removalWorld) kube() *kube.Cluster {
	var nodes, objects []runtime.Object
	for i, id := range []string{"a1", "b2", "c3"} {
		name, address := fmt.Sprintf("cp%d", i+1), fmt.Sprintf("10.10.%d.2", i)
		nodes = append(nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{kube.ControlPlaneLabel: "control-plane"}},
			Status: corev1.NodeStatus{
				Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}},
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			},
		})
		object := func(apiVersion, kind string, status map[string]any) {
			objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}, "status": status,
			}})
		}
		object("autopilot.k0sproject.io/v1beta2", "ControlNode", nil)
		object("etcd.k0sproject.io/v1beta1", "EtcdMember", map[string]any{"peerAddress": address, "memberID": id})
	}
	kinds := map[schema.GroupVersionResource]string{
		{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "plans"}:        "PlanList",
		{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes"}: "ControlNodeList",
		{Group: "etcd.k0sproject.io", Version: "v1beta1", Resource: "etcdmembers"}:       "EtcdMemberList",
	}
	return &kube.Cluster{
		Client: fake.NewClientset(nodes...), Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...),
	}
}

// find finds the controller to leave, which must succeed.
func (w *removalWorld) find(r Removal) *leaver {
	w.t.Helper()
	if err := w.c.findLeaver(w.t.Context(), r); err != nil {
		w.t.Fatal(err)
	}
	return w.c.leaving
}

func dead(address string) func(w *removalWorld) {
	return func(w *removalWorld) {
		delete(w.hosts, address)
		for _, m := range w.members {
			w.silent[m.ID] = w.silent[m.ID] || m.HasAddress(netip.MustParseAddr(address))
		}
	}
}

func twoMembers(w *removalWorld) { w.members = w.members[:2] }

func TestTheSeedIsAControllerThatStays(t *testing.T) {
	w := newRemovalWorld(t)
	l := w.find(Removal{Controller: "cp1"})
	if w.c.seed.name() != "cp2" || names(w.c.controllers) != "cp2 cp3" {
		t.Errorf("the seed is %s of %s", w.c.seed.name(), names(w.c.controllers))
	}
	if l.name() != "cp1" || l.member.ID != 0xa1 || l.node.Name != "cp1" || l.controlNode != "cp1" || l.etcdMember != "cp1" || l.machine == nil || l.entry == nil {
		t.Errorf("found %+v", l)
	}
}

func TestADeadHostIsFoundByWhatOthersKnow(t *testing.T) {
	w := newRemovalWorld(t, dead("10.10.0.2"))
	for _, argument := range []string{"cp1", "10.10.0.2", "a1"} {
		if l := newRemovalWorld(t, dead("10.10.0.2")).find(Removal{Controller: argument}); l.name() != "cp1" || l.machine != nil || l.entry == nil ||
			l.member.ID != 0xa1 || l.trouble == nil {
			t.Errorf("%s: found %+v", argument, l)
		}
	}
	w.find(Removal{Controller: "cp1"})
	s, _ := w.c.poll(t.Context())
	expectProblems(t, w.c.judge(t.Context(), s))
}

func TestWhoIsNoController(t *testing.T) {
	for argument, c := range map[string]struct {
		code int
		says string
	}{
		"cp9": {cli.ExitError, "it has been ejected already, or never was one"},
		"w1":  {cli.ExitUsage, "w1 is a worker"},
	} {
		err := newRemovalWorld(t).c.findLeaver(t.Context(), Removal{Controller: argument})
		if cli.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", argument, err)
		}
	}
}

// What the rules of etcd say in every case is for pkg/etcd to test.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		controller string
		change     func(w *removalWorld)
		removal    Removal
		want       []string
	}{
		"three, of which one leaves":  {"cp3", func(*removalWorld) {}, Removal{}, nil},
		"the leader":                  {"cp1", func(*removalWorld) {}, Removal{}, nil},
		"one that is stopped":         {"cp3", func(w *removalWorld) { w.silent[0xc3] = true }, Removal{}, nil},
		"two":                         {"cp2", twoMembers, Removal{}, []string{"use --allow-single"}},
		"two, and it is meant":        {"cp2", twoMembers, Removal{AllowSingle: true}, nil},
		"two, of which one is dead":   {"cp2", func(w *removalWorld) { twoMembers(w); w.silent[0xb2] = true }, Removal{AllowSingle: true}, []string{"lost its quorum"}},
		"another one is dead":         {"cp2", dead("10.10.2.2"), Removal{}, []string{"cp3 (c3) does not answer: connecting to", "quorum would be lost"}},
		"another one hangs":           {"cp2", func(w *removalWorld) { w.silent[0xc3] = true }, Removal{}, []string{"connection refused", "quorum would be lost"}},
		"an alarm":                    {"cp3", func(w *removalWorld) { w.alarms = []etcd.Alarm{{Member: 0xa1, Type: etcd.NoSpace}} }, Removal{}, []string{"NOSPACE on cp1"}},
		"a learner":                   {"cp3", func(w *removalWorld) { w.members = append(w.members, learner(0xd4, "cp4", "10.10.5.2")) }, Removal{}, []string{"cp4 (d4) is still a learner", "cp4 (d4) does not answer"}},
		"the learner itself":          {"d4", func(w *removalWorld) { w.members = append(w.members, learner(0xd4, "cp4", "10.10.5.2")) }, Removal{}, nil},
		"one that has gone from etcd": {"cp3", twoMembers, Removal{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRemovalWorld(t, c.change)
			c.removal.Controller = c.controller
			w.find(c.removal)
			s, _ := w.c.poll(t.Context())
			expectProblems(t, w.c.judge(t.Context(), s), c.want...)
		})
	}
}

// fiveMembers adds cp4 and cp5 to etcd, which the file does not name; of the five, cp3 and cp5 are down.
func fiveMembers(w *removalWorld) {
	w.members = append(w.members, member(0xd4, "cp4", "10.10.3.2"), member(0xe5, "cp5", "10.10.5.2"))
	dead("10.10.2.2")(w)
	w.silent[0xe5] = true
}

func TestForceRemovesTheDeadOneAfterAnother(t *testing.T) {
	for name, c := range map[string]struct {
		removal Removal
		want    []string
	}{
		"without force": {Removal{Controller: "cp3"}, []string{"cp5 (e5) does not answer", "cp3 (c3) is down, too: bring the others back first, or use --force"}},
		"with force":    {Removal{Controller: "cp3", Force: true}, nil},
		"a healthy one": {Removal{Controller: "cp2", Force: true}, []string{"cp3 (c3) does not answer", "cp5 (e5) does not answer", "quorum would be lost"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRemovalWorld(t, fiveMembers)
			l := w.find(c.removal)
			w.c.unlisted = []*machine{{host: l.entry, seen: true, ca: testCA, peer: fakePeer{w.fleet, 0xd4}}}
			s, _ := w.c.poll(t.Context())
			w.c.bearWithDown(s)
			expectProblems(t, w.c.judge(t.Context(), s), c.want...)
			if !c.removal.Force || len(c.want) > 0 {
				return
			}
			w.c.checkStaying(t.Context(), s)
			if got := strings.Join(w.c.consequences(t.Context()), "\n"); !strings.Contains(got, "voters that remain: 4, cp5 (e5) is down, of which 0 may fail") {
				t.Errorf("got %s", got)
			}
			if got := w.c.Aftermath()[0]; !strings.Contains(got, "4 controllers vote, cp5 (e5) is down, of which 0 may fail") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestTheLastControllerStays(t *testing.T) {
	w := newRemovalWorld(t, func(w *removalWorld) { w.members = w.members[:1] })
	err := w.c.findLeaver(t.Context(), Removal{Controller: "cp1", AllowSingle: true})
	if cli.ExitCode(err) != cli.ExitRefused || !strings.Contains(err.Error(), "cp1 (a1) is the last voting member") {
		t.Errorf("got %v", err)
	}
}

func TestAnUpgradeKeepsControllersFromLeaving(t *testing.T) {
	w := newRemovalWorld(t)
	w.find(Removal{Controller: "cp3"})
	plan := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autopilot.k0sproject.io/v1beta2", "kind": "Plan", "metadata": map[string]any{"name": "autopilot"},
	}}
	plans := schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "plans"}
	if _, err := w.c.api.kube.Dynamic.Resource(plans).Create(t.Context(), plan, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.c.judgeRemoval(t.Context()); cli.ExitCode(err) != cli.ExitRefused || !strings.Contains(err.Error(), "a k0s upgrade is in progress") {
		t.Errorf("got %v", err)
	}
}

func TestLeavingKeepsTheQuorum(t *testing.T) {
	stopped := "stop k0scontroller\ndisable k0scontroller"
	for name, c := range map[string]struct {
		controller string
		change     func(w *removalWorld)
		etcd, host string // what was done to them, in order
		before     bool   // k0s is stopped before its member is removed
	}{
		"three: stopped first":           {"cp3", func(*removalWorld) {}, "a1 removes c3", stopped, true},
		"the leader, by another one":     {"cp1", func(*removalWorld) {}, "b2 removes a1", stopped, true},
		"two: removed first":             {"cp2", twoMembers, "a1 removes b2", "run " + endAPI + "\n" + stopped, false},
		"etcd wants to wait a moment":    {"cp3", func(w *removalWorld) { w.refused = 1 }, "a1 removes c3, a1 removes c3", stopped, true},
		"dead: removed alone":            {"cp3", dead("10.10.2.2"), "a1 removes c3", "", false},
		"removed by a run that was lost": {"cp3", twoMembers, "", stopped, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRemovalWorld(t, c.change)
			l := w.find(Removal{Controller: c.controller, AllowSingle: true})
			w.c.balancers = nil // HAProxy is for the lab to test
			removedWhenStopped := false
			if l.machine != nil {
				w.host(l).stopped = func() { removedWhenStopped = len(w.did) > 0 }
			}
			if err := w.c.leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(w.did, ", "); got != c.etcd {
				t.Errorf("etcd: %s", got)
			}
			if l.machine != nil && withoutLooks(w.host(l).did()) != c.host {
				t.Errorf("host:\n%s", w.host(l).did())
			}
			if c.etcd != "" && l.machine != nil && removedWhenStopped == c.before {
				t.Error("the order is the other one")
			}
			if l.machine != nil && l.machine.facts.Services["k0scontroller"] == "absent" {
				return
			}
			if reason, err := w.c.skipLeave(t.Context()); err != nil || (reason == "") == (l.machine == nil) {
				t.Errorf("afterwards: %q, %v", reason, err)
			}
		})
	}
}

const endAPI = `pid=$(cat /run/k0s/kube-apiserver.pid 2>/dev/null) || exit 0
[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != kube-apiserver ] || kill -TERM "$pid"`

// host is that of the controller that leaves.
func (w *removalWorld) host(l *leaver) *fakeHost { return w.hosts[l.entry.Conn.Address()] }

func withoutLooks(log string) string {
	var lines []string
	for line := range strings.Lines(log) {
		if !strings.HasSuffix(strings.TrimSpace(line), " status -o json") {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, ""))
}

func TestAControllerThatDiesMeanwhileStopsTheRemoval(t *testing.T) {
	w := newRemovalWorld(t)
	l := w.find(Removal{Controller: "cp3"})
	w.c.settings.Timeout = 0
	w.host(l).stopped = func() { w.silent[0xb2], w.silent[0xc3] = true, true }
	err := w.c.leave(t.Context())
	if cli.ExitCode(err) != cli.ExitRefused || !strings.Contains(err.Error(), "cp2 (b2) does not answer") || len(w.did) > 0 {
		t.Errorf("got %v, %q", err, w.did)
	}
	w.host(l).log = nil
	if err := w.c.undoLeave(t.Context()); err != nil || w.host(l).did() != "enable k0scontroller\nstart k0scontroller" {
		t.Errorf("its k0s must run again: %v\n%s", err, w.host(l).did())
	}
	l.removed, l.stopped = true, true
	w.host(l).log = nil
	if err := w.c.undoLeave(t.Context()); err != nil || w.host(l).did() != "" {
		t.Errorf("once it is removed it stays stopped: %v\n%s", err, w.host(l).did())
	}
}

func TestYield(t *testing.T) {
	w := newRemovalWorld(t)
	w.find(Removal{Controller: "cp2"})
	if reason, err := w.c.skipYield(t.Context()); err != nil || reason != "cp2 does not lead" {
		t.Errorf("got %q, %v", reason, err)
	}
	w = newRemovalWorld(t)
	w.find(Removal{Controller: "cp1"})
	if lines, err := w.c.detailYield(t.Context()); err != nil || !slices.Equal(lines, []string{"from cp1 (a1) to cp2 (b2)"}) {
		t.Errorf("got %q, %v", lines, err)
	}
	if err := w.c.yield(t.Context()); err != nil || strings.Join(w.did, "") != "a1 hands over to b2" {
		t.Errorf("got %q, %v", w.did, err)
	}
	if reason, err := w.c.skipYield(t.Context()); err != nil || reason == "" {
		t.Errorf("got %q, %v", reason, err)
	}
}

func TestSnapshotBefore(t *testing.T) {
	w := newRemovalWorld(t)
	l := w.find(Removal{Controller: "cp2", Snapshot: filepath.Join(t.TempDir(), "etcd.db")})
	if err := w.c.snapshot(t.Context()); err != nil || strings.Join(w.did, "") != "b2 is copied" {
		t.Errorf("got %q, %v", w.did, err)
	}
	if info, err := os.Stat(l.Snapshot); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	w.members = slices.Delete(w.members, 1, 2)
	if reason, err := w.c.skipSnapshot(t.Context()); err != nil || reason != gone {
		t.Errorf("got %q, %v", reason, err)
	}
}

func TestForgetLeavesOthersAlone(t *testing.T) {
	w := newRemovalWorld(t)
	w.find(Removal{Controller: "cp2"})
	if lines, err := w.c.detailForget(t.Context()); err != nil || !slices.Equal(lines, []string{"delete Node cp2, ControlNode cp2, EtcdMember cp2"}) {
		t.Errorf("got %q, %v", lines, err)
	}
	if err := w.c.forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reason, err := w.c.skipForget(t.Context()); err != nil || reason != "none is left" {
		t.Errorf("got %q, %v", reason, err)
	}
	objects, err := w.c.objects(t.Context())
	if err != nil || len(objects) != 6 {
		t.Errorf("%d objects are left, %v", len(objects), err)
	}
}

func TestConnectionsAreWaitedForWhereK0sIsStopped(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *removalWorld)
		skip   bool
	}{
		"it runs":              {func(*removalWorld) {}, false},
		"it cannot be reached": {dead("10.10.2.2"), true},
		"it is stopped":        {func(w *removalWorld) { w.hosts["10.10.2.2"].facts.Services["k0scontroller"] = "inactive" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRemovalWorld(t, c.change)
			w.find(Removal{Controller: "cp3"})
			w.c.balancers = []*balancer{{host: new(config.LBHost), conn: w.hosts["10.10.0.2"]}} // no HAProxy answers there
			reason, err := w.c.skipSettle(t.Context())
			if c.skip != (reason != "") || c.skip != (err == nil) {
				t.Errorf("got %q, %v", reason, err)
			}
		})
	}
}

func TestWipeTakesEverythingOffTheHost(t *testing.T) {
	for name, c := range map[string]struct {
		removal Removal
		change  func(w *removalWorld)
		skip    string
		did     string
	}{
		"a member":   {Removal{}, func(*removalWorld) {}, "", "k0s reset"},
		"to be kept": {Removal{KeepData: true}, func(*removalWorld) {}, "not wanted (--keep-data)", ""},
		"dead":       {Removal{}, dead("10.10.2.2"), "the host cannot be reached", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRemovalWorld(t, c.change)
			c.removal.Controller = "cp3"
			l := w.find(c.removal)
			reason, err := w.c.skipWipe(t.Context())
			if err != nil || reason != c.skip {
				t.Fatalf("got %q, %v", reason, err)
			}
			if c.skip != "" {
				return
			}
			if err := w.c.wipe(t.Context()); err != nil || !strings.Contains(w.host(l).did(), c.did) || !strings.Contains(w.host(l).did(), "rm -rf") {
				t.Errorf("%v\n%s", err, w.host(l).did())
			}
		})
	}
}

func TestCheckLeaver(t *testing.T) {
	for name, c := range map[string]struct {
		removal Removal
		change  func(w *removalWorld)
		want    []string
	}{
		"sound":              {Removal{}, func(*removalWorld) {}, nil},
		"of another cluster": {Removal{}, func(w *removalWorld) { w.hosts["10.10.2.2"].files["/var/lib/k0s/pki/ca.crt"] = otherCA }, []string{"belongs to another cluster"}},
		"a worker":           {Removal{}, func(w *removalWorld) { w.hosts["10.10.2.2"].facts.Services["k0sworker"] = "active" }, []string{"runs k0s as a worker"}},
		"no executable":      {Removal{}, func(w *removalWorld) { w.hosts["10.10.2.2"].facts.K0sPath = "" }, []string{"not the k0s executable"}},
		"nowhere to copy to": {Removal{Snapshot: "/nowhere/at/all/etcd.db"}, func(*removalWorld) {}, []string{"there is no directory /nowhere/at/all"}},
		"no file to edit":    {Removal{EditFile: true}, func(*removalWorld) {}, []string{"use --edit-file=false"}},
		"dead":               {Removal{}, dead("10.10.2.2"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRemovalWorld(t, c.change)
			c.removal.Controller = "cp3"
			w.find(c.removal)
			expectProblems(t, w.c.checkLeaver(t.Context()), c.want...)
		})
	}
}

func TestEveryControllerIsLockedForARemoval(t *testing.T) {
	w := newRemovalWorld(t)
	if got := names(w.c.locking()); got != "cp1" {
		t.Errorf("others lock the seed: %s", got)
	}
	w.find(Removal{Controller: "cp1"})
	if got := names(w.c.locking()); got != "cp3 cp1 cp2" { // by their users and addresses
		t.Errorf("got %s", got)
	}
	w.hosts["10.10.1.2"].lock = heldLock()
	if _, _, err := w.c.lock(t.Context(), "kubectl ha-eject"); cli.ExitCode(err) != cli.ExitRefused {
		t.Errorf("got %v", err)
	}
}

func TestConsequencesAndAftermath(t *testing.T) {
	var all bytes.Buffer
	for _, k := range []struct {
		title   string
		removal Removal
		change  func(w *removalWorld)
	}{
		{"alive", Removal{Controller: "cp3"}, func(*removalWorld) {}},
		{"not drained, and kept", Removal{Controller: "cp3", SkipDrain: true, KeepData: true}, func(*removalWorld) {}},
		{"dead", Removal{Controller: "cp3"}, dead("10.10.2.2")},
		{"removed already", Removal{Controller: "cp3"}, twoMembers},
	} {
		w := newRemovalWorld(t, k.change)
		w.find(k.removal)
		s, _ := w.c.poll(t.Context())
		w.c.problems = nil
		w.c.meet(slices.DeleteFunc(slices.Clone(s.Members), func(m etcd.Member) bool { return m.ID == 0xc3 }))
		fmt.Fprintf(&all, "# %s\n%s\n%s\n", k.title, strings.Join(w.c.consequences(t.Context()), "\n"), strings.Join(w.c.Aftermath(), "\n"))
	}
	golden.Compare(t, "removal", all.String())
}

func TestTheFileIsEditedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, []byte(guideFile), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newRemovalWorld(t)
	w.c.file.Name = path
	l := w.find(Removal{Controller: "cp2", EditFile: true})
	if reason, err := w.c.skipEdit(t.Context()); err != nil || reason != "" {
		t.Errorf("got %q, %v", reason, err)
	}
	lines, err := w.c.detailEdit(t.Context())
	if want := "-    - {role: controller+worker, noTaints: true, ssh: {address: 10.10.1.2, user: root}}"; err != nil || changed(lines) != want {
		t.Errorf("got %q, %v", lines, err)
	}
	if err := w.c.edit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if there, err := config.RemoveHost(path, l.entry.Conn); err != nil || there {
		t.Errorf("got %v, %v", there, err)
	}
	if reason, err := w.c.skipEdit(t.Context()); err != nil || reason == "" {
		t.Errorf("got %q, %v", reason, err)
	}
}
