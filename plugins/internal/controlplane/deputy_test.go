package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube/kubetest"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

func etcdMemberObject(name, address, id string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "etcd.k0sproject.io/v1beta1", "kind": "EtcdMember", "metadata": map[string]any{"name": name},
		"status": map[string]any{
			"peerAddress": address, "memberID": id, "conditions": []any{map[string]any{"type": "Joined", "status": "True"}},
		},
	}}
}

func controlNodeObject(name, address, version string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autopilot.k0sproject.io/v1beta2", "kind": "ControlNode", "metadata": map[string]any{"name": name},
		"status": map[string]any{"k0sVersion": version, "addresses": []any{map[string]any{"type": "InternalIP", "address": address}}},
	}}
}

const runningVersion = "v1.36.3+k0s.2"

// unreached is the guide's control plane: cp1 and cp2 are members, and their hosts cannot be reached; cp3 is to join. The API
// knows the objects; by default those of the two.
func unreached(t *testing.T, objects ...runtime.Object) (*world, *kube.Cluster) {
	t.Helper()
	w := newWorld(t, strings.Replace(guideFile, "    - {role: worker, ssh: {address: 10.10.20.2, user: root}}\n", "", 1))
	w.file.Cluster.K0s.Config = config.Object{"spec": map[string]any{"telemetry": map[string]any{"enabled": false}}}
	delete(w.hosts, "10.10.0.2")
	delete(w.hosts, "10.10.1.2")
	if len(objects) == 0 {
		objects = []runtime.Object{
			etcdMemberObject("cp1", "10.10.0.2", "a1"), etcdMemberObject("cp2", "10.10.1.2", "b2"),
			controlNodeObject("cp1", "10.10.0.2", runningVersion), controlNodeObject("cp2", "10.10.1.2", runningVersion),
		}
	}
	// One that has a configuration, for API servers to be asked directly.
	apiServer(t, w.hosts["10.10.4.10"], "ok", "v1.36.3+k0s")
	user, err := kube.Connect([]byte(w.hosts["10.10.4.10"].files["/var/lib/k0s/pki/admin.conf"]), func(_ context.Context, network, _ string) (net.Conn, error) {
		return w.hosts["10.10.4.10"].dial(network, "the API")
	})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := user.RootCA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := mostlyFake{fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": string(ca)},
	}), user.Client}
	allowCertificates(client, true)
	user.Client = client
	user.Dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		kube.EtcdMembersResource(): "EtcdMemberList", kube.ControlNodesResource(): "ControlNodeList",
		{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "plans"}: "PlanList",
	}, objects...)
	user.Poll = time.Millisecond
	w.o.UserAPI = user
	return w, user
}

// mostlyFake is an API in memory, but for the questions that have no kind: /readyz and /version.
type mostlyFake struct {
	*fake.Clientset
	real kubernetes.Interface
}

func (f mostlyFake) Discovery() discovery.DiscoveryInterface { return f.real.Discovery() }

// allowCertificates lets the user make client certificates, or not.
func allowCertificates(client mostlyFake, allowed bool) {
	client.PrependReactor("create", "selfsubjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SelfSubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: allowed}}, nil
	})
}

