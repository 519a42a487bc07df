//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/test/apiload"
)

const secondBalancer = "haproxy-2"

// patiently is how long members are waited for where five controllers share a small machine.
const patiently = "5s"

// TestFaults ejects from and joins to five controllers behind two load balancers while something is wrong, or goes wrong.
// Each part begins where the one before has ended.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide", "cp4", "cp5", "cp6:bare", secondBalancer+":haproxy")
	s.writeBehindTwo(guide[0], guide[1], guide[2], "cp4", "cp5")
	s.mustInit()
	s.checkControlPlane(5)
	for _, balancer := range []string{loadBalancer, secondBalancer} {
		s.checkServers(balancer, guide[0], guide[1], guide[2], "cp4", "cp5")
	}
	for _, c := range []struct {
		name string
		test func(s *site)
	}{
		{"refused", (*site).faultsRefused},
		{"another controller dies", (*site).ejectWhileAnotherDies},
		{"the way to a joiner is cut, and a load balancer freezes", (*site).joinThroughFaults},
		{"two are dead", (*site).ejectTheDead},
		{"a survivor is frozen", (*site).ejectBesideFrozen},
		{"the way to a leaver is cut, and a load balancer freezes", (*site).ejectThroughFaults},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.test(s.in(t)) }) {
			break
		}
	}
}

// writeBehindTwo writes the file of these controllers behind both load balancers.
func (s *site) writeBehindTwo(names ...string) {
	s.t.Helper()
	s.write(clusterFile{
		members: controller(names...), balancers: []string{loadBalancer, secondBalancer},
		more: []string{"address: " + s.lbAddress()},
	})
}

// says expects words in what a run said.
func (s *site) says(r result, words ...string) {
	s.t.Helper()
	for _, word := range words {
		if !strings.Contains(r.stderr+r.stdout, word) {
			s.t.Errorf("it must say %q", word)
		}
	}
}

// faultsRefused brings about what keeps controllers from leaving and joining, one thing after the other.
func (s *site) faultsRefused() {
	before := s.fingerprint()
	leaver, joiner, odd := "cp5", s.host("cp6").Address().String(), "cp4"
	ejectSays := func(words ...string) { s.t.Helper(); s.says(s.eject(3, leaver, "--yes"), words...) }
	joinSays := func(words ...string) { s.t.Helper(); s.says(s.haJoin(3, joiner, "--timeout=5s"), words...) }

	plans := s.api().Dynamic.Resource(schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "plans"})
	plan := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autopilot.k0sproject.io/v1beta2", "kind": "Plan", "metadata": map[string]any{"name": "autopilot"},
		"spec": map[string]any{"id": "id123", "timestamp": "1", "commands": []any{}},
	}}
	if _, err := plans.Create(s.t.Context(), plan, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	ejectSays("a k0s upgrade is in progress")
	joinSays("a k0s upgrade is in progress")
	if err := plans.Delete(s.t.Context(), "autopilot", metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}

	alarm := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: s.memberID(guide[0]), Alarm: etcdserverpb.AlarmType_NOSPACE}
	client := s.etcd(guide[0])
	maintenance := etcdserverpb.NewMaintenanceClient(client.ActiveConnection())
	if _, err := maintenance.Alarm(s.t.Context(), alarm); err != nil {
		s.t.Fatal(err)
	}
	ejectSays("the alarm NOSPACE on " + guide[0])
	alarm.Action = etcdserverpb.AlarmRequest_DEACTIVATE
	if _, err := maintenance.Alarm(s.t.Context(), alarm); err != nil {
		s.t.Fatal(err)
	}

	// The host that leaves runs, and lets nobody in.
	s.sh(leaver, "systemctl stop ssh.socket ssh.service 2>&1; pkill -x sshd || true")
	ejectSays("cannot be reached by SSH", "but its API server at", "use --force")
	s.says(s.eject(0, leaver, "--force", "--dry-run=client"), "Nothing was changed")
	s.sh(leaver, "systemctl start ssh")

	if err := s.host("cp6").ShiftClock(s.t.Context(), time.Minute); err != nil {
		s.t.Fatal(err)
	}
	joinSays("its clock is", "apart from that of")
	if err := s.host("cp6").ShiftClock(s.t.Context(), 0); err != nil {
		s.t.Fatal(err)
	}
	s.sh("cp6", `printf '#!/bin/sh\n[ "$1" = version ] && echo v1.30.0+k0s.0\n' >/usr/local/bin/k0s && chmod 755 /usr/local/bin/k0s`)
	file := clusterFile{members: controller(append(slices.Clone(guide), "cp4", "cp5", "cp6")...), balancers: []string{loadBalancer, secondBalancer},
		more: []string{"address: " + s.lbAddress()}, noK0s: true}
	file.members[5].more = []string{"useExistingK0s: true"}
	s.write(file)
	joinSays("its k0s is v1.30.0+k0s.0, not ")
	s.sh("cp6", "rm /usr/local/bin/k0s")
	s.writeBehindTwo(append(slices.Clone(guide), "cp4", "cp5")...)

	// A member that the others cannot reach has not heard of a learner.
	var others []string
	for _, name := range append(slices.Clone(guide), "cp5") {
		others = append(others, s.host(name).Address().String())
	}
	s.sh(odd, "lab-cut "+strings.Join(others, " "))
	added, err := client.MemberAddAsLearner(s.t.Context(), []string{"https://" + netip.AddrPortFrom(s.host("cp6").Address().Next(), 2380).String()})
	if err != nil {
		s.t.Fatal(err)
	}
	id := strconv.FormatUint(added.Member.ID, 16)
	learner := "unstarted member " + id + " is still a learner"
	ejectSays("the members disagree on who its members are", learner, odd+" (")
	joinSays("the members disagree on who its members are", odd, "it is a member of the control plane and is not ready")
	if err := s.host(odd).Heal(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("all members agree again", func(context.Context) error {
		if r := s.run(s.t.Context(), etcdMembers, "-f", s.path("cluster.yaml")); strings.Contains(r.stdout, "disagree") || strings.Contains(r.stdout, odd+" (") {
			return errors.New(r.stdout)
		}
		return nil
	})
	ejectSays(learner)
	joinSays(learner, "kubectl etcd-members remove "+id)
	s.etcdMembers(0, "remove", id, "-y", "--timeout", patiently)
	s.eventually("all members are well", s.membersAreWell)
	if after := s.fingerprint(); after != before {
		s.t.Errorf("something was changed:\n%s\nbecame\n%s", before, after)
	}
}

