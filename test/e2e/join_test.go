//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/test/apiload"
	"github.com/kubectl-ha/kubectl-ha/test/lab"
)

const haJoin = "../../bin/kubectl-ha_join"

// haJoin runs the plugin on the site's cluster file and expects an exit code.
func (s *site) haJoin(code int, args ...string) result {
	s.t.Helper()
	r := s.run(s.t.Context(), haJoin, append([]string{"-f", s.path("cluster.yaml")}, args...)...)
	s.t.Logf("ha-join %s: exit code %d after %s\n%s%s", strings.Join(args, " "), r.code, r.took.Round(time.Millisecond), r.stderr, r.stdout)
	if r.code != code {
		s.t.Fatalf("exit code %d, want %d", r.code, code)
	}
	return r
}

func TestJoin(t *testing.T) {
	s := newSite(t, "guide", "cp4", "cp5:bare")
	s.write(clusterFile{members: controller(guide...)})
	if r := s.haJoin(3); !strings.Contains(r.stderr, "there is no control plane") || !strings.Contains(r.stderr, "kubectl ha-init") {
		t.Error("without a control plane, ha-init must be named")
	}
	s.mustInit()
	s.checkControlPlane(3)
	for _, c := range []struct {
		name string
		test func(s *site)
	}{
		{"refusals", (*site).joinRefused},
		{"etcd cut off", (*site).joinCutFromMembers},
		{"host cut off", (*site).joinCutOff},
		{"no controller lets anybody in", (*site).joinUnseen},
		{"under load", (*site).joinUnderLoad},
		{"without a file", (*site).withoutAFile},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(s.in(t)) })
	}
}

