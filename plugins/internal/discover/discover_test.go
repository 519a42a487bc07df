package discover

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
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
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

const note = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {role: controller+worker, noTaints: true, ssh: {address: 192.0.2.1, user: ops, port: 2222}, privateAddress: 10.10.0.2, dataDir: /data, installFlags: [--debug]}
    - {role: controller, ssh: {address: 10.10.1.2, keyPath: /nowhere/id}}
    - {role: controller, ssh: {address: 10.10.9.2}}
  k0s: {dynamicConfig: true, config: {spec: {api: {port: 7443}}}}
---
apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
metadata: {name: edge}
spec:
  address: 10.10.4.10
  hosts:
    - ssh: {address: 10.10.4.10, user: root}
  check: tls
`

func etcdMember(name, address, joined string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "etcd.k0sproject.io/v1beta1", "kind": "EtcdMember", "metadata": map[string]any{"name": name},
		"status": map[string]any{"peerAddress": address, "conditions": []any{map[string]any{"type": "Joined", "status": joined}}},
	}}
}

func controlNode(name, address string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autopilot.k0sproject.io/v1beta2", "kind": "ControlNode", "metadata": map[string]any{"name": name},
		"status": map[string]any{"addresses": []any{map[string]any{"type": "InternalIP", "address": address}}},
	}}
}

func node(name, address string, taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{kube.ControlPlaneLabel: "control-plane"}},
		Spec:       corev1.NodeSpec{Taints: taints},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}},
	}
}

// cluster is an API with these objects and, unless it is empty, a note.
func cluster(text string, nodes []runtime.Object, objects ...runtime.Object) *kube.Cluster {
	if text != "" {
		nodes = append(nodes, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: kube.NoteName},
			Data: map[string]string{kube.NoteKey: text}})
	}
	return &kube.Cluster{
		Client: fake.NewClientset(nodes...),
		Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
			{Group: "etcd.k0sproject.io", Version: "v1beta1", Resource: "etcdmembers"}:       "EtcdMemberList",
			{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes"}: "ControlNodeList",
		}, objects...),
	}
}

func TestText(t *testing.T) {
	tainted := corev1.Taint{Key: "node-role.kubernetes.io/master", Effect: corev1.TaintEffectNoSchedule}
	members := []runtime.Object{
		etcdMember("cp1", "10.10.0.2", "True"), etcdMember("cp2", "10.10.1.2", "True"), etcdMember("cp3", "10.10.2.2", "True"),
		etcdMember("gone", "10.10.8.2", "False"), controlNode("old", "10.10.7.2"),
	}
	for name, c := range map[string]struct {
		api    *kube.Cluster
		server string
		named  bool
		change func(f *Flags)
	}{
		"by the note": {cluster(note, []runtime.Object{node("cp3", "10.10.2.2", tainted)}, members...), "", false, nil},
		"one that leaves": {cluster(note, nil, etcdMember("cp1", "10.10.0.2", "True"), etcdMember("cp9", "10.10.9.2", "False")),
			"", false, nil},
		"by the note and flags": {cluster(note, nil, members...), "", true, func(f *Flags) {
			f.SSHUser, f.SSHPort, f.SSHKey, f.DataDir = "anna", 22022, "/keys/id", "/data/k0s"
		}},
		"by a load balancer on the command line": {cluster("", []runtime.Object{node("cp1", "10.10.0.2"), node("cp3", "10.10.2.2", tainted)}, members...),
			"https://vip.example:6443", true, nil},
		"by a kubeconfig of one controller": {cluster("", nil, members...), "https://10.10.0.2:6443", true, nil},
		"before EtcdMembers":                {cluster("", nil, controlNode("cp1", "10.10.0.2")), "https://localhost:6443", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFlags()
			if c.change != nil {
				c.change(&f)
			}
			text, err := f.Text(t.Context(), c.api, c.server, c.named)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, strings.ReplaceAll(name, " ", "-"), string(text))
			var balancers []string
			if c.named {
				balancers = []string{"10.10.4.10"}
			}
			if _, err := config.LoadText(Source, text, balancers...); err != nil {
				t.Errorf("it does not read back: %v", err)
			}
		})
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	member := etcdMember("cp1", "10.10.0.2", "True")
	for name, c := range map[string]struct {
		api   *kube.Cluster
		named bool
		says  string
	}{
		"no note":        {cluster("", nil, member), false, "name the cluster file with -f FILE, or HAProxy's host with --lb [USER@]HOST"},
		"a broken note":  {cluster("kind: x", nil, member), false, "kube-system/kubectl-ha:1: "},
		"no controllers": {cluster(note, nil), false, "the cluster has no objects of k0s's that name its controllers"},
	} {
		f := NewFlags()
		_, err := f.Text(t.Context(), c.api, "", c.named)
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrNoLoadBalancer) != (name == "no note") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestOverride(t *testing.T) {
	there := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ssh := func(user string, port int, key string) config.Connection {
		return config.Connection{SSH: &config.SSH{Address: "a", User: user, Port: port, KeyPath: key, Bastion: &config.SSH{Address: "b", KeyPath: key}}}
	}
	for name, c := range map[string]struct {
		flags         Flags
		have          config.Connection
		want, bastion string
	}{
		"as noted":                {Flags{}, ssh("root", 22, there), "root 22 " + there, there},
		"a key that is not there": {Flags{}, ssh("root", 22, "/nowhere/id"), "root 22 ", ""},
		"as the flags say":        {Flags{SSHUser: "ops", SSHPort: 2222, SSHKey: "/k"}, ssh("root", 22, there), "ops 2222 /k", there},
	} {
		got := c.flags.Override(c.have).SSH
		if said := strings.Join([]string{got.User, strconv.Itoa(got.Port), got.KeyPath}, " "); said != c.want || got.Bastion.KeyPath != c.bastion {
			t.Errorf("%s: got %s, bastion's key %s", name, said, got.Bastion.KeyPath)
		}
	}
	open := (&Flags{SSHUser: "ops"}).Override(config.Connection{OpenSSH: &config.OpenSSH{Address: "a", KeyPath: "/nowhere/id"}}).OpenSSH
	if open.User != "ops" || open.KeyPath != "" {
		t.Errorf("got %+v", open)
	}
	if got := (&Flags{}).Override(config.Connection{Localhost: true}); !got.Localhost {
		t.Errorf("got %+v", got)
	}
}

func TestBalancer(t *testing.T) {
	for target, want := range map[string]string{"10.10.4.10": "ops@10.10.4.10", "root@10.10.4.10:22": "root@10.10.4.10:22"} {
		if got := (&Flags{SSHUser: "ops"}).Balancer(target); got != want {
			t.Errorf("got %s", got)
		}
		if got := (&Flags{}).Balancer(target); got != target {
			t.Errorf("got %s", got)
		}
	}
}
