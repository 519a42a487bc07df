//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/test/apiload"
)

const haEject = "../../bin/kubectl-ha_eject"

// eject runs the plugin on the cluster file and expects an exit code.
func (s *site) eject(code int, args ...string) result {
	s.t.Helper()
	r := s.run(s.t.Context(), haEject, append([]string{"-f", s.path("cluster.yaml")}, args...)...)
	s.t.Logf("ha-eject %s: exit code %d after %s\n%s%s", strings.Join(args, " "), r.code, r.took.Round(time.Millisecond), r.stderr, r.stdout)
	if r.code != code {
		s.t.Fatalf("exit code %d, want %d", r.code, code)
	}
	return r
}

// refuses expects a refusal that says something.
func (s *site) refuses(says string, args ...string) {
	s.t.Helper()
	if r := s.eject(3, append(args, "--yes")...); !strings.Contains(r.stderr, says) {
		s.t.Errorf("it must say %q", says)
	}
}

// ejectUnderLoad ejects a controller while clients of all kinds go through the load balancer, and expects that none of
// their requests fails.
func (s *site) ejectUnderLoad(args ...string) {
	s.t.Helper()
	s.underLoad(func() { s.eject(0, append(args, "--yes")...) })
}

// underLoad expects that no request through the load balancer fails while something is done.
func (s *site) underLoad(act func()) {
	s.t.Helper()
	s.underLoadAt(s.lbAddress(), act)
}

// underLoadAt expects it of the load balancer at the address, wherever the kubeconfig leads.
func (s *site) underLoadAt(balancer string, act func()) {
	s.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.path("kubeconfig"))
	if err != nil {
		s.t.Fatal(err)
	}
	config.Host = "https://" + net.JoinHostPort(balancer, "6443")
	load, err := apiload.Start(s.t.Context(), apiload.Defaults(config))
	if err != nil {
		s.t.Fatal(err)
	}
	act()
	report := load.Stop()
	s.t.Logf("load through the load balancer: %s", report)
	if len(report.Failures) > 0 {
		s.t.Errorf("%d requests failed", len(report.Failures))
	}
}