// joinRefused gives reasons to refuse; nothing may change.
func (s *site) joinRefused() {
	before := s.fingerprint()
	target := s.host("cp4").Address().String()
	if r := s.haJoin(3, "root@"+s.host(guide[1]).Address().String()); !strings.Contains(r.stderr, "it is a member of the control plane already ("+guide[1]+")") {
		s.t.Error("a member must be named")
	}
	s.haJoin(2, "not a host")
	s.haJoin(2, target, "--role", "worker")

	leases := s.api().Client.CoordinationV1().Leases(metav1.NamespaceSystem)
	holder, now := "anna@elsewhere, process 1: kubectl ha-eject", metav1.NewMicroTime(time.Now())
	lease, err := leases.Get(s.t.Context(), kube.OperationLease, metav1.GetOptions{})
	if err != nil {
		lease, err = leases.Create(s.t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: kube.OperationLease}}, metav1.CreateOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	lease.Spec.HolderIdentity, lease.Spec.AcquireTime, lease.Spec.RenewTime = &holder, &now, &now
	if _, err := leases.Update(s.t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	alarm := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: s.memberID(guide[0]), Alarm: etcdserverpb.AlarmType_NOSPACE}
	maintenance := etcdserverpb.NewMaintenanceClient(s.etcd(guide[0]).ActiveConnection())
	if _, err := maintenance.Alarm(s.t.Context(), alarm); err != nil {
		s.t.Fatal(err)
	}
	s.sh("cp4", "systemd-run --unit=squatter --collect socat TCP-LISTEN:2380,fork,reuseaddr -; "+
		"for i in $(seq 50); do ss -ltn | grep -q ':2380 ' && exit 0; sleep 0.1; done; exit 1")
	r := s.haJoin(3, target)
	for _, says := range []string{
		"preflight found 3 problems, nothing was changed", holder + ", since ", "delete lease kubectl-ha", "the alarm NOSPACE on " + guide[0], "port 2380",
	} {
		if !strings.Contains(r.stderr, says) {
			s.t.Errorf("the refusal does not say %q", says)
		}
	}
	s.sh("cp4", "systemctl stop squatter")
	alarm.Action = etcdserverpb.AlarmRequest_DEACTIVATE
	if _, err := maintenance.Alarm(s.t.Context(), alarm); err != nil {
		s.t.Fatal(err)
	}
	if err := leases.Delete(s.t.Context(), kube.OperationLease, metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
	dry := s.haJoin(0, target, "--dry-run=client")
	if !strings.Contains(dry.stdout, "- role: controller") || !strings.Contains(dry.stdout, "cp4: write k0s.yaml") {
		s.t.Error("a dry run must show the entry and the join")
	}
	if after := s.fingerprint(); after != before {
		s.t.Errorf("something was changed:\n%s\nbecame\n%s", before, after)
	}
}

// joinCutFromMembers cuts the joiner off from the other controllers' etcd once the join has begun: it becomes a learner
// that never catches up.
func (s *site) joinCutFromMembers() {
	joiner := s.host("cp4")
	learned := false
	r := s.follow(haJoin, nil, func(moment string) bool {
		if moment == joining {
			s.cutFromMembers(joiner)
		}
		if strings.HasSuffix(moment, ": joining etcd") {
			go func() {
				for range 60 {
					members, err := s.host(guide[0]).Exec(s.t.Context(), "k0s etcd member-list 2>/dev/null", nil)
					learned = learned || err == nil && strings.Contains(members, joiner.Address().String())
					time.Sleep(200 * time.Millisecond)
				}
			}()
		}
		return false
	}, "--timeout=10s", joiner.Address().String())
	s.t.Logf("it was seen among the members: %v", learned)
	if r.code != 1 || !strings.Contains(r.stderr, "waiting until cp4 votes in etcd") {
		s.t.Errorf("exit code %d, want a failure that says why", r.code)
	}
	s.checkAsBefore()
	if err := joiner.Heal(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if left := s.sh("cp4", "ls -A /var/lib/k0s/etcd /var/lib/k0s/pki 2>/dev/null; systemctl is-active --quiet k0scontroller && echo k0s runs; true"); left != "" {
		s.t.Errorf("left on the host: %s", left)
	}
}

// joining is the step in which hosts become members.
const joining = "Join the controllers, one after another"

// cutFromMembers cuts a host off from the controllers of the guide. It reaches the join API through the load balancer all
// the same.
func (s *site) cutFromMembers(joiner *lab.Host) {
	if err := joiner.Cut(s.t.Context(), s.host(guide[0]), s.host(guide[1]), s.host(guide[2])); err != nil {
		s.t.Error(err)
	}
}

// joinCutOff cuts the joiner off from everybody in the middle of the join, before it can vote.
func (s *site) joinCutOff() {
	joiner := s.host("cp4")
	r := s.follow(haJoin, nil, func(moment string) bool {
		if moment == joining {
			s.cutFromMembers(joiner)
		}
		if strings.HasSuffix(moment, ": joining etcd") {
			if err := joiner.Cut(s.t.Context()); err != nil {
				s.t.Error(err)
			}
		}
		return false
	}, "--timeout=5s", joiner.Address().String())
	if r.code != 1 || !strings.Contains(r.stderr, "waiting until cp4 votes in etcd") || !strings.Contains(r.stderr, "was left half-joined") {
		s.t.Errorf("exit code %d, want a failure that says what is left", r.code)
	}
	s.checkAsBefore()
	if err := joiner.Heal(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// checkAsBefore sees the three members of the guide, and the file as it was.
func (s *site) checkAsBefore() {
	s.t.Helper()
	s.checkControlPlane(3)
	for _, m := range s.memberList(guide[0]) {
		if m.Idle() || !slices.Contains(guide, m.Name) {
			s.t.Errorf("etcd has the member %s", m)
		}
	}
	s.checkServers(loadBalancer, guide...)
	if file, err := os.ReadFile(s.path("cluster.yaml")); err != nil || string(file) != s.textOf(guide...) {
		s.t.Errorf("the cluster file was changed: %v\n%s", err, file)
	}
}

// joinUnderLoad lets cp4 join, which the file does not name, and then cp5, which it does.
func (s *site) joinUnderLoad() {
	api, err := clientcmd.BuildConfigFromFlags("", s.path("kubeconfig"))
	if err != nil {
		s.t.Fatal(err)
	}
	load, err := apiload.Start(context.Background(), apiload.Defaults(api))
	if err != nil {
		s.t.Fatal(err)
	}
	pids := func() (all string) {
		for _, name := range append([]string{loadBalancer}, guide...) {
			all += s.sh(name, "systemctl show -p MainPID k0scontroller haproxy; stat -c '%Y %n' /etc/k0s/k0s.yaml 2>/dev/null; true") + "\n"
		}
		return all
	}
	before := pids()
	s.haJoin(0, "root@"+s.host("cp4").Address().String())
	want := s.textOf(append(slices.Clone(guide), "cp4")...)
	if file, err := os.ReadFile(s.path("cluster.yaml")); err != nil || string(file) != want {
		s.t.Errorf("the cluster file: %v\n%s\nwant\n%s", err, file, want)
	}
	s.checkServers(loadBalancer, append(slices.Clone(guide), "cp4")...)

	all := append(slices.Clone(guide), "cp4", "cp5")
	s.write(clusterFile{members: controller(all...)})
	open := s.shut(all[:4]...)
	if r := s.haJoin(0, "--kubeconfig=kubeconfig"); !strings.Contains(r.stdout, "Joined: cp5.") || !strings.Contains(r.stdout, "has 5 controllers") {
		s.t.Error("it must say who joined")
	}
	open()
	report := load.Stop()
	s.t.Logf("load through the load balancer: %s", report)
	if len(report.Failures) > 0 {
		s.t.Error("requests failed")
	}
	s.checkControlPlane(5)
	s.checkServers(loadBalancer, all...)
	if after := pids(); after != before {
		s.t.Errorf("what was there before was reconfigured or restarted:\n%s\nbecame\n%s", before, after)
	}

	print := s.fingerprint()
	if r := s.haJoin(0); !strings.Contains(r.stdout, "Nothing was changed") {
		s.t.Error("a second run must change nothing")
	}
	if after := s.fingerprint(); after != print {
		s.t.Errorf("a second run changed something:\n%s\nbecame\n%s", print, after)
	}
}

// shut lets nobody in by SSH on the hosts, until open is called.
func (s *site) shut(names ...string) (open func()) {
	s.t.Helper()
	for _, name := range names {
		s.sh(name, "systemctl stop ssh.socket ssh 2>/dev/null; ! ss -ltn | grep -q ':22 '")
	}
	return func() {
		s.t.Helper()
		for _, name := range names {
			s.sh(name, "systemctl start ssh")
		}
	}
}

// joinUnseen has no controller that lets anybody in: what cannot be known then is a reason to refuse.
func (s *site) joinUnseen() {
	alarm := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: s.memberID(guide[0]), Alarm: etcdserverpb.AlarmType_NOSPACE}
	maintenance := etcdserverpb.NewMaintenanceClient(s.etcd(guide[0]).ActiveConnection())
	before := s.fingerprint()
	open := s.shut(guide...)
	joiner := "root@" + s.host("cp4").Address().String()
	r := s.byKubeconfig(haJoin, 3, joiner)
	s.says(r, "no controller can be reached by SSH to read its k0s.yaml", "with -f FILE")

	if _, err := maintenance.Alarm(s.t.Context(), alarm); err != nil {
		s.t.Fatal(err)
	}
	s.t.Setenv("KUBECONFIG", s.path("kubeconfig"))
	r = s.haJoin(3, joiner)
	s.says(r, "etcd takes no writes while an alarm is raised", "and etcd itself is not asked")
	if r.took > 20*time.Second {
		s.t.Errorf("it took %s to see that", r.took)
	}
	alarm.Action = etcdserverpb.AlarmRequest_DEACTIVATE
	if _, err := maintenance.Alarm(s.t.Context(), alarm); err != nil {
		s.t.Fatal(err)
	}
	if after := s.fingerprint(); after != before {
		s.t.Errorf("something was changed:\n%s\nbecame\n%s", before, after)
	}
	open()
}

// textOf is the cluster file of these controllers.
func (s *site) textOf(names ...string) string {
	s.t.Helper()
	return s.text(clusterFile{members: controller(names...), balancers: []string{loadBalancer}})
}

// memberList is etcd's own list, as a member knows it.
func (s *site) memberList(name string) []etcd.Member {
	s.t.Helper()
	response, err := s.etcd(name).MemberList(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	members := make([]etcd.Member, len(response.Members))
	for i, m := range response.Members {
		members[i] = etcd.Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, Learner: m.IsLearner}
	}
	return members
}

func (s *site) memberID(name string) uint64 {
	s.t.Helper()
	for _, m := range s.memberList(name) {
		if m.Name == name {
			return m.ID
		}
	}
	s.t.Fatal(fmt.Errorf("etcd has no member %s", name))
	return 0
}