// refuseCreating makes the API fail to create objects of a resource.
func refuseCreating(t *testing.T, user *kube.Cluster, resource string, err error) {
	t.Helper()
	client, ok := user.Client.(mostlyFake)
	if !ok {
		t.Fatalf("%T", user.Client)
	}
	client.PrependReactor("create", resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
}

// deputised is the guide's control plane with a deputy for its seed.
func deputised(t *testing.T) (*world, *Cluster) {
	t.Helper()
	w, _ := unreached(t)
	c := w.survey()
	if err := c.appointDeputy(t.Context()); err != nil || !c.seed.deputy {
		t.Fatalf("%+v, %v", c.seed, err)
	}
	return w, c
}

func TestWhoStandsForTheControlPlane(t *testing.T) {
	cp1, cp2 := etcdMemberObject("cp1", "10.10.0.2", "a1"), etcdMemberObject("cp2", "10.10.1.2", "b2")
	node1 := controlNodeObject("cp1", "10.10.0.2", runningVersion)
	reachable := func(w *world, _ *kube.Cluster) {
		w.hosts["10.10.1.2"] = newFakeHost(w.t, w.file.Cluster.Hosts[1].Conn, "cp2", "10.10.1.2")
		w.controlPlane("10.10.1.2")
	}
	asked := func(w *world, user *kube.Cluster) {
		user.Dynamic.(*dynamicfake.FakeDynamicClient).PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errBroken
		})
	}
	for name, c := range map[string]struct {
		objects []runtime.Object
		change  func(w *world, user *kube.Cluster)
		seed    string
		says    string
	}{
		"a deputy": {nil, nil, "https://10.10.4.10:6443", ""},
		"a deputy, by the present context": {nil, func(w *world, user *kube.Cluster) {
			w.o.UserAPI, w.o.PresentAPI = nil, func() (*kube.Cluster, error) { return user, nil }
		}, "https://10.10.4.10:6443", ""},
		"a controller that can be reached": {nil, func(w *world, user *kube.Cluster) { reachable(w, user); asked(w, user) }, "cp2", ""},
		"one whose API server comes up": {nil, func(w *world, user *kube.Cluster) {
			reachable(w, user)
			w.hosts["10.10.1.2"].files[k0s.TokenPath] = "token"
		}, "cp2", ""},
		"one that is down": {nil, func(w *world, user *kube.Cluster) {
			reachable(w, user)
			w.hosts["10.10.1.2"].answer = nil
		}, "cp2", ""},
		"a bare host that was a member": {[]runtime.Object{cp1, etcdMemberObject("cp3", "10.10.2.2", "c3"), node1, controlNodeObject("cp3", "10.10.2.2", runningVersion)},
			nil, "https://10.10.4.10:6443", ""},
		"no kubeconfig":        {nil, func(w *world, _ *kube.Cluster) { w.o.UserAPI = nil }, "cp3", ""},
		"another cluster":      {[]runtime.Object{etcdMemberObject("x", "10.99.0.2", "a1")}, nil, "cp3", ""},
		"a cluster of old k0s": {[]runtime.Object{node1}, nil, "cp3", ""},
		"an empty kubeconfig": {nil, func(w *world, _ *kube.Cluster) {
			w.o.UserAPI, w.o.PresentAPI = nil, func() (*kube.Cluster, error) { return nil, errBroken }
		}, "cp3", "no controller can be reached by SSH, nor is the control plane known by the kubeconfig: broken"},
		"the API is out": {nil, asked, "cp3", "no controller can be reached by SSH, nor is the control plane known by the kubeconfig: listing EtcdMember objects: broken"},
		"no file": {nil, func(w *world, _ *kube.Cluster) { w.o.Fileless = true }, "cp3",
			"no controller can be reached by SSH to read its k0s.yaml, which new controllers get: name a cluster file that has it"},
		"no configuration": {nil, func(w *world, _ *kube.Cluster) { w.file.Cluster.K0s.Config = nil }, "cp3",
			"no controller can be reached by SSH to read its k0s.yaml"},
		"no load balancer": {nil, func(w *world, _ *kube.Cluster) { delete(w.hosts, "10.10.4.10") }, "cp3",
			"no controller can be reached by SSH, nor a load balancer"},
		"nobody knows the version": {[]runtime.Object{cp1, cp2, node1}, nil, "cp3", "no ControlNode says which k0s cp2 runs"},
		"an upgrade is half done": {[]runtime.Object{cp1, cp2, node1, controlNodeObject("cp2", "10.10.1.2", "v1.35.5+k0s.0")}, nil, "cp3",
			"cp2 runs k0s v1.35.5+k0s.0, and cp1 runs v1.36.3+k0s.2: finish the upgrade first"},
		"members vote at once": {[]runtime.Object{cp1, controlNodeObject("cp1", "10.10.0.2", "v1.35.5+k0s.0")}, nil, "cp3",
			"by k0s v1.35.5+k0s.0 new members vote at once"},
	} {
		t.Run(name, func(t *testing.T) {
			w, user := unreached(t, c.objects...)
			if c.change != nil {
				c.change(w, user)
			}
			cluster := w.survey()
			err := cluster.appointDeputy(t.Context())
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if got := cluster.seed.name(); got != c.seed {
				t.Errorf("it is %s, want %s", got, c.seed)
			}
			if warned := strings.Contains(w.err.String(), "etcd itself is not asked"); warned != cluster.seed.deputy {
				t.Errorf("said %q", w.err)
			}
		})
	}
}

