package controlplane

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube/kubetest"
)

// withoutPlan is the API of a cluster without an autopilot Plan.
func withoutPlan(objects ...runtime.Object) *kube.Cluster {
	plans := schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "plans"}
	return &kube.Cluster{
		Client:  fake.NewClientset(objects...),
		Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{plans: "PlanList"}),
	}
}

func TestUnbalanced(t *testing.T) {
	const configured, running = "10.10.4.10", `"api":{"externalAddress":"10.10.4.10"}`
	for name, c := range map[string]struct {
		change func(w *world)
		want   string
	}{
		"as it should be": {func(*world) {}, ""},
		"not configured": {
			func(w *world) { w.hosts["10.10.0.2"].files[k0s.ConfigPath] = "spec: {api: {address: 10.10.0.2}}" }, "cp1",
		},
		"k0s's own defaults": {func(w *world) { delete(w.hosts["10.10.0.2"].files, k0s.ConfigPath) }, "cp1"},
		"configured, not restarted": {
			func(w *world) {
				answer := w.hosts["10.10.0.2"].answer
				w.hosts["10.10.0.2"].answer = func(command string) (string, error) {
					text, err := answer(command)
					return strings.Replace(text, running, `"api":{}`, 1), err
				}
			}, "cp1",
		},
		"written in another way": {
			func(w *world) {
				h := w.hosts["10.10.0.2"]
				h.files[k0s.ConfigPath] = strings.Replace(h.files[k0s.ConfigPath], configured, `"::ffff:10.10.4.10"`, 1)
			}, "",
		},
		"one that has yet to join gets it then": {
			func(w *world) { w.hosts["10.10.1.2"].files["/var/lib/k0s/pki/ca.crt"] = testCA }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.controlPlane("10.10.0.2")
			c.change(w)
			cluster := w.survey()
			expectProblems(t, cluster.meet([]etcd.Member{member(1, "cp1", "10.10.0.2")}))
			if got := names(cluster.unbalanced()); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestReplaceConfigKeepsTheFirstCopy(t *testing.T) {
	w := newWorld(t, guideFile)
	h := w.hosts["10.10.0.2"]
	m := w.survey().seed
	if err := m.replaceConfig(t.Context(), []byte("new\n")); err != nil {
		t.Fatal(err)
	}
	if got := h.did(); got != "run mkdir -p /etc/k0s\nwrite /etc/k0s/k0s.yaml" || h.modes[k0s.ConfigPath] != 0o600 {
		t.Errorf("a new one: %s", got)
	}
	h.log = nil
	if err := m.replaceConfig(t.Context(), []byte("new\n")); err != nil || h.did() != "" {
		t.Errorf("the same: %v, %s", err, h.did())
	}
	if err := m.replaceConfig(t.Context(), []byte("other\n")); err != nil {
		t.Fatal(err)
	}
	const backup = "/etc/k0s/k0s.yaml.kubectl-ha-backup"
	if got := h.did(); !strings.HasPrefix(got, "run [ -e "+backup+" ] || cp -p /etc/k0s/k0s.yaml "+backup+"\n") {
		t.Errorf("another: %s", got)
	}
}

func TestSkipRepair(t *testing.T) {
	endpoints := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"},
	}}
	for name, c := range map[string]struct {
		change  func(w *world)
		objects []runtime.Object
		want    string
	}{
		"a new cluster":     {func(w *world) { w.hosts["10.10.0.2"].files = map[string]string{}; w.hosts["10.10.0.2"].answer = nil }, nil, "the cluster starts with the load balancer's address"},
		"as it should be":   {func(*world) {}, nil, "it does"},
		"in need of repair": {func(*world) {}, []runtime.Object{endpoints}, ""},
		"k0s's own load balancing": {
			func(w *world) {
				w.hosts["10.10.0.2"].files[k0s.ConfigPath] = "spec: {network: {controlPlaneLoadBalancing: {enabled: true}}}"
			}, []runtime.Object{endpoints}, "the API servers keep its endpoints themselves",
		},
		"k0s's reconciler turned off": {
			func(w *world) {
				w.hosts["10.10.0.2"].answer = func(command string) (string, error) {
					if strings.HasSuffix(command, "json") {
						return `{"Role":"controller","Args":["k0s","controller","--disable-components=endpoint-reconciler"]}`, nil
					}
					return "", nil
				}
			}, []runtime.Object{endpoints}, "the API servers keep its endpoints themselves",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.controlPlane("10.10.0.2")
			c.change(w)
			cluster := w.survey()
			cluster.api = &api{kube: withoutPlan(c.objects...)}
			if got, err := cluster.skipRepair(t.Context()); err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestIsBalancer(t *testing.T) {
	cluster := newWorld(t, guideFile).survey()
	for address, c := range map[string]struct{ byAddress, byName bool }{
		"10.10.4.10": {true, true},
		"10.10.4.11": {false, true}, // what a name may resolve to
		"10.10.0.2":  {false, false},
	} {
		cluster.file.LoadBalancer.Address = "10.10.4.10"
		if got := cluster.isBalancer(netip.MustParseAddr(address)); got != c.byAddress {
			t.Errorf("%s, by address: %v", address, got)
		}
		cluster.file.LoadBalancer.Address = "lb.example.com"
		if got := cluster.isBalancer(netip.MustParseAddr(address)); got != c.byName {
			t.Errorf("%s, by name: %v", address, got)
		}
	}
}

// signing is the API of the cluster whose CA is testCA.
func signing() *kube.Cluster {
	client := fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": testCA},
	})
	kubetest.SignRequests(client, 365*24*time.Hour)
	return &kube.Cluster{Client: client}
}

// The certificate on the disk may be of a cluster that was there before: half of a change must not pass for the whole.
func TestCertificateThatWasHalfWrittenDoesNotCount(t *testing.T) {
	for _, cutOff := range []string{"ca.crt", "client.pem"} {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2")
		lb := w.hosts["10.10.4.10"]
		lb.files["/etc/kubectl-ha/ca.crt"] = otherCA
		lb.files["/etc/kubectl-ha/client.pem"] = clientCertificate(t, 365)
		lb.fail["write /etc/kubectl-ha/"+cutOff] = errBroken
		cluster := w.survey()
		cluster.api = &api{kube: signing()}
		if err := cluster.certify(t.Context()); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		b := cluster.balancers[0]
		if err := cluster.lookAtCertificate(t.Context(), b); err != nil || b.certified {
			t.Errorf("cut off before %s was written: certified %v, %v", cutOff, b.certified, err)
		}
	}
}

// HAProxy goes on with the old certificate until it is reloaded. Killed before that, the next run has to know of it: by
// then the certificate on the disk is good for a year.
func TestRenewedCertificateIsReadWhoeverIsKilled(t *testing.T) {
	for name, days := range map[string]int{"it ends soon": 29, "it is over": -1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.controlPlane("10.10.0.2")
			lb := w.hosts["10.10.4.10"]
			lb.files["/etc/haproxy/haproxy.cfg"] = "global\n"
			lb.files["/etc/kubectl-ha/ca.crt"] = testCA
			lb.files["/etc/kubectl-ha/client.pem"] = clientCertificate(t, days)
			cluster := w.survey()
			cluster.api = &api{kube: signing()}
			if err := cluster.lookAtCertificate(t.Context(), cluster.balancers[0]); err != nil || !cluster.balancers[0].needsCertificate() {
				t.Fatalf("not to be renewed: %v", err)
			}
			if err := cluster.certify(t.Context()); err == nil {
				t.Fatal("this HAProxy cannot be reloaded")
			}
			mark, renewed := "write /etc/haproxy/haproxy.cfg.kubectl-ha-unconfirmed", "write /etc/kubectl-ha/client.pem"
			did := lb.did()
			if before, _, found := strings.Cut(did, renewed); !found || !strings.Contains(before, mark) || strings.Contains(did, "\nreload haproxy\nwrite") {
				t.Errorf("did:\n%s", did)
			}
		})
	}
}

func TestCertificatesOfAnotherClusterDoNotCount(t *testing.T) {
	for name, c := range map[string]struct {
		ca, client       string
		certified, renew bool
	}{
		"valid":                 {testCA, clientCertificate(t, 365), true, false},
		"ends soon":             {testCA, clientCertificate(t, 29), true, true},
		"over":                  {testCA, clientCertificate(t, -1), false, false},
		"of the cluster before": {otherCA, clientCertificate(t, 365), false, false},
		"nonsense":              {testCA, "nonsense", false, false},
		"without a CA":          {"", clientCertificate(t, 365), false, false},
		"none":                  {testCA, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.controlPlane("10.10.0.2")
			if c.ca != "" {
				w.hosts["10.10.4.10"].files["/etc/kubectl-ha/ca.crt"] = c.ca
			}
			if c.client != "" {
				w.hosts["10.10.4.10"].files["/etc/kubectl-ha/client.pem"] = c.client
			}
			cluster := w.survey()
			b := cluster.balancers[0]
			if err := cluster.lookAtCertificate(t.Context(), b); err != nil || b.certified != c.certified || b.renew != c.renew {
				t.Errorf("certified %v, renew %v, %v", b.certified, b.renew, err)
			}
		})
	}
}
