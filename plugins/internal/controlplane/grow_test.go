package controlplane

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// growing is a control plane of cp1 alone, whose etcd says what its members are.
func growing(t *testing.T, members ...etcd.Member) (*world, *Cluster, *fakeEtcd) {
	t.Helper()
	w, _, e := joinWorld(t, members...)
	c := w.survey()
	c.api = &api{kube: withoutPlan(), etcd: e}
	c.api.kube.Client = fake.NewClientset()
	for _, m := range c.controllers {
		member, _ := etcd.ByAddress(e.members, m.address)
		m.peer = fakePeer{&fleet{members: e.members, leader: 1}, member.ID}
	}
	return w, c, e
}

func TestThereHasToBeAControlPlaneToJoin(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		says   []string
	}{
		"bare hosts": {func(*world) {}, []string{"found 1 problem", "root@10.10.0.2:22: there is no control plane that a controller could join: set one up with `kubectl ha-init`"}},
		"one that is down": {func(w *world) {
			w.controlPlane("10.10.0.2")
			w.hosts["10.10.0.2"].answer = nil
		}, []string{"root@10.10.0.2:22: k0s does not run, and no controller could join: start the control plane with `kubectl ha-init`"}},
		"hosts that cannot be reached": {func(w *world) { clear(w.hosts) }, []string{"found 4 problems", "connecting to root@10.10.0.2:22: no route to host"}},
		"some of them": {func(w *world) { delete(w.hosts, "10.10.0.2") }, []string{
			"found 2 problems", "connecting to root@10.10.0.2:22", "root@10.10.1.2:22: there is no control plane"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, strings.Replace(guideFile, "    - {role: worker, ssh: {address: 10.10.20.2, user: root}}\n", "", 1))
			c.change(w)
			err := w.survey().PreflightGrowth(t.Context(), Growth{})
			for _, says := range c.says {
				if cli.ExitCode(err) != cli.ExitRefused || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want %s", err, says)
				}
			}
		})
	}
}

func TestCheckSettled(t *testing.T) {
	now := metav1.NewMicroTime(time.Now())
	holder := "anna@elsewhere"
	for name, c := range map[string]struct {
		members []etcd.Member
		change  func(w *world, c *Cluster)
		want    []string
	}{
		"all is well":                {nil, nil, nil},
		"a join of ours was cut off": {[]etcd.Member{learner(2, "", "10.10.1.2")}, nil, nil},
		"somebody else's learner":    {[]etcd.Member{learner(9, "x", "10.10.9.2")}, nil, []string{"x (9) does not answer", "x (9) is still a learner"}},
		"a member that does not answer": {nil, func(_ *world, c *Cluster) {
			c.controllers[0].peer.(fakePeer).complaints = []string{"etcdserver: mvcc: database space exceeded"}
		}, []string{"root@10.10.0.2:22: cp1 (1) reports: etcdserver: mvcc: database space exceeded"}},
		"another operation": {nil, func(_ *world, c *Cluster) {
			c.api.kube.Client = fake.NewClientset(&coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: kube.OperationLease},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, AcquireTime: &now, RenewTime: &now},
			})
		}, []string{"root@10.10.0.2:22: another operation changes the control plane: anna@elsewhere"}},
		"a Node of a joiner's name": {nil, func(_ *world, c *Cluster) {
			c.api.kube.Client = fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cp2"},
				Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.10.30.2"}}}})
		}, []string{`root@10.10.1.2:22: there is a Node of its name "cp2" already, at 10.10.30.2: set hostname`}},
		"not behind the load balancer yet": {nil, func(_ *world, c *Cluster) {
			c.seed.config, _ = config.ParseObject([]byte("spec: {api: {address: 10.10.0.2}}"))
		}, []string{"root@10.10.0.2:22: it does not answer at the load balancer's address 10.10.4.10 yet: make the control plane highly available"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, cluster, e := growing(t, c.members...)
			if c.change != nil {
				c.change(w, cluster)
			}
			problems := cluster.checkSettled(t.Context(), e.members)
			// The API server of a host in memory is not asked whether it is ready.
			problems = slices.DeleteFunc(problems, func(err error) bool { return strings.Contains(err.Error(), "and is not ready: ") })
			expectProblems(t, problems, c.want...)
			if got := cluster.Joiners(); got != "cp2, cp3" {
				t.Errorf("joining are %s", got)
			}
		})
	}
}

