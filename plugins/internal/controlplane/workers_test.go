package controlplane

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

func kubeletConf(server, ca string) string {
	return "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: " +
		base64.StdEncoding.EncodeToString([]byte(ca)) + "\n    server: " + server + "\n  name: default-cluster\n" +
		"contexts:\n- context:\n    cluster: default-cluster\n    user: default-auth\n  name: default-context\n" +
		"current-context: default-context\nusers:\n- name: default-auth\n  user: {}\n"
}

func TestMisdirectedWorkers(t *testing.T) {
	for server, want := range map[string]bool{
		"https://10.10.0.2:6443":           true,
		"https://10.10.4.10:6443":          false,
		"https://[::ffff:10.10.4.10]:6443": false,
		"https://cp1.example:6443":         true,
	} {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2")
		w.joinWorker("10.10.20.2", testCA)
		w.hosts["10.10.20.2"].files["/var/lib/k0s/kubelet.conf"] = kubeletConf(server, testCA)
		if got := len(w.survey().misdirected()) > 0; got != want {
			t.Errorf("%s: got %v", server, got)
		}
	}
	if hosts := newWorld(t, guideFile).survey().misdirected(); len(hosts) > 0 {
		t.Errorf("a bare host points nowhere: %v", hosts)
	}
}

// A run that is cut off after the file was changed must not leave a kubelet that never reads it: k0s is stopped
// meanwhile, and the next run starts whatever is stopped.
func TestAKubeletIsRepointedWhileK0sIsStopped(t *testing.T) {
	const conf = "/var/lib/k0s/kubelet.conf"
	run := func(fail map[string]error) (*fakeHost, error) {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2")
		w.joinWorker("10.10.20.2", testCA)
		h := w.hosts["10.10.20.2"]
		h.fail = fail
		c := w.survey()
		c.api = &api{kube: &kube.Cluster{Client: fake.NewClientset()}}
		return h, c.repoint(t.Context())
	}
	h, err := run(nil)
	if want := "stop k0sworker\nwrite " + conf + "\nstart k0sworker"; err != nil || h.did() != want {
		t.Errorf("got %v after:\n%s", err, h.did())
	}
	if !strings.Contains(h.files[conf], "server: https://10.10.4.10:6443\n") {
		t.Errorf("kubelet.conf is %s", h.files[conf])
	}

	h, err = run(map[string]error{"write " + conf: errBroken})
	if want := "stop k0sworker\nwrite " + conf + "\nstart k0sworker"; err == nil || h.did() != want {
		t.Errorf("k0s must not stay stopped; got %v after:\n%s", err, h.did())
	}
	h, err = run(map[string]error{"stop k0sworker": errBroken})
	if err == nil || err.Error() != "root@10.10.20.2:22: broken" || h.did() != "stop k0sworker" {
		t.Errorf("got %v after:\n%s", err, h.did())
	}
}

// The steps after the conversion may be cut off, so it is said before. A dry run says it, too.
func TestWorkersThatTheFileDoesNotNameAreNamedWhenTheAddressChanges(t *testing.T) {
	node := func(name string, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	w := newWorld(t, guideFile)
	w.controlPlane("10.10.0.2")
	w.hosts["10.10.0.2"].files[k0s.ConfigPath] = "spec: {api: {address: 10.10.0.2}}"
	w.joinWorker("10.10.20.2", testCA)
	c := w.survey()
	c.api = &api{kube: &kube.Cluster{Client: fake.NewClientset(node("w1", nil), node("w9", nil),
		node("cp9", map[string]string{kube.ControlPlaneLabel: "control-plane"}))}}
	const said = "the worker w9 is not in the file: on it, set the server in /var/lib/k0s/kubelet.conf to https://10.10.4.10:6443 and restart " +
		"k0sworker, if it names a controller"
	lines, err := c.detailConvert(t.Context())
	got := strings.Join(lines, "\n")
	if err != nil || !strings.HasSuffix(lines[0], "; restart k0s") || !strings.HasSuffix(got, "\n"+said) ||
		!strings.Contains(got, "\n+    externalAddress: 10.10.4.10\n") {
		t.Errorf("a dry run says %s, %v", got, err)
	}
	w.hosts["10.10.0.2"].fail["restart k0scontroller"] = errBroken
	if err := c.convert(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if got := w.err.String(); strings.Count(got, "warning:") != 1 || !strings.Contains(got, "warning: "+said) {
		t.Errorf("said: %s", got)
	}
}

func TestNewWorkers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		want   int
	}{
		"bare":   {func(*world) {}, 1},
		"joined": {func(w *world) { w.joinWorker("10.10.20.2", testCA) }, 0},
		"joined, but down": {func(w *world) {
			w.joinWorker("10.10.20.2", testCA)
			w.hosts["10.10.20.2"].facts.Services[k0s.WorkerService] = "failed"
		}, 1},
	} {
		w := newWorld(t, guideFile)
		w.controlPlane("10.10.0.2")
		c.change(w)
		if got := len(w.survey().newWorkers()); got != c.want {
			t.Errorf("%s: got %d", name, got)
		}
	}
}
