//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-ha/kubectl-ha/manifests"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

const haproxyConfig = "/etc/haproxy/haproxy.cfg"

// syncerRig is the syncer in front of two load balancers and two controllers without Nodes. The second controller is taken out
// and let in by its annotation.
type syncerRig struct {
	*site
	whole   *site  // that of the whole test, which the syncer runs in
	folder  string // of its ServiceAccount
	running *process
	spare   string // the controller that goes and comes
}

// TestSyncerFaults keeps two load balancers right while something is wrong. Each part begins where the one before has ended:
// all is well.
func TestSyncerFaults(t *testing.T) {
	t.Parallel()
	s := newSite(t, guide[0], guide[1], loadBalancer+":haproxy", secondBalancer+":haproxy")
	s.write(clusterFile{
		members: controller(guide[:2]...), balancers: []string{loadBalancer, secondBalancer},
		more: []string{"address: " + s.lbAddress(), s.askForSyncer("")},
	})
	s.mustInit()
	s.checkControlPlane(2)
	s.syncerKey()
	r := &syncerRig{site: s, whole: s, folder: s.serviceAccount(), spare: guide[1]}
	r.askAt(s.lbAddress(), s.host(guide[0]).Address().String())
	r.running = r.start("one")
	r.awaitWell()
	for _, c := range []struct {
		name   string
		test   func(r *syncerRig)
		serves bool // the first load balancer, all the time
	}{
		{"HAProxy is stopped", (*syncerRig).stopped, false},
		{"the file is broken by hand", (*syncerRig).brokenByHand, true},
		{"the file is emptied", (*syncerRig).emptied, true},
		{"the file is emptied and HAProxy does not serve", (*syncerRig).emptiedForGood, false},
		{"HAProxy is installed anew", (*syncerRig).reinstalled, true},
		{"the disk is full", (*syncerRig).diskFull, true},
		{"a host hangs", (*syncerRig).frozen, false},
		{"a host shows another key", (*syncerRig).hostKeyChanged, true},
		{"the API is away", (*syncerRig).apiAway, true},
		{"the API knows nobody", (*syncerRig).nobody, false},
		{"the leader's clock jumps", (*syncerRig).clockJumps, true},
		{"the leader is killed in the middle of a change", (*syncerRig).leaderKilled, true},
		{"a host is rebuilt and keeps what the syncer needs", (*syncerRig).rebuilt, true},
		{"a host is set up anew", (*syncerRig).setUpAnew, true},
	} {
		well := true // as a part that is not asked for leaves it
		t.Run(c.name, func(t *testing.T) {
			well = false
			inner := *r
			inner.site = s.in(t)
			if c.serves {
				inner.underLoadAt(r.lbAddress(), func() { c.test(&inner) })
			} else {
				c.test(&inner)
			}
			r.running = inner.running
			inner.awaitWell()
			well = true
		})
		if !well {
			break
		}
	}
	r.running.stop()
	if said := strings.ToLower(r.running.said.String()); strings.Contains(said, "forbidden") || strings.Contains(said, "panic") {
		t.Errorf("the syncer said:\n%s", r.running.said)
	}
}

// askAt lets the test ask the API at another address: that of a controller outlives load balancers.
func (r *syncerRig) askAt(before, after string) {
	r.t.Helper()
	kubeconfig, err := os.ReadFile(r.path("kubeconfig"))
	r.must(err)
	r.must(os.WriteFile(r.path("kubeconfig"), bytes.ReplaceAll(kubeconfig, []byte(before), []byte(after)), 0o600))
}

func (r *syncerRig) start(identity string) *process {
	r.t.Helper()
	return r.whole.startSyncer(r.folder, identity, r.balancersFlag())
}

func (r *syncerRig) balancersFlag() string {
	return fmt.Sprintf("--load-balancers=root@%s,root@%s", r.lbAddress(), r.host(secondBalancer).Address())
}

// mark takes the spare controller out, or lets it in.
func (r *syncerRig) mark(out bool) {
	r.t.Helper()
	r.must(r.api().MarkEtcdMember(r.t.Context(), r.spare, map[bool]string{true: "a test"}[out]))
}

