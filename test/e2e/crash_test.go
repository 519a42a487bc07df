//go:build e2e

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestKilledAtAnyStepAndRunAgainCompletes kills ha-init (SIGKILL) once at every step it starts and at everything it
// says of a host within a step, and runs it again each time, until a run completes.
func TestKilledAtAnyStepAndRunAgainCompletes(t *testing.T) {
	t.Parallel()
	s := bareSite(t, "guide", "worker-1")
	file := clusterFile{members: append(controllerWorker(guide...), worker("worker-1")...), more: []string{s.askForSyncer("")}}
	file.members[1].more = []string{`hooks: {apply: {after: ["touch /root/after"]}}`}
	s.write(file)
	r := s.killedEverywhere(haInit, []string{
		"Run the hosts' own commands from before", "Give new hosts their names", "Let HAProxy through", "Make running controllers answer",
		"Lead kubernetes.default", "Overwrite join tokens", "Point the kubelets",
	})
	if r.code != 0 {
		t.Fatal("ha-init failed")
	}
	s.sh(guide[1], "test -e /root/after")
	s.checkControlPlane(3)
	s.checkNodes(append([]string{"worker-1"}, guide...)...)
	s.checkServers(loadBalancer, guide...)
	if r := s.mustInit(); !strings.Contains(r.stdout, "Nothing was changed") {
		t.Errorf("after completion nothing must be left to do: %s", r.stdout)
	}
	s.checkNoToken(guide[1])
	s.checkHelper("root", s.syncerKey())
}

// checkNoToken sees that no join token, and no half a file, is left on a host.
func (s *site) checkNoToken(name string) {
	s.t.Helper()
	if leftovers := s.sh(name, "ls /usr/local/bin/*.part-* /etc/k0s/*.part-* 2>/dev/null; cat /etc/k0s/kubectl-ha.token"); strings.Contains(leftovers, "part-") ||
		!strings.HasPrefix(leftovers, "#") {
		s.t.Errorf("left on a host: %s", leftovers)
	}
}

// TestEjectKilledAtAnyStep kills ha-eject as above, on a controller that leads etcd and runs pods, and compares what is
// left of it with what a run leaves that nobody disturbs.
func TestEjectKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide")
	s.write(clusterFile{members: controllerWorker(guide...)})
	s.mustInit()
	s.checkControlPlane(3)

	victim := s.etcdList(0).leader()
	left := slices.DeleteFunc(slices.Clone(guide), func(name string) bool { return name == victim })
	// What the next run comes to later, it need not wait for.
	r := s.killedEverywhere(haEject, []string{"Let clients finish connecting"}, victim, "--yes", "--snapshot=etcd.db", "--timeout=1m")
	// Killed at the very end, it has left nothing to do.
	if r.code != 0 && !(r.code == 1 && strings.Contains(r.stderr, "ejected already")) {
		t.Fatal("ha-eject failed")
	}
	s.checkEjected(victim, left...)
	s.checkClean(victim)
	s.etcdList(0)
	disturbed := s.traces(victim, left[0])

	other := left[1]
	s.eject(0, other, "--yes", "--snapshot=etcd.db", "--allow-single")
	s.checkEjected(other, left[0])
	if undisturbed := s.traces(other, left[0]); undisturbed != disturbed {
		t.Errorf("a run that nobody disturbs leaves\n%s\nand one that is killed again and again leaves\n%s", undisturbed, disturbed)
	}
}