func TestWhatADeputyStandsFor(t *testing.T) {
	w, c := deputised(t)
	if err := c.checkKubeconfigsCluster(t.Context()); err != nil {
		t.Error(err)
	}
	members, err := c.runningMembers(t.Context())
	if err != nil || fmt.Sprint(members) != "[cp1 (a1) cp2 (b2)]" {
		t.Errorf("members are %v, %v", members, err)
	}
	problems := c.checkGrowth(t.Context(), members, Growth{})
	// No HAProxy runs on hosts in memory.
	problems = slices.DeleteFunc(problems, func(err error) bool { return strings.Contains(err.Error(), "HAProxy") })
	expectProblems(t, problems)
	if got := c.Joiners(); got != "cp3" || c.version != runningVersion {
		t.Errorf("%s joins, with k0s %s", got, c.version)
	}
	if got := serverList(c.servers(c.running)); got != "cp1 10.10.0.2 active, cp2 10.10.1.2 active" {
		t.Errorf("HAProxy has %s", got)
	}
	if got := c.newConfig(c.controllers[0]); got["spec"].(map[string]any)["telemetry"] == nil {
		t.Errorf("it gets %v", got)
	}
	if did := w.hosts["10.10.4.10"].did(); !strings.Contains(did, "dial 10.10.0.2:6443") || !strings.Contains(did, "dial 10.10.1.2:6443") {
		t.Errorf("the members' API servers were not asked: %s", did)
	}

	refuseCreating(t, c.settings.UserAPI, "secrets", apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("no")))
	if _, err := c.createToken(t.Context(), time.Minute); !errors.Is(err, errNoController) {
		t.Errorf("got %v", err)
	}
	expectProblems(t, c.checkDeputy(t.Context()), "no controller can be reached by SSH that could make the join token: the kubeconfig's user may not")
}

func TestADeputyMakesCertificatesByTheUsersKubeconfig(t *testing.T) {
	w, c := deputised(t)
	client, ok := c.settings.UserAPI.Client.(mostlyFake)
	if !ok {
		t.Fatalf("%T", c.settings.UserAPI.Client)
	}
	kubetest.SignRequests(client, time.Hour)
	_ = c.certify(t.Context()) // no HAProxy runs on hosts in memory
	files := w.hosts["10.10.4.10"].files
	if key := "-----BEGIN PRIVATE KEY-----"; !c.balancers[0].certified || !strings.Contains(files["/etc/kubectl-ha/client.pem"], key) {
		t.Errorf("certified %v: %v", c.balancers[0].certified, files)
	}
	allowCertificates(client, false)
	c.balancers[0].certified, c.balancers[0].renew = true, true
	expectProblems(t, c.checkIssuing(t.Context()))
	if c.balancers[0].renew || !strings.Contains(w.err.String(), "may not make client certificates (create certificatesigningrequests)") {
		t.Errorf("said %q", w.err)
	}
	c.balancers[0].certified = false
	expectProblems(t, c.checkIssuing(t.Context()), "it has no valid client certificate of this cluster for its health checks, and the kubeconfig's user may not")
	refuseCreating(t, c.settings.UserAPI, "certificatesigningrequests",
		apierrors.NewForbidden(schema.GroupResource{Resource: "certificatesigningrequests"}, "x", errors.New("no")))
	if err := c.certify(t.Context()); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "an administrator") {
		t.Errorf("got %v", err)
	}
}

