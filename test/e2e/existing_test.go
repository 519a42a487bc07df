//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestASingleControllerBecomesHighlyAvailable(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide", "worker-1", "worker-2")
	s.startByHand(guide[0], "", "")
	s.workerByHand("worker-1", guide[0])
	s.workerByHand("worker-2", guide[0]) // and the file will not name this one
	before, err := s.direct(guide[0])
	if err != nil {
		t.Fatal(err)
	}
	deployment, err := before.Client.AppsV1().Deployments("default").Create(t.Context(), demoDeployment(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	s.startKubeProxy("worker-1", guide[0])
	s.askFromInside("worker-1", guide[0])

	file := clusterFile{members: append(controllerWorker(guide...), worker("worker-1")...)}
	s.write(file)
	r := s.mustInit()
	if !strings.Contains(r.stderr, "worker-2 is not in the file") {
		t.Errorf("a worker that the file does not name must be named")
	}
	s.checkControlPlane(3)
	s.checkServers(loadBalancer, guide...)

	after := s.api()
	kept, err := after.Client.AppsV1().Deployments("default").Get(t.Context(), deployment.Name, metav1.GetOptions{})
	if err != nil || kept.UID != deployment.UID {
		t.Errorf("the Deployment must stay: %v, %v", kept, err)
	}
	s.eventually("kubernetes.default leads to the load balancer", func(ctx context.Context) error {
		slices, err := after.Client.DiscoveryV1().EndpointSlices("default").List(ctx,
			metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
		if err != nil {
			return err
		}
		var addresses []string
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				addresses = append(addresses, endpoint.Addresses...)
			}
		}
		if !sameSet(addresses, []string{s.lbAddress()}) {
			return fmt.Errorf("it leads to %q", addresses)
		}
		return nil
	})
	s.eventually("kube-proxy follows", func(context.Context) error {
		if leads := s.leadsTo("worker-1"); leads != s.lbAddress()+":6443" {
			return fmt.Errorf("it leads to %q", leads)
		}
		return nil
	})
	s.askFromInside("worker-1", guide[0])
	if server := s.sh("worker-1", "grep server: /var/lib/k0s/kubelet.conf"); !strings.Contains(server, s.lbAddress()) {
		t.Errorf("the kubelet of worker-1 asks %s, not the load balancer", server)
	}
	if copied := s.sh(guide[0], "cat /etc/k0s/k0s.yaml.kubectl-ha-backup"); !strings.HasPrefix(copied, "# written by hand") {
		t.Errorf("the user's k0s.yaml must be kept: %s", copied)
	}
	s.eventually("worker-1 stays Ready", func(ctx context.Context) error {
		nodes, err := after.Nodes(ctx)
		for _, n := range nodes {
			if n.Name == "worker-1" && n.Ready {
				return nil
			}
		}
		return fmt.Errorf("worker-1 is not Ready: %+v, %w", nodes, err)
	})
	if again := s.mustInit(); !strings.Contains(again.stdout, "Nothing was changed") {
		t.Errorf("a second run must change nothing: %s", again.stdout)
	}
}

func demoDeployment() *appsv1.Deployment {
	labels := map[string]string{"app": "kept"}
	replicas := int32(1)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "kept"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "pause", Image: "registry.invalid/pause"}}},
			},
		},
	}
}

// TestAClusterMadeByOtherMeansIsAdopted starts from what k0sctl and the guide leave: three controllers, and HAProxy set
// up by hand. Only what is missing is added, and no connection is refused meanwhile.
func TestAClusterMadeByOtherMeansIsAdopted(t *testing.T) {
	t.Parallel()
	s := newSite(t, guide[0], guide[1], guide[2], "haproxy:haproxy")
	users := s.guideHAProxy()
	s.startByHand(guide[0], s.lbAddress(), "")
	for _, name := range guide[1:] {
		s.startByHand(name, s.lbAddress(), s.sh(guide[0], "k0s token create --role controller --expiry 10m"))
	}
	pids := func() string {
		var all string
		for _, name := range guide {
			all += s.sh(name, "systemctl show -p MainPID k0scontroller")
		}
		return all
	}
	before := pids()
	s.write(clusterFile{members: controllerWorker(guide...)})

	refused := s.haInit()
	if refused.code != 3 || !strings.Contains(refused.stderr, "--adopt-haproxy") || !strings.Contains(refused.stderr, "\n-    server "+guide[0]) {
		t.Errorf("without a terminal, taking over must be refused with a diff: exit code %d\n%s", refused.code, refused.stderr)
	}

	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // only whether it is answered
	l := newLoad(t, func(ctx context.Context) error {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.lbAddress(), "6443"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
	s.mustInit("--adopt-haproxy")
	tried, failed := l.end()
	t.Logf("%d new connections while HAProxy was taken over, %d failed", tried, len(failed))
	if tried < 20 || len(failed) > 0 {
		t.Errorf("connections: %d tried, failed: %q", tried, failed)
	}
	if after := pids(); after != before {
		t.Errorf("k0s was restarted: %s became %s", before, after)
	}
	s.checkControlPlane(3)
	s.checkServers(loadBalancer, guide...)
	cfg := s.sh(loadBalancer, "cat /etc/haproxy/haproxy.cfg")
	for _, kept := range []string{"# Fronends", "# Backends", "listen stats\n    bind *:9000", "maxconn     4000"} {
		if !strings.Contains(cfg, kept) {
			t.Errorf("%q of the user's is gone:\n%s", kept, cfg)
		}
	}
	if strings.Count(cfg, "bind :6443") != 1 || strings.Count(cfg, "\nbackend kubeAPI_backend\n") != 1 {
		t.Errorf("the user's sections must be replaced:\n%s", cfg)
	}
	if backup := s.sh(loadBalancer, "cat /etc/haproxy/haproxy.cfg?*backup*"); backup != strings.TrimSuffix(users, "\n") {
		t.Errorf("the copy of the user's file differs from it:\n%s", backup)
	}
	if again := s.mustInit(); !strings.Contains(again.stdout, "Nothing was changed") {
		t.Errorf("a second run must change nothing: %s", again.stdout)
	}
}