// TestJoinKilledAtAnyStep kills ha-join as above: of a host that the file names, with hooks, and of one that it does not
// name. Then a third one joins that nobody disturbs; it dies, and a fourth one takes its place, by a command that is killed.
func TestJoinKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide", "cp4", "cp5:bare")
	file := clusterFile{members: controller(guide[:2]...)}
	file.members[1].more = []string{
		`hooks: {apply: {before: ["touch /root/before"], after: ["touch /root/after"]}}`,
		`files: [{name: motd, data: "ours\n", dst: /etc/motd.d/ours, perm: "0640"}]`,
	}
	s.write(clusterFile{members: controller(guide[0])})
	s.mustInit()
	s.write(file)
	named, unnamed := s.host(guide[1]).Address().String(), s.host(guide[2]).Address().String()
	r := s.killedEverywhere(haJoin, []string{"Renew the certificate", "Let the syncer", "Overwrite join tokens"}, named, unnamed, "--timeout=1m")
	// Killed at the very end, it has left nothing to do: the hosts are members already.
	if r.code != 0 && !(r.code == 3 && strings.Contains(r.stderr, "it is a member of the control plane already")) {
		t.Fatal("ha-join failed")
	}
	s.checkControlPlane(3)
	s.checkServers(loadBalancer, guide...)
	s.sh(guide[1], "test -e /root/before && test -e /root/after && test -e /etc/motd.d/ours")
	for _, name := range guide[1:] {
		s.checkNoToken(name)
	}
	file.members = append(file.members, controller(guide[2])...)
	if got, err := os.ReadFile(s.path("cluster.yaml")); err != nil || string(got) != s.text(clusterFile{members: file.members, balancers: []string{loadBalancer}}) {
		t.Errorf("the cluster file: %v\n%s", err, got)
	}
	s.haJoin(3, unnamed) // it is a member now

	s.haJoin(0, s.host("cp4").Address().String())
	if disturbed, undisturbed := s.traces(guide[2], guide[0]), s.traces("cp4", guide[0]); undisturbed != disturbed {
		t.Errorf("a run that nobody disturbs leaves\n%s\nand one that is killed again and again leaves\n%s", undisturbed, disturbed)
	}

	t.Run("replace", func(t *testing.T) { s.in(t).replaceDead("cp4", "cp5", append(slices.Clone(guide), "cp5")...) })
}

// replaceDead kills a host and puts another one in its place, by a command that is killed again and again.
func (s *site) replaceDead(dead, by string, left ...string) {
	if err := s.host(dead).Kill(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	args := []string{dead, "--replace-with", s.target(by), "--snapshot=etcd.db", "--yes"}
	for _, moment := range []string{
		"Put the old host's servers", "Join the new controller: joining", "Take the old host out", "Delete the old host's Node", "Verify etcd members",
	} {
		s.killedAt(moment, haEject, args...)
	}
	s.eject(0, args...)
	s.checkEjected(dead, left...)
	s.checkEntry(by)
	if r := s.eject(0, args...); !strings.Contains(r.stdout, by+" has taken the place of "+dead) {
		s.t.Error("a run that has nothing left to do must say so")
	}
	s.checkEjected(dead, left...)
}

// traces is all that there is of a host: on itself, in HAProxy, etcd, the API and the file; without its name and address,
// so that it can be compared with that of another host. The other controller named says what is in etcd.
func (s *site) traces(name, by string) string {
	s.t.Helper()
	address := s.host(name).Address().String()
	all := s.sh(name, `find /etc/k0s /etc/systemd/system/k0s* /etc/systemd/system/*.wants/k0s* /etc/cni /opt/cni /var/lib/k0s -maxdepth 2 `+
		`-printf '%p %y %m %u\n' 2>/dev/null | sort; systemctl is-enabled k0scontroller; systemctl is-active k0scontroller; `+
		`cat /etc/k0s/k0s.yaml /etc/k0s/kubectl-ha.token /etc/systemd/system/k0scontroller.service 2>/dev/null; k0s version; true`)
	all += "\n" + s.sh(loadBalancer, `grep -w `+address+` /etc/haproxy/haproxy.cfg | sed 's/server [^ ]* /server /'; `+
		`echo 'show stat' | socat - /var/lib/haproxy/kubectl-ha.sock | grep `+address+`: | cut -d, -f1,18,19,20,74 | sed 's/[0-9]*$//'; true`)
	all += "\netcd: " + s.sh(by, `k0s etcd member-list 2>/dev/null | grep -o '"`+name+`":"[^"]*"' || true`)
	api := s.api()
	members, err := api.EtcdMembers(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range members {
		if m.Name == name {
			all += "\nEtcdMember at " + m.PeerAddress.String()
		}
	}
	nodes, err := api.ControlNodes(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Name == name {
			all += "\nControlNode"
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(all, address, "ADDRESS"), name, "NAME")
}