// membersAreWell asks as a script does.
func (s *site) membersAreWell(ctx context.Context) error {
	if r := s.run(ctx, etcdMembers, "-f", s.path("cluster.yaml")); r.code != 0 {
		return errors.New(r.stdout)
	}
	return nil
}

// at does something to the lab when a run says a moment for the first time, by how the moment begins.
func (s *site) at(moment string, do func(context.Context) error) func(string) bool {
	done := false
	s.t.Cleanup(func() {
		if !done {
			s.t.Errorf("no run came to %q", moment)
		}
	})
	return func(said string) bool {
		if !done && strings.HasPrefix(said, moment) {
			done = true
			if err := do(s.t.Context()); err != nil {
				s.t.Error(err)
			}
		}
		return false
	}
}

const (
	stopping = "Stop k0s on the host and remove its member from etcd, in the order that keeps the quorum: stopping k0s"
	draining = "Let HAProxy give the host no new connections"
)

// ejectWhileAnotherDies freezes a controller when the removal of another one has begun: before k0s is stopped there, and
// after that.
func (s *site) ejectWhileAnotherDies() {
	leaver, dying := "cp5", "cp4"
	for _, moment := range []string{draining, stopping} {
		r := s.follow(haEject, nil, s.at(moment, s.host(dying).Freeze), leaver, "--yes", "--skip-snapshot")
		if r.code != 3 {
			s.t.Errorf("exit code %d, want 3", r.code)
		}
		s.says(r, "removing "+leaver+" (", "from etcd is refused", dying+" (", "does not answer")
		list := s.etcdList(1, "--timeout", patiently)
		if list.Quorum.Voters != 5 || list.Quorum.MayFail < 0 {
			s.t.Errorf("quorum: %+v", list.Quorum)
		}
		s.eventually("the API writes", func(ctx context.Context) error { return s.writes(ctx) })
		if err := s.host(dying).Thaw(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		s.eventually("all members are well", s.membersAreWell)
		s.eventually("everybody gets connections again", func(context.Context) error { return s.allUp(5) })
	}
	s.eject(0, leaver, "--yes", "--skip-snapshot")
	s.checkEjected(leaver, append(slices.Clone(guide), "cp4")...)
	s.checkServers(secondBalancer, append(slices.Clone(guide), "cp4")...)
	s.checkClean(leaver)
}

// writes has the API write something, which needs etcd's quorum.
func (s *site) writes(ctx context.Context) error {
	_, release, err := s.api().LockOperation(ctx, "a test", func(string) bool { return false })
	if err == nil {
		release()
	}
	return err
}

// allUp sees so many API servers up, on both load balancers.
func (s *site) allUp(n int) error {
	for _, balancer := range []string{loadBalancer, secondBalancer} {
		up := 0
		for _, fields := range s.stats(balancer, "kubeAPI_backend") {
			if strings.HasPrefix(fields["status"], "UP") {
				up++
			}
		}
		if up != n {
			return fmt.Errorf("%d are up on %s", up, balancer)
		}
	}
	return nil
}

// cutFromHere cuts the way from this machine to a host; the cluster's own ways stay.
func (s *site) cutFromHere(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.host(name).Exec(ctx, `lab-cut "$(ip -4 route show default | cut -d' ' -f3)"`, nil)
		return err
	}
}