func TestAMemberThatIsNotReadyIsARefusal(t *testing.T) {
	_, c, e := growing(t)
	expectProblems(t, c.meet(e.members))
	expectProblems(t, c.checkReady(t.Context()), "root@10.10.0.2:22: it is a member of the control plane and is not ready: reading k0s's admin kubeconfig")
}

func TestCheckMembersVersions(t *testing.T) {
	w, _, e := joinWorld(t, member(2, "cp2", "10.10.1.2"))
	w.controlPlane("10.10.1.2")
	w.hosts["10.10.1.2"].facts.K0sVersion = "v1.35.0+k0s.0"
	w.hosts["10.10.2.2"].facts.K0sVersion = "v1.30.0+k0s.0" // which gets another
	expectProblems(t, w.cluster(e).checkMembersVersions(),
		"root@10.10.1.2:22: its k0s is v1.35.0+k0s.0, and that of root@10.10.0.2:22 is v1.36.3+k0s.2: finish the upgrade first")
}

func TestHostsThatAreNotWantedAreLeftOut(t *testing.T) {
	w, _, e := joinWorld(t, member(3, "cp3", "10.10.2.2"))
	delete(w.hosts, "10.10.2.2")
	for name, c := range map[string]struct {
		wanted      []int // of the file's controllers
		gone        string
		controllers string
		problems    []string
	}{
		"all":                          {nil, "", "cp1 cp2", []string{"10.10.2.2"}},
		"one":                          {[]int{1}, "", "cp1 cp2", []string{"10.10.2.2"}}, // the other is a member
		"none of those that are left":  {[]int{0}, "", "cp1", []string{"10.10.2.2"}},
		"one, and the other is nobody": {[]int{1}, "cp3", "cp1 cp2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			members := slices.DeleteFunc(slices.Clone(e.members), func(m etcd.Member) bool { return m.Name == c.gone })
			cluster := w.survey()
			var wanted []*config.Host
			for _, i := range c.wanted {
				wanted = append(wanted, w.file.Cluster.Controllers()[i])
			}
			cluster.leaveOut(members, wanted)
			if got := names(cluster.controllers); got != c.controllers {
				t.Errorf("left are %s", got)
			}
			expectProblems(t, cluster.problems, c.problems...)
		})
	}
}

