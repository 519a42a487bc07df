//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// TestSyncerBesidePlugins lets a controller join and another one leave, under load, while the syncer runs: both write
// HAProxy, and neither undoes what the other did.
func TestSyncerBesidePlugins(t *testing.T) {
	t.Parallel()
	s := newSite(t, guide[0], guide[1], guide[2], loadBalancer+":haproxy")
	syncer := []string{s.askForSyncer("")}
	s.write(clusterFile{members: controller(guide[:2]...), more: syncer})
	s.mustInit()
	s.checkControlPlane(2)
	s.syncerKey()
	running := s.startSyncer(s.serviceAccount(), "one")
	s.checkStatus(guide[:2]...)

	joiner, leaver, left := guide[2], guide[1], []string{guide[0], guide[2]}
	s.underLoad(func() {
		s.notTouched(running, 1, func() { s.haJoin(0, s.target(joiner)) }) // by the plugin
		s.checkServers(loadBalancer, guide...)
		s.notTouched(running, 1, func() { s.eject(0, leaver, "--yes", "--skip-snapshot") })
		s.checkServers(loadBalancer, left...)
	})
	s.checkEjected(leaver, left...)
	s.checkClean(leaver)
	s.checkStatus(left...)

	// What the file has changed of the block by then stays: the syncer's policy follows.
	s.write(clusterFile{members: controller(guide...), more: append(syncer, "balance: roundrobin")})
	s.putHostFiles()
	s.haJoin(0)
	s.awaitSyncs(running)
	if lines := s.sh(loadBalancer, "grep -h balance "+haproxyConfig+" /etc/kubectl-ha/lb-helper.json"); strings.Contains(lines, "leastconn") || !strings.Contains(lines, `"balance": "roundrobin"`) {
		t.Errorf("the syncer took back what ha-join changed:\n%s", lines)
	}

	// Two of three are more than may go at once: a list that is wrong in part takes nobody out.
	s.checkNoWarning(running)
	running = s.refusesTwo(running, leaver, joiner)

	// One that was cut off leaves its mark: the syncer lets nobody in again who is about to leave.
	s.killedAt("Stop k0s on the host", haEject, leaver, "--yes", "--skip-snapshot")
	leases := s.api().Client.CoordinationV1().Leases(metav1.NamespaceSystem)
	s.must(leases.Delete(t.Context(), kube.OperationLease, metav1.DeleteOptions{})) // it would end within a minute
	s.awaitState(leaver, "MAINT")
	s.awaitSyncs(running)
	s.checkServers(loadBalancer, left...)
	s.eject(0, leaver, "--yes", "--skip-snapshot")
	s.awaitSyncs(running)
	s.checkEjected(leaver, left...)
	s.checkStatus(left...)
	s.checkNoWarning(running)
}

// checkNoWarning sees that every load balancer was right for the syncer all the time.
func (s *site) checkNoWarning(running *process) {
	s.t.Helper()
	if said := running.said.String(); strings.Contains(said, `level=WARN msg="load balancer"`) {
		s.t.Errorf("a load balancer was not right for the syncer:\n%s", said)
	}
}

// refusesTwo starts the syncer anew when two controllers are to leave: it takes neither out, and the other one when one may stay.
func (s *site) refusesTwo(running *process, one, two string) *process {
	s.t.Helper()
	running.stop() // or it sees them leave one after another
	api := s.api()
	for _, name := range []string{one, two} {
		s.must(api.MarkEtcdMember(s.t.Context(), name, "a test"))
	}
	running = s.startSyncer(s.path("serviceaccount"), "two")
	s.eventually("the syncer refuses", func(ctx context.Context) error {
		status, err := s.syncerStatus(ctx)
		if err == nil && (status.Result != "refused" || !strings.Contains(status.Message, "would be taken away at once, of 3 servers that are up, and at most 1 may be")) {
			err = fmt.Errorf("it says %s: %s", status.Result, status.Message)
		}
		return err
	})
	s.checkServers(loadBalancer, guide...)
	s.must(api.MarkEtcdMember(s.t.Context(), one, ""))
	s.awaitState(two, "MAINT")
	s.must(api.MarkEtcdMember(s.t.Context(), two, ""))
	s.awaitState(two, "UP")
	s.checkServers(loadBalancer, guide...)
	running.stop()
	return s.startSyncer(s.path("serviceaccount"), "three")
}

// notTouched sees that the syncer changes nothing while a command runs and after it, and how often the file was written.
func (s *site) notTouched(running *process, writes int, act func()) {
	s.t.Helper()
	const count = "journalctl -q --no-pager -t ha-lb-helper -o cat | grep -c . || true"
	const watch = "rm -f /run/written; systemd-run -q --unit=watch-haproxy --collect sh -c 'while :; do now=$(stat -c %i " + haproxyConfig +
		"); [ \"$now\" = \"$last\" ] || echo $now >>/run/written; last=$now; sleep 0.02; done'"
	said, changed := s.sh(loadBalancer, count), strings.Count(running.said.String(), "changed HAProxy")
	s.sh(loadBalancer, watch)
	act()
	s.awaitSyncs(running)
	s.sh(loadBalancer, "systemctl stop watch-haproxy")
	if n := strings.Count(running.said.String(), "changed HAProxy") - changed; n > 0 {
		s.t.Errorf("the syncer made %d changes:\n%s", n, running.said)
	}
	if now := s.sh(loadBalancer, count); now != said {
		s.t.Errorf("the helper logged %s lines, %s before", now, said)
	}
	if files := len(strings.Fields(s.sh(loadBalancer, "cat /run/written"))); files != writes+1 {
		s.t.Errorf("the file was written %d times, not %d", files-1, writes)
	}
}

// checkStatus sees that the syncer has nothing to complain of, and gives connections to these controllers.
func (s *site) checkStatus(names ...string) {
	s.t.Helper()
	s.eventually("the syncer says that all is well", func(ctx context.Context) error {
		statuses, err := s.api().SyncerStatuses(ctx)
		if err != nil {
			return err
		}
		if len(statuses) != 1 {
			return errors.New("it says nothing")
		}
		var up []string
		for _, server := range statuses[0].Servers {
			if server.State == "up" {
				up = append(up, server.Name)
			}
		}
		if statuses[0].Result != kube.SyncerSuccess || !sameSet(up, names) {
			return fmt.Errorf("%+v", statuses[0])
		}
		return nil
	})
}