// checkEjected sees that nothing of the controller is left: in etcd, the API, HAProxy, the file and on its host.
func (s *site) checkEjected(name string, left ...string) {
	s.t.Helper()
	address := s.host(name).Address().String()
	var members []string
	for _, m := range s.etcdList(0).Members {
		members = append(members, m.Name)
	}
	if !sameSet(members, left) {
		s.t.Errorf("members are %q, want %q", members, left)
	}
	api := s.api()
	objects, err := api.EtcdMembers(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range objects {
		if o.Name == name {
			s.t.Error("its EtcdMember is left")
		}
	}
	controlNodes, err := api.ControlNodes(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range controlNodes {
		if n.Name == name {
			s.t.Error("its ControlNode is left")
		}
	}
	if _, err := api.Client.CoreV1().Nodes().Get(s.t.Context(), name, metav1.GetOptions{}); err == nil {
		s.t.Error("its Node is left")
	}
	s.checkServers(loadBalancer, left...)
	if text := s.sh(loadBalancer, "cat /etc/haproxy/haproxy.cfg; echo 'show servers state' | socat - /var/lib/haproxy/kubectl-ha.sock"); strings.Contains(text, address+":") ||
		strings.Contains(text, " "+address+" ") {
		s.t.Errorf("HAProxy still knows it:\n%s", text)
	}
	if data, err := os.ReadFile(s.path("cluster.yaml")); err != nil || strings.Contains(string(data), address+",") {
		s.t.Errorf("the file still names it: %v\n%s", err, data)
	}
}

// checkClean sees that the host of an ejected controller is as before.
func (s *site) checkClean(name string) {
	s.t.Helper()
	if found := s.sh(name, "ls -A /var/lib/k0s 2>/dev/null; ls -d /etc/cni /opt/cni /etc/k0s/k0s.yaml /etc/k0s/*.token /etc/systemd/system/k0s*.service "+
		"2>/dev/null; pgrep -a 'k0s|etcd|kube-apiserver' || true"); found != "" {
		s.t.Errorf("left on %s:\n%s", name, found)
	}
}

// TestEjectUnderLoad takes a cluster of controllers with kubelets down to one, with one that comes back in between.
func TestEjectUnderLoad(t *testing.T) {
	s := newSite(t, "guide")
	file := clusterFile{members: controllerWorker(guide...)}
	s.write(file)
	s.mustInit()
	s.checkControlPlane(3)

	for _, name := range guide {
		s.keepPodNetwork(name)
	}
	follower := s.etcdList(0).follower()
	if r := s.eject(0, follower, "--dry-run=client"); !strings.Contains(r.stdout, "Nothing was changed") {
		t.Error("a dry run must say so")
	}
	if r := s.eject(3, follower); !strings.Contains(r.stderr, "there is no terminal") {
		t.Error("nobody can be asked")
	}
	s.checkLeaseIsRespected(follower)

	s.ejectUnderLoad(follower)
	left := slices.DeleteFunc(slices.Clone(guide), func(name string) bool { return name == follower })
	s.checkEjected(follower, left...)
	s.checkClean(follower)
	if snapshots, err := filepath.Glob(s.path("etcd-*.db")); err != nil || len(snapshots) != 1 {
		t.Errorf("snapshots: %q, %v", snapshots, err)
	} else if info, err := os.Stat(snapshots[0]); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("the snapshot: %v, %v", info, err)
	}
	if r := s.eject(1, follower, "--yes"); !strings.Contains(r.stderr, "it has been ejected already, or never was one") {
		t.Error("a second run must say that there is nothing to do")
	}

	t.Run("replaced", func(t *testing.T) { s.in(t).replaceFollower(follower) })

	s.write(file)
	s.mustInit()
	s.checkControlPlane(3)
	leader := s.etcdList(0).leader()
	s.ejectUnderLoad(s.host(leader).Address().String(), "--skip-snapshot")
	left = slices.DeleteFunc(slices.Clone(guide), func(name string) bool { return name == leader })
	s.checkEjected(leader, left...)
	s.checkClean(leader)

	last, next := left[0], left[1]
	s.refuses("use --allow-single", next)
	s.ejectUnderLoad(next, "--skip-snapshot", "--allow-single")
	s.checkEjected(next, last)
	s.checkClean(next)
	s.refuses("last voting member", last, "--allow-single")

	s.restorePodNetwork(next)
	s.refuses("use --allow-single", last, "--replace-with", s.target(next))
	s.ejectUnderLoad(last, "--replace-with", s.target(next), "--skip-snapshot", "--allow-single")
	s.checkEjected(last, next)
	s.checkClean(last)
}

// target is a host as it is named on the command line.
func (s *site) target(name string) string { return "root@" + s.host(name).Address().String() }

// replaceFollower puts the one that was ejected in the place of the follower that is left, by a command that is killed while
// either is under way.
func (s *site) replaceFollower(by string) {
	s.restorePodNetwork(by)
	follower := s.etcdList(0).follower()
	args := []string{follower, "--replace-with", s.target(by), "--skip-snapshot", "--yes"}
	if r := s.eject(0, append(args, "--dry-run=client")...); !strings.Contains(r.stdout, "Nothing was changed") || !strings.Contains(r.stdout, by+": write k0s.yaml") {
		s.t.Error("a dry run must show the join")
	}
	s.underLoad(func() {
		for _, moment := range []string{"Join the new controller: joining", "Let HAProxy give the old host"} {
			s.killedAt(moment, haEject, args...)
		}
		s.eject(0, args...)
	})
	s.checkEjected(follower, slices.DeleteFunc(slices.Clone(guide), func(name string) bool { return name == follower })...)
	s.checkClean(follower)
	s.checkEntry(by)
	s.restorePodNetwork(follower)
}

// checkEntry sees that the file names the host.
func (s *site) checkEntry(name string) {
	s.t.Helper()
	if data, err := os.ReadFile(s.path("cluster.yaml")); err != nil || !strings.Contains(string(data), s.host(name).Address().String()+",") {
		s.t.Errorf("the file does not name %s: %v\n%s", name, err, data)
	}
}

// keepPodNetwork keeps a copy of the pod network that the lab brings with its hosts: an ejected host has none.
func (s *site) keepPodNetwork(name string) {
	s.t.Helper()
	s.sh(name, "cd / && tar -cf /root/pod-network.tar $(ls -d etc/cni opt/cni 2>/dev/null) --files-from /dev/null")
}

// restorePodNetwork puts it back, and what else a host of the lab has before it joins.
func (s *site) restorePodNetwork(name string) {
	s.t.Helper()
	s.sh(name, "tar -C / -xf /root/pod-network.tar")
	s.putHostFiles()
}

// checkLeaseIsRespected holds the Lease as another command does.
func (s *site) checkLeaseIsRespected(name string) {
	s.t.Helper()
	_, release, err := s.api().LockOperation(s.t.Context(), "anna@laptop, boot 1, process 1: kubectl ha-join", func(string) bool { return false })
	if err != nil {
		s.t.Fatal(err)
	}
	defer release()
	s.refuses("anna@laptop", name)
}