func TestNameTaken(t *testing.T) {
	_, c, _ := joinWorld(t)
	m := c.controllers[1]
	node := func(name string, addresses ...string) []kube.Node {
		n := kube.Node{Name: name}
		for _, a := range addresses {
			n.Addresses = append(n.Addresses, netip.MustParseAddr(a))
		}
		return []kube.Node{n}
	}
	for name, c := range map[string]struct {
		nodes []kube.Node
		taken bool
	}{
		"nobody":       {nil, false},
		"another name": {node("cp9", "10.10.9.2"), false},
		"its own":      {node("cp2", "10.10.1.2"), false},
		"another's":    {node("cp2", "10.10.9.2"), true},
		"unknown":      {node("cp2"), false},
	} {
		if err := nameTaken(m, c.nodes); (err != nil) != c.taken {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHAProxyHasToBeSetUp(t *testing.T) {
	const says = "root@10.10.4.10:22: its HAProxy is not set up for this control plane: run `kubectl ha-init` first"
	_, c, _ := joinWorld(t)
	expectProblems(t, c.checkBalancing(), says)
	c.balancers[0].facts.Services["haproxy"] = "active"
	c.balancers[0].cfg = []byte("defaults\n  mode tcp\n")
	expectProblems(t, c.checkBalancing(), says)
}

func TestAHostThatJoinsHasNoPlaceInHAProxyBefore(t *testing.T) {
	_, c, _ := joinWorld(t)
	c.joiners = c.controllers[1:2]
	if got := serverList(c.servers(c.running)); got != "cp1 10.10.0.2 active, cp3 10.10.2.2" {
		t.Errorf("got %s", got)
	}
	if got := serverList(c.servers(c.all)); got != "cp1 10.10.0.2 active, cp2 10.10.1.2 active, cp3 10.10.2.2 active" {
		t.Errorf("got %s", got)
	}
}

func TestMembersAlreadyAreRefusedUnlessSomethingIsLeftToDo(t *testing.T) {
	for name, c := range map[string]struct {
		members []etcd.Member
		growth  func(hosts []*config.Host) Growth
		token   bool
		want    []string
	}{
		"not wanted": {[]etcd.Member{member(2, "cp2", "10.10.1.2")}, func([]*config.Host) Growth { return Growth{} }, false, nil},
		"no member":  {nil, func(h []*config.Host) Growth { return Growth{Wanted: h[1:2]} }, false, nil},
		"a token is left": {[]etcd.Member{member(2, "cp2", "10.10.1.2")},
			func(h []*config.Host) Growth { return Growth{Wanted: h[1:2]} }, true, nil},
		"its entry is left to write": {[]etcd.Member{member(2, "cp2", "10.10.1.2")},
			func(h []*config.Host) Growth { return Growth{Wanted: h[1:2], Unwritten: h[1:2]} }, false, nil},
		"its hooks are left to run": {[]etcd.Member{member(2, "cp2", "10.10.1.2")},
			func(h []*config.Host) Growth { return Growth{Wanted: h[1:2]} }, false, nil},
		"the entry of another one is left to write": {[]etcd.Member{member(2, "cp2", "10.10.1.2"), member(3, "cp3", "10.10.2.2")},
			func(h []*config.Host) Growth { return Growth{Wanted: h[1:], Unwritten: h[2:]} }, false, nil},
		"another one has yet to join": {[]etcd.Member{member(2, "cp2", "10.10.1.2")},
			func(h []*config.Host) Growth { return Growth{Wanted: h[1:]} }, false, nil},
		"HAProxy is left": {[]etcd.Member{member(2, "cp2", "10.10.1.2")},
			func(h []*config.Host) Growth { return Growth{Wanted: h[1:2]} }, false, nil},
		"nothing is left": {[]etcd.Member{member(2, "cp2", "10.10.1.2")},
			func(h []*config.Host) Growth { return Growth{Wanted: h[1:2]} }, false, []string{"root@10.10.1.2:22: it is a member of the control plane already (cp2)"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, e := joinWorld(t, c.members...)
			if c.token {
				w.hosts["10.10.1.2"].files["/etc/k0s/kubectl-ha.token"] = "secret"
			}
			cluster := w.cluster(e)
			if name != "HAProxy is left" {
				cluster.balancers = nil // so that none is left to change
				if err := cluster.writeNote(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range cluster.controllers {
				m.hooksPending = name == "its hooks are left to run"
			}
			expectProblems(t, cluster.checkWanted(t.Context(), c.growth(w.file.Cluster.Controllers())), c.want...)
		})
	}
}

func TestFailuresOfAllKindsStandTogether(t *testing.T) {
	w, c, e := growing(t)
	e.alarms = nil
	w.hosts["10.10.1.2"].facts.ListeningTCP[2380] = "socat"
	for _, m := range c.controllers {
		m.peer = fakePeer{&fleet{silent: map[uint64]bool{0: true}}, 0}
		m.facts.ListeningTCP = w.hosts[m.address.String()].facts.ListeningTCP
	}
	err := c.PreflightGrowth(t.Context(), Growth{})
	for _, says := range []string{"port 2380, which k0s needs, is taken by socat", "connection refused", "is not ready", "its HAProxy is not set up"} {
		if cli.ExitCode(err) != cli.ExitRefused || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
}