func (s *site) heal(name string) {
	s.t.Helper()
	if err := s.host(name).Heal(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// joinThroughFaults lets cp5 join again, which left just now.
func (s *site) joinThroughFaults() {
	s.putHostFiles()
	joiner := s.host("cp5")
	target := joiner.Address().String()
	const joining = "Join the controllers, one after another: joining etcd"
	r := s.follow(haJoin, nil, s.at(joining, s.cutFromHere("cp5")), target)
	if r.code != 1 {
		s.t.Errorf("exit code %d, want 1", r.code)
	}
	s.says(r, "waiting until the API server on cp5 is ready", "root@"+target+":22: connection lost")
	s.heal("cp5")

	r = s.follow(haJoin, nil, s.at("Send connections to them, too", s.host(secondBalancer).Freeze), target)
	if r.code != 1 {
		s.t.Errorf("exit code %d, want 1", r.code)
	}
	second := "root@" + s.host(secondBalancer).Address().String() + ":22: connection lost"
	s.says(r, "Send connections to them, too", second)
	if err := s.host(secondBalancer).Thaw(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.says(s.haJoin(0, target), "has 5 controllers")
	s.checkControlPlane(5)
	all := append(slices.Clone(guide), "cp4", "cp5")
	s.checkServers(loadBalancer, all...)
	s.checkServers(secondBalancer, all...)
	s.checkNoToken("cp5")
}

// ejectTheDead kills two of the five, ejects one of them while clients of all kinds go through the load balancer, and makes
// an orphan of the other one.
func (s *site) ejectTheDead() {
	config, err := clientcmd.BuildConfigFromFlags("", s.path("kubeconfig"))
	if err != nil {
		s.t.Fatal(err)
	}
	start := time.Now()
	few := apiload.Defaults(config) // five controllers leave a small machine little
	few.NewConnections, few.FarConnections, few.ClientRate = 10, 5, 4
	load, err := apiload.Start(s.t.Context(), few)
	if err != nil {
		s.t.Fatal(err)
	}
	dead, orphan := guide[0], "cp4" // the file's first is what commands work through
	for _, name := range []string{dead, orphan} {
		killed := time.Now()
		if err := s.host(name).Kill(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		s.awaitDown(name)
		s.t.Logf("HAProxy has marked %s down %s after it was killed", name, time.Since(killed).Round(10*time.Millisecond))
	}
	marked := time.Since(start)
	second := s.host(orphan).Address().String()
	s.says(s.eject(3, dead, "--yes", "--skip-snapshot"), orphan+" (", "does not answer", dead+" (", "is down, too", "use --force")
	r := s.eject(0, dead, "--yes", "--skip-snapshot", "--force")
	s.says(r, orphan+" (", "is down", "If it ever comes back, run on it: k0s stop; k0s reset")
	report := load.Stop()
	s.t.Logf("load: %s", report)
	for _, f := range report.Failures {
		if f.At > marked {
			s.t.Errorf("%s after HAProxy had marked the hosts down, a request failed: %s, %v", f.At-marked, f.Kind, f.Err)
		}
	}
	up := []string{guide[1], guide[2], "cp5"}
	s.checkGone(dead, append([]string{orphan}, up...)...)

	// Another tool has forgotten everything of the second one but its vote.
	s.writeBehindTwo(up...)
	for _, o := range []schema.GroupVersionResource{
		{Group: "etcd.k0sproject.io", Version: "v1beta1", Resource: "etcdmembers"}, {Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes"},
	} {
		if err := s.api().Dynamic.Resource(o).Delete(s.t.Context(), orphan, metav1.DeleteOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
	list := s.etcdMembers(1, "--timeout", patiently)
	s.says(list, orphan+" (", "is an orphan", "kubectl etcd-members remove "+orphan)
	remedy := "take it out with `kubectl ha-eject " + second + "`"
	s.says(s.haJoin(3, s.host("cp6").Address().String(), "--timeout=5s"), remedy)
	if r := s.haInit("--timeout=5s"); r.code != 3 {
		s.t.Errorf("ha-init: exit code %d, want 3", r.code)
	} else {
		s.says(r, remedy)
	}
	s.eject(0, idIn(list.stdout, orphan), "--yes", "--skip-snapshot")
	s.checkGone(orphan, up...)
	s.eventually("all members are well", s.membersAreWell)
}

// idIn is a member's ID in the table that etcd-members prints.
func idIn(table, name string) string {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			return fields[1]
		}
	}
	return name
}

// checkGone sees that an ejected controller is in no list, and that the load balancers have only those that stay.
func (s *site) checkGone(name string, left ...string) {
	s.t.Helper()
	address := s.host(name).Address().String()
	for _, balancer := range []string{loadBalancer, secondBalancer} {
		if text := s.sh(balancer, "cat /etc/haproxy/haproxy.cfg; echo 'show servers state' | socat - /var/lib/haproxy/kubectl-ha.sock"); strings.Contains(text, address+":") ||
			strings.Contains(text, " "+address+" ") {
			s.t.Errorf("%s still knows it:\n%s", balancer, text)
		}
	}
	var members []string
	for _, m := range s.memberList(guide[1]) {
		members = append(members, m.Name)
	}
	if !sameSet(members, left) {
		s.t.Errorf("members are %q, want %q", members, left)
	}
}

// awaitDown waits until the load balancer that clients use has marked all servers of a host down.
func (s *site) awaitDown(name string) {
	s.t.Helper()
	address := s.host(name).Address().String()
	s.eventually(name+" is marked down", func(context.Context) error {
		for _, backend := range []string{"kubeAPI_backend", "konnectivity_backend", "controllerJoinAPI_backend"} {
			for _, fields := range s.stats(loadBalancer, backend) {
				if strings.HasPrefix(fields["addr"], address+":") && !strings.HasPrefix(fields["status"], "DOWN") {
					return fmt.Errorf("it is %s in %s", fields["status"], backend)
				}
			}
		}
		return nil
	})
}

// ejectBesideFrozen wants to leave one healthy member of two.
func (s *site) ejectBesideFrozen() {
	s.freeze(guide[2])
	s.refuses("quorum would be lost: of the 2 voters that remain 2 must be healthy, and 1 are", "cp5", "--skip-snapshot", "--force")
	joiner := s.host("cp6").Address().String()
	s.says(s.haJoin(3, joiner, "--timeout=5s"), "connecting to root@"+s.host(guide[2]).Address().String())
}

// ejectThroughFaults ejects cp5, of three: the way to it is cut when its k0s is being stopped, and a load balancer freezes
// when that is done once more.
func (s *site) ejectThroughFaults() {
	leaver := s.host("cp5")
	address := leaver.Address().String()
	r := s.follow(haEject, nil, s.at(stopping, s.cutFromHere("cp5")), "cp5", "--yes", "--skip-snapshot")
	if r.code != 1 {
		s.t.Errorf("exit code %d, want 1", r.code)
	}
	s.says(r, "Stop k0s on the host", "root@"+address+":22: connection lost", "its member cp5 (", "run the command again")
	s.heal("cp5")
	s.sh("cp5", "flock -w 30 /run/lock/kubectl-ha.lock true") // it ends, though sshd there does not know that the holder is gone

	r = s.follow(haEject, nil, s.at(stopping, s.host(secondBalancer).Freeze), address, "--yes", "--skip-snapshot")
	if r.code != 1 {
		s.t.Errorf("exit code %d, want 1", r.code)
	}
	second := "root@" + s.host(secondBalancer).Address().String()
	s.says(r, "Put the host's servers into maintenance", second+":22: connection lost")
	s.says(s.eject(3, address, "--yes", "--skip-snapshot"), second, "bring the load balancer back, or take it out of the file")
	if err := s.host(secondBalancer).Thaw(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.eject(0, address, "--yes", "--skip-snapshot")
	s.checkGone("cp5", guide[1:]...)
	s.checkClean("cp5")
	if data, err := os.ReadFile(s.path("cluster.yaml")); err != nil || strings.Contains(string(data), address+",") {
		s.t.Errorf("the file still names it: %v\n%s", err, data)
	}
}