// status is what the syncer says of a load balancer.
func (r *syncerRig) status(ctx context.Context, balancer string) (kube.SyncerStatus, error) {
	statuses, err := r.api().SyncerStatuses(ctx)
	address := net.JoinHostPort(r.host(balancer).Address().String(), "22")
	i := slices.IndexFunc(statuses, func(s kube.SyncerStatus) bool { return s.LoadBalancer == address })
	if err == nil && i < 0 {
		err = errors.New("it says nothing")
	}
	if err != nil {
		return kube.SyncerStatus{}, err
	}
	return statuses[i], nil
}

// awaitStatus waits until the status has that result and says those words, and sees that the metric and an Event have it, too.
func (r *syncerRig) awaitStatus(balancer, result string, words ...string) {
	r.t.Helper()
	start := time.Now()
	r.eventually("the syncer says "+result, func(ctx context.Context) error {
		s, err := r.status(ctx, balancer)
		if err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(s.Message, word) {
				err = fmt.Errorf("it says %s: %s", s.Result, s.Message)
			}
		}
		if s.Result != result {
			err = fmt.Errorf("it says %s: %s", s.Result, s.Message)
		}
		return err
	})
	r.t.Logf("%s after %s", result, time.Since(start).Round(100*time.Millisecond))
	if r.counted(balancer, result) == 0 {
		r.t.Errorf("no metric tells of %s on %s:\n%s", result, balancer, r.metrics(r.running))
	}
	if result == kube.SyncerSuccess {
		return
	}
	address := net.JoinHostPort(r.host(balancer).Address().String(), "22")
	r.eventually("there is an Event", func(ctx context.Context) error {
		events, err := r.api().Client.CoreV1().Events(kube.SyncerNamespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Type == corev1.EventTypeWarning && strings.HasPrefix(e.Message, address+": ") && (len(words) == 0 || strings.Contains(e.Message, words[0])) {
				return nil
			}
		}
		return fmt.Errorf("%d others", len(events.Items))
	})
}

// counted is how often a look at a load balancer ended so, by the metric.
func (r *syncerRig) counted(balancer, result string) (count int) {
	r.t.Helper()
	metric := fmt.Sprintf("ha_syncer_syncs_total{load_balancer=%q,result=%q} ", net.JoinHostPort(r.host(balancer).Address().String(), "22"), result)
	for line := range strings.Lines(r.metrics(r.running)) {
		if value, found := strings.CutPrefix(line, metric); found {
			number, err := strconv.Atoi(strings.TrimSpace(value))
			r.must(err)
			count = number
		}
	}
	return count
}

func (r *syncerRig) metrics(p *process) string {
	r.t.Helper()
	response, err := http.Get(p.url + "/metrics")
	r.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	r.must(err)
	return string(text)
}

// serverOn is the state of a controller's server in the API's backend of a load balancer.
func (r *syncerRig) serverOn(balancer, name string) string {
	const states = `echo 'show stat' | socat - /var/lib/haproxy/kubectl-ha.sock | awk -F, '$1 == "kubeAPI_backend" && $74 == "%s:6443" {print $18}'`
	state, err := r.host(balancer).Exec(r.t.Context(), fmt.Sprintf(states, r.host(name).Address()), nil)
	if err != nil {
		return "not known: " + err.Error() // as while HAProxy is reloaded
	}
	return cmp.Or(state, "absent")
}