func TestEveryMemberHasToBeVouchedForToADeputy(t *testing.T) {
	w, c := deputised(t)
	w.hosts["10.10.4.10"].fail["dial 10.10.1.2:6443"] = errBroken
	w.hosts["10.10.4.10"].fail["dial 10.10.9.2:6443"] = errBroken
	members, err := c.members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	c.acceptUnseen(soon(), members)
	expectProblems(t, c.problems, "connecting to root@10.10.1.2:22", "root@10.10.1.2:22: nor is it known to be well otherwise")
	c.outsiders = []haproxy.Server{{Name: "cp9", Address: netip.MustParseAddr("10.10.9.2")}}
	expectProblems(t, c.checkDeputy(soon()), "the controller cp9 (10.10.9.2) is not known to be well: ")
}

func TestAnAlarmIsARefusalBeforeAnythingIsChanged(t *testing.T) {
	_, c := deputised(t)
	refuseCreating(t, c.settings.UserAPI, "leases", apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded")))
	if _, _, err := c.lock(t.Context(), "kubectl ha-join"); cli.ExitCode(err) != cli.ExitRefused || !errors.Is(err, kube.ErrAlarm) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsKnownOfHostsThatJoin(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(h *fakeHost, m *machine)
		says    string // of the member
		goesOn  bool
		removes string
	}{
		"nothing": {func(*fakeHost, *machine) {}, "", false, ""},
		"it has etcd's certificates": {func(h *fakeHost, _ *machine) { h.files["/var/lib/k0s/pki/etcd/ca.crt"] = testCA },
			"unstarted member 0", false, "etcd may have a member at 10.10.2.2 that has not started, and no controller can be reached by SSH to see"},
		"its etcd is silent": {func(h *fakeHost, _ *machine) {
			h.files["/var/lib/k0s/pki/etcd/ca.crt"], h.files["/var/lib/k0s/etcd/member/snap/db"] = testCA, ""
		}, "unstarted member 0", true, ""},
		"a learner": {func(h *fakeHost, m *machine) {
			h.files["/var/lib/k0s/pki/etcd/ca.crt"], h.files["/var/lib/k0s/etcd/member/snap/db"] = testCA, ""
			m.peer = fakePeer{&fleet{members: []etcd.Member{learner(0xc3, "", "10.10.2.2")}}, 0xc3}
		}, "cp3 (c3) learns", true, ""},
		"a voter": {func(h *fakeHost, m *machine) {
			h.files["/var/lib/k0s/pki/etcd/ca.crt"], h.files["/var/lib/k0s/etcd/member/snap/db"] = testCA, ""
			m.peer = fakePeer{&fleet{members: []etcd.Member{member(0xc3, "cp3", "10.10.2.2")}}, 0xc3}
		}, "cp3 (c3)", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, cluster := deputised(t)
			m := cluster.controllers[0]
			c.change(w.hosts["10.10.2.2"], m)
			said := ""
			known, err := cluster.memberOf(t.Context(), m)
			if err == nil {
				said = known.String()
			} else if !errors.Is(err, errNoMember) {
				t.Fatal(err)
			}
			if known.Learner {
				said += " learns"
			}
			if said != c.says {
				t.Errorf("it is %q, want %q", said, c.says)
			}
			goesOn, err := cluster.goesOn(t.Context(), m)
			if goesOn != c.goesOn || (err != nil) != (c.removes != "") || err != nil && !strings.Contains(err.Error(), c.removes) {
				t.Errorf("it goes on: %v, %v", goesOn, err)
			}
		})
	}
}

func TestALearnerIsRemovedByK0s(t *testing.T) {
	_, c := deputised(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.api.etcd.RemoveIdle(ctx, learner(0xc3, "cp3", "10.10.2.2")) // nobody leads here
	if err == nil || !strings.Contains(err.Error(), "remove it with `kubectl etcd-members remove` where a controller can be reached") {
		t.Errorf("got %v", err)
	}
	object, err := c.api.kube.Dynamic.Resource(kube.EtcdMembersResource()).Get(t.Context(), "cp3", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := kube.EtcdMemberOf(object); !got.Leaving || got.MemberID != "c3" || got.PeerAddress.String() != "10.10.2.2" {
		t.Errorf("k0s is told %+v", got)
	}
	if err := c.api.etcd.Promote(t.Context(), learner(0xc3, "cp3", "10.10.2.2")); err == nil {
		t.Error("a learner cannot be promoted by what the API says")
	}
}
