//go:build e2e

package e2e

import (
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// byKubeconfig runs a plugin that has to find the control plane by the kubeconfig, and expects an exit code.
func (s *site) byKubeconfig(plugin string, code int, args ...string) result {
	s.t.Helper()
	r := s.run(s.t.Context(), plugin, append([]string{"--kubeconfig", s.path("kubeconfig"), "--ssh-key", s.KeyPath()}, args...)...)
	s.t.Logf("%s %s: exit code %d after %s\n%s%s", plugin, strings.Join(args, " "), r.code, r.took.Round(time.Millisecond), r.stderr, r.stdout)
	if r.code != code {
		s.t.Fatalf("exit code %d, want %d", r.code, code)
	}
	return r
}

// withoutAFile ejects cp5 and lets it join again, with nothing but the kubeconfig and what ha-init and ha-join have noted in
// the cluster.
func (s *site) withoutAFile() {
	all := append(slices.Clone(guide), "cp4", "cp5")
	joiner := s.host("cp5").Address().String()
	file, err := os.ReadFile(s.path("cluster.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.checkNote(all...)

	s.byKubeconfig(haEject, 0, "cp5", "--yes", "--skip-snapshot")
	s.checkServers(loadBalancer, all[:4]...)
	s.checkNote(all[:4]...)

	maps := s.api().Client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	if err := maps.Delete(s.t.Context(), kube.NoteName, metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
	for _, args := range [][]string{{haJoin, joiner}, {haEject, "cp4", "--yes"}} {
		if r := s.byKubeconfig(args[0], 1, args[1:]...); !strings.Contains(r.stderr, "name the cluster file with -f FILE, or HAProxy's host with --lb") {
			s.t.Error("it must name the remedies")
		}
	}
	dry := s.byKubeconfig(haJoin, 0, "root@"+joiner, "--lb", "root@"+s.host(loadBalancer).Address().String(), "--dry-run=client")
	if !strings.Contains(dry.stdout, "cp5: write k0s.yaml") || !strings.Contains(dry.stdout, "Nothing was changed") {
		s.t.Error("a dry run must show the join")
	}
	// A command that is given the file notes again what the cluster has lost.
	s.write(clusterFile{members: controller(all[:4]...)})
	s.haJoin(0)
	s.checkNote(all[:4]...)
	if err := os.WriteFile(s.path("cluster.yaml"), file, 0o600); err != nil {
		s.t.Fatal(err)
	}

	unreachable := guide[1]
	s.putHostFiles()
	s.sh(unreachable, "systemctl stop ssh.socket ssh 2>/dev/null; ! ss -ltn | grep -q ':22 '")
	r := s.byKubeconfig(haJoin, 0, "root@"+joiner)
	s.sh(unreachable, "systemctl start ssh")
	if !strings.Contains(r.stderr, s.host(unreachable).Address().String()) || !strings.Contains(r.stderr, "is taken from its API server") {
		s.t.Error("the controller that cannot be reached must be named")
	}
	s.checkServers(loadBalancer, all...)
	s.checkControlPlane(5)
	s.checkNote(all...)
	secrets, err := s.api().Client.CoreV1().Secrets(metav1.NamespaceSystem).List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, secret := range secrets.Items {
		if secret.Type == corev1.SecretTypeBootstrapToken {
			s.t.Errorf("the token %s is left: %s", secret.Name, secret.Data["description"])
		}
	}
	if token := s.sh("cp5", "cat /etc/k0s/kubectl-ha.token"); !strings.HasPrefix(token, "#") {
		s.t.Error("a token is left on the host")
	}
	if now, err := os.ReadFile(s.path("cluster.yaml")); err != nil || string(now) != string(file) {
		s.t.Errorf("a file that no command was given was changed: %v\n%s", err, now)
	}
}

// checkNote sees whether the cluster has noted these controllers.
func (s *site) checkNote(names ...string) {
	s.t.Helper()
	note, err := s.api().Note(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range s.Hosts() {
		wanted := slices.Contains(names, h.Name()) || h.Name() == loadBalancer
		if noted := strings.Contains(note, "address: "+h.Address().String()+"\n"); noted != wanted {
			s.t.Errorf("%s is noted: %v, want %v:\n%s", h.Name(), noted, wanted, note)
		}
	}
	if strings.Contains(note, s.KeyPath()) {
		s.t.Errorf("a path of this machine is noted:\n%s", note)
	}
}