func (r *syncerRig) awaitServer(balancer, name, want string) time.Duration {
	r.t.Helper()
	start := time.Now()
	r.eventually(fmt.Sprintf("%s is %s on %s", name, want, balancer), func(context.Context) error {
		if got := r.serverOn(balancer, name); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	return time.Since(start)
}

// awaitWell waits until both load balancers give connections to both controllers, and the syncer says so.
func (r *syncerRig) awaitWell() {
	r.t.Helper()
	for _, balancer := range []string{loadBalancer, secondBalancer} {
		for _, name := range []string{guide[0], r.spare} {
			r.awaitServer(balancer, name, "UP")
		}
		r.awaitStatus(balancer, kube.SyncerSuccess)
		r.checkServers(balancer, guide[0], r.spare)
		r.eventually("nothing is left behind", func(context.Context) error {
			if left := r.sh(balancer, "ls -d /etc/haproxy/haproxy.cfg?* /etc/kubectl-ha/*.part-* 2>/dev/null || true"); left != "" {
				return errors.New(left)
			}
			return nil
		})
	}
}

// serves sees that a load balancer gives connections to a controller, whatever else is wrong.
func (r *syncerRig) serves(balancer string) {
	r.t.Helper()
	if state := r.serverOn(balancer, guide[0]); !strings.HasPrefix(state, "UP") {
		r.t.Errorf("%s on %s is %s", guide[0], balancer, state)
	}
}

// configOf is all that is in HAProxy's folder and in ours, but for what is there while a file is looked at.
func (r *syncerRig) configOf(balancer string) string {
	r.t.Helper()
	return r.sh(balancer, "cd /etc/haproxy && find . /etc/kubectl-ha -type f ! -name fill ! -name 'haproxy.cfg?*' -exec sha256sum {} + | sort -k2; stat -c '%i %Y' haproxy.cfg")
}

// unchanged sees that nothing has changed these.
func (r *syncerRig) unchanged(balancer, before string) {
	r.t.Helper()
	if after := r.configOf(balancer); after != before {
		r.t.Errorf("its files were changed:\n%s\nbecame\n%s", before, after)
	}
}

func (r *syncerRig) stopped() {
	before := r.configOf(loadBalancer)
	r.sh(loadBalancer, "systemctl stop haproxy")
	r.mark(true)
	r.t.Logf("out on the other one after %s", r.awaitServer(secondBalancer, r.spare, "MAINT"))
	r.awaitStatus(loadBalancer, "stopped", "systemctl start haproxy")
	r.unchanged(loadBalancer, before)
	r.sh(loadBalancer, "systemctl start haproxy")
	r.t.Logf("out on this one %s after its start", r.awaitServer(loadBalancer, r.spare, "MAINT"))
	r.serves(loadBalancer)
	r.mark(false)
}

func (r *syncerRig) brokenByHand() {
	file, err := r.host(loadBalancer).ReadFile(r.t.Context(), haproxyConfig)
	r.must(err)
	r.sh(loadBalancer, "printf 'frontend mine\\n    bnd :8080\\n' >>"+haproxyConfig)
	before := r.configOf(loadBalancer)
	// Though nothing is to be changed.
	r.awaitStatus(loadBalancer, "refused", "would not start with its file as it is", "bnd")
	if said := r.haJoin(0, "--dry-run=client"); !strings.Contains(said.stderr, "the syncer reports of the load balancer "+r.lbAddress()) {
		r.t.Error("ha-join must tell what the syncer reports")
	}
	attempts := r.counted(loadBalancer, "refused")
	r.mark(true)
	r.awaitServer(secondBalancer, r.spare, "MAINT")
	r.eventually("it has tried again", func(context.Context) error {
		if now := r.counted(loadBalancer, "refused"); now < attempts+2 {
			return fmt.Errorf("%d times, before %d", now, attempts)
		}
		return nil
	})
	r.awaitStatus(loadBalancer, "refused", "nothing was changed")
	r.unchanged(loadBalancer, before)
	r.serves(loadBalancer)
	if state := r.serverOn(loadBalancer, r.spare); state != "UP" {
		r.t.Errorf("%s became %s by a change that was refused", r.spare, state)
	}
	r.must(r.host(loadBalancer).WriteFile(r.t.Context(), haproxyConfig, file, 0o644))
	r.awaitServer(loadBalancer, r.spare, "MAINT")
	r.mark(false)
}

// emptied leaves nothing of the file, and then what the distribution brings, while HAProxy goes on with what it has.
func (r *syncerRig) emptied() {
	users := "global\n    maxconn 1000\n\ndefaults\n    mode http\n    timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n"
	for _, content := range []string{"", users} {
		r.must(r.host(loadBalancer).WriteFile(r.t.Context(), haproxyConfig, []byte(content), 0o644))
		r.awaitBlock(content)
		r.awaitWell()
	}
}

// emptiedForGood leaves nothing of the file, of the client certificate and of the process that has read them: what runs then
// serves nobody, or nothing runs.
func (r *syncerRig) emptiedForGood() {
	for _, verb := range []string{"restart", "stop"} {
		r.sh(loadBalancer, "rm "+haproxy.DefaultClientFile+" && : >"+haproxyConfig+" && systemctl "+verb+" haproxy")
		r.awaitBlock("")
		r.t.Logf("right again %s after a %s", r.awaitServer(loadBalancer, r.spare, "UP"), verb)
		r.awaitWell()
		r.checkIssuer(loadBalancer, syncerUser)
	}
}

// awaitBlock waits until the first load balancer's file has our block after a user's part.
func (r *syncerRig) awaitBlock(users string) {
	r.t.Helper()
	r.eventually("the block is there again", func(ctx context.Context) error {
		file, err := r.host(loadBalancer).ReadFile(ctx, haproxyConfig)
		switch {
		case err != nil:
			return err
		case !strings.HasPrefix(string(file), users):
			return fmt.Errorf("the user's part became:\n%s", file)
		case !bytes.Contains(file, []byte("# END kubectl-ha")):
			return errors.New("it has no block")
		}
		return nil
	})
}

// syncerUser is who the syncer is to the API.
const syncerUser = "system:serviceaccount:kubectl-ha:ha-syncer"

// reinstalled leaves nothing of HAProxy and its folder, nor of the client certificate, and what the distribution brings then.
func (r *syncerRig) reinstalled() {
	r.sh(secondBalancer, "export DEBIAN_FRONTEND=noninteractive; apt-get purge -qq haproxy && rm -rf /etc/haproxy "+haproxy.DefaultClientFile)
	r.awaitStatus(secondBalancer, "stopped", "systemctl start haproxy")
	r.sh(secondBalancer, "apt-get update -qq && apt-get install -qq --no-install-recommends haproxy && systemctl is-active haproxy")
	r.t.Logf("right again %s after it was installed", r.awaitServer(secondBalancer, r.spare, "UP"))
	r.checkIssuer(secondBalancer, syncerUser)
}

func (r *syncerRig) diskFull() {
	r.sh(loadBalancer, "cp -a /etc/haproxy /run/full && mount -t tmpfs -o size=256k tmpfs /etc/haproxy && cp -a /run/full/. /etc/haproxy && "+
		"{ cat /dev/zero >/etc/haproxy/fill 2>/dev/null || true; }")
	before := r.configOf(loadBalancer)
	r.mark(true)
	r.awaitServer(secondBalancer, r.spare, "MAINT")
	r.awaitStatus(loadBalancer, "error", "no space left on device")
	r.staysSince(loadBalancer)
	r.unchanged(loadBalancer, before)
	r.serves(loadBalancer)
	r.sh(loadBalancer, "rm /etc/haproxy/fill")
	r.t.Logf("out %s after there was space", r.awaitServer(loadBalancer, r.spare, "MAINT"))
	r.mark(false)
	r.awaitServer(loadBalancer, r.spare, "UP")
	r.awaitStatus(loadBalancer, kube.SyncerSuccess)
	// The folder beneath gets what is right by now.
	r.sh(loadBalancer, "rm -r /run/full && cp -a /etc/haproxy /run/full && umount -l /etc/haproxy && cp -a /run/full/. /etc/haproxy && rm -r /run/full")
}

// staysSince sees that the syncer goes on to say the same of a load balancer when it tries again.
func (r *syncerRig) staysSince(balancer string) {
	r.t.Helper()
	before, err := r.status(r.t.Context(), balancer)
	r.must(err)
	attempts := r.counted(balancer, before.Result)
	r.eventually("it has tried again", func(context.Context) error {
		if now := r.counted(balancer, before.Result); now < attempts+2 {
			return fmt.Errorf("%d times, before %d", now, attempts)
		}
		return nil
	})
	if after, err := r.status(r.t.Context(), balancer); err != nil || after.Since != before.Since || after.Message != before.Message {
		r.t.Errorf("%v: it said\n%+v\nand says\n%+v", err, before, after)
	}
}

// frozen is also the load balancer of two that cannot be reached.
func (r *syncerRig) frozen() {
	r.must(r.host(secondBalancer).Freeze(r.t.Context()))
	for _, c := range []struct {
		out  bool
		want string
	}{{true, "MAINT"}, {false, "UP"}, {true, "MAINT"}} {
		r.mark(c.out)
		took := r.awaitServer(loadBalancer, r.spare, c.want)
		r.t.Logf("%s on the other one after %s", c.want, took)
		if limit := 5 * time.Second; took > limit {
			r.t.Errorf("the other load balancer was held up for %s", took)
		}
	}
	r.awaitStatus(secondBalancer, "error")
	r.must(r.host(secondBalancer).Thaw(r.t.Context()))
	r.t.Logf("right %s after it went on", r.awaitServer(secondBalancer, r.spare, "MAINT"))
	r.mark(false)
}

func (r *syncerRig) hostKeyChanged() {
	before := r.configOf(secondBalancer)
	const key = "/etc/ssh/ssh_host_ed25519_key"
	r.sh(secondBalancer, "mkdir /run/keys && cp -p /etc/ssh/ssh_host_* /run/keys && rm "+key+"* && ssh-keygen -q -t ed25519 -N '' -f "+key+
		" && systemctl restart ssh && pkill -x ha-lb-helper")
	r.mark(true)
	r.awaitServer(loadBalancer, r.spare, "MAINT")
	r.awaitStatus(secondBalancer, "error", "has changed", "kubectl ha-init")
	r.unchanged(secondBalancer, before)
	r.serves(secondBalancer)
	if state := r.serverOn(secondBalancer, r.spare); state != "UP" {
		r.t.Errorf("a host that shows another key was changed: %s is %s", r.spare, state)
	}
	r.sh(secondBalancer, "cp -p /run/keys/* /etc/ssh && rm -r /run/keys && systemctl restart ssh")
	r.awaitServer(secondBalancer, r.spare, "MAINT")
	r.mark(false)
}

// apiAway cuts the syncer off from every API server, not from the load balancers.
func (r *syncerRig) apiAway() {
	before := r.configOf(loadBalancer)
	for _, name := range []string{guide[0], r.spare} {
		r.must(r.cutFromHere(name)(r.t.Context()))
	}
	start := time.Now()
	r.eventually("it does not lead any more", func(context.Context) error {
		if !strings.Contains(r.metrics(r.running), "ha_syncer_leader 0") {
			return errors.New("it leads")
		}
		return nil
	})
	r.t.Logf("it leads no more after %s", time.Since(start).Round(100*time.Millisecond))
	r.unchanged(loadBalancer, before)
	for _, balancer := range []string{loadBalancer, secondBalancer} {
		r.checkServers(balancer, guide[0], r.spare)
	}
	for _, name := range []string{guide[0], r.spare} {
		r.heal(name)
	}
	r.mark(true)
	r.t.Logf("it follows again after %s", r.awaitServer(loadBalancer, r.spare, "MAINT"))
	r.awaitServer(secondBalancer, r.spare, "MAINT")
	r.mark(false)
}

// nobody takes every object away that tells of a controller, as a database that was set up anew does: the syncer takes nobody
// out for that. k0s makes the objects again when it starts.
func (r *syncerRig) nobody() {
	r.running.stop() // or it sees them go one after another
	before := r.configOf(loadBalancer)
	objects := r.api().Dynamic
	for _, kind := range []schema.GroupVersionResource{kube.EtcdMembersResource(), kube.ControlNodesResource()} {
		r.must(objects.Resource(kind).DeleteCollection(r.t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}))
	}
	r.running = r.start("one")
	for _, balancer := range []string{loadBalancer, secondBalancer} {
		r.awaitStatus(balancer, "refused", "the API knows no controller at all")
		r.checkServers(balancer, guide[0], r.spare)
	}
	r.unchanged(loadBalancer, before)
	for _, name := range []string{guide[0], r.spare} {
		r.sh(name, "systemctl restart k0scontroller")
		r.awaitServer(loadBalancer, name, "UP")
	}
}

// leaderKilled kills the syncer while the helper waits for the health check of a server that it lets in.
func (r *syncerRig) leaderKilled() {
	r.mark(true)
	r.awaitServer(loadBalancer, r.spare, "MAINT")
	r.must(r.host(r.spare).Cut(r.t.Context(), r.host(loadBalancer)))
	second := r.start("two")
	r.mark(false)
	r.eventually("it waits for the check", func(context.Context) error {
		if state := r.serverOn(loadBalancer, r.spare); !strings.HasPrefix(state, "DOWN") && !strings.HasPrefix(state, "DRAIN") {
			return fmt.Errorf("the server is %s", state)
		}
		return nil
	})
	r.running.kill()
	killed := time.Now()
	r.eventually("the helper has ended", func(context.Context) error {
		if r.sh(loadBalancer, "pgrep -x ha-lb-helper || true") != "" {
			return errors.New("it runs")
		}
		return nil
	})
	r.serves(loadBalancer)
	r.heal(r.spare)
	r.running = second
	r.awaitServer(loadBalancer, r.spare, "UP")
	r.t.Logf("completed by the other one %s after the first was killed", time.Since(killed).Round(100*time.Millisecond))
	if !strings.Contains(r.metrics(second), "ha_syncer_leader 1") {
		r.t.Error("the other one does not lead")
	}
}

// rebuilt makes a load balancer a new machine that keeps its host keys, as the lab's do, and what lets the syncer in and says
// what it may do, as one does that is made from an image or by configuration management: nobody has to help.
func (r *syncerRig) rebuilt() {
	r.sh(secondBalancer, "tar -cf /root/kept.tar -C / root/.ssh/authorized_keys usr/local/lib/kubectl-ha etc/kubectl-ha")
	kept, err := r.host(secondBalancer).ReadFile(r.t.Context(), "/root/kept.tar")
	r.must(err)
	r.must(r.host(secondBalancer).Reset(r.t.Context()))
	_, err = r.host(secondBalancer).Exec(r.t.Context(), "tar -x -C /", bytes.NewReader(kept))
	r.must(err)
	r.t.Logf("right again after %s", r.awaitServer(secondBalancer, r.spare, "UP"))
}

// setUpAnew makes a load balancer a new machine: the key is not known there, it shows another host key, and ha-init sets it up
// again.
func (r *syncerRig) setUpAnew() {
	r.must(r.host(secondBalancer).Reset(r.t.Context()))
	r.mark(true)
	r.awaitServer(loadBalancer, r.spare, "MAINT")
	r.awaitStatus(secondBalancer, "error", "unable to authenticate")
	r.mark(false)
	r.awaitServer(loadBalancer, r.spare, "UP")
	r.renewHostKey(secondBalancer)
	r.askAt(r.host(guide[0]).Address().String(), r.lbAddress())
	r.mustInit()
	r.running.stop() // its known_hosts are the test's: a pod is started anew when the Secret changes
	r.running = r.start("one")
	r.mark(true) // an event does not wait for the next attempt
	r.awaitServer(secondBalancer, r.spare, "MAINT")
	r.mark(false)
	secret, err := r.api().Client.CoreV1().Secrets(manifests.Namespace).Get(r.t.Context(), manifests.Secret, metav1.GetOptions{})
	r.must(err)
	if key := r.hostKey(secondBalancer); !bytes.Contains(secret.Data[manifests.SecretKnownHosts], []byte(key)) {
		r.t.Errorf("the Secret does not know %s", key)
	}
}

func (s *site) hostKey(name string) string {
	return strings.Fields(s.sh(name, "cat /etc/ssh/ssh_host_ed25519_key.pub"))[1]
}

// renewHostKey gives a host another key, of which the administrator knows.
func (s *site) renewHostKey(name string) {
	before := s.hostKey(name)
	s.sh(name, "rm /etc/ssh/ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key && systemctl restart ssh")
	known, err := os.ReadFile(s.KnownHosts())
	s.must(err)
	s.must(os.WriteFile(s.KnownHosts(), bytes.ReplaceAll(known, []byte(before), []byte(s.hostKey(name))), 0o600))
}
