//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// guide are the guide's three controllers.
var guide = []string{"k0s-ch-sion-1", "k0s-at-vie-1", "k0s-de-fra-1"}

// maxMemory is what ha-init may use while it uploads some 300 MB to every host at once.
const maxMemory = 150 << 20

func TestBareHostsBecomeAHighlyAvailableControlPlane(t *testing.T) {
	t.Parallel()
	s := bareSite(t, "guide", "worker-1")
	file := clusterFile{members: append(append(controllerWorker(guide[:2]...), controller(guide[2])...), worker("worker-1")...)}
	file.members[0].more = []string{
		`hooks: {apply: {before: ["touch /root/before"], after: ["touch /root/after"]}}`,
		`files: [{name: motd, data: "ours\n", dst: /etc/motd.d/ours, perm: "0640"}]`,
	}
	file.members[2].user = "ops" // root by sudo
	s.write(file)

	if r := s.mustInit(); r.maxRSS > maxMemory {
		t.Errorf("ha-init used %d MB of memory, more than %d MB", r.maxRSS>>20, maxMemory>>20)
	}
	s.checkControlPlane(3)
	s.checkNodes(guide[0], guide[1], "worker-1")
	s.checkServers(loadBalancer, guide...)
	s.checkIssuer(loadBalancer, "kubernetes-admin")
	s.sh(guide[0], "test -e /root/before && test -e /root/after")
	if got := s.sh(guide[0], "stat -c %a /etc/motd.d/ours && cat /etc/motd.d/ours"); got != "640\nours" {
		t.Errorf("the file of the host's entry: got %q", got)
	}
	if info, err := os.Stat(s.path("kubeconfig")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig must be readable by its owner alone: %v, %v", info, err)
	}
	if server := s.sh("worker-1", "grep server: /var/lib/k0s/kubelet.conf"); !strings.Contains(server, s.lbAddress()) {
		t.Errorf("the worker's kubelet asks %s, not the load balancer", server)
	}

	t.Run("again", func(t *testing.T) {
		s := s.in(t)
		before := s.fingerprint()
		r := s.mustInit()
		if !strings.Contains(r.stdout, "Nothing was changed") {
			t.Errorf("a second run must say that it changed nothing: %s", r.stdout)
		}
		t.Logf("a second run took %s", r.took.Round(time.Millisecond))
		if after := s.fingerprint(); after != before {
			t.Errorf("a second run changed something:\n%s\nbecame\n%s", before, after)
		}
	})
}

// TestFewControllersBehindTwoLoadBalancers makes a control plane of one controller, and of two. TestFaults begins with five.
func TestFewControllersBehindTwoLoadBalancers(t *testing.T) {
	t.Parallel()
	s := newSite(t, guide[0], guide[1], loadBalancer+":haproxy", secondBalancer+":haproxy")
	file := clusterFile{
		members:   controller(guide[0]),
		balancers: []string{loadBalancer, secondBalancer},
		more:      []string{"address: " + s.lbAddress(), "check: tls"},
	}
	s.write(file)
	s.mustInit()
	s.checkControlPlane(1)
	s.checkServers(loadBalancer, guide[0])
	s.checkServers(secondBalancer, guide[0])

	file.members = controller(guide[:2]...)
	s.write(file)
	if r := s.mustInit(); !strings.Contains(r.stderr, "2 controllers") {
		t.Errorf("an even number of controllers must be warned about")
	}
	s.checkControlPlane(2)
	s.checkServers(loadBalancer, guide[:2]...)
	s.checkServers(secondBalancer, guide[:2]...)
}

// lbAddress is the address of the load balancer.
func (s *site) lbAddress() string { return s.host(loadBalancer).Address().String() }

// checkControlPlane sees n members of etcd joined, through the load balancer, and as many in k0s's own list.
func (s *site) checkControlPlane(n int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d members have joined", n), func(ctx context.Context) error {
		members, err := s.api().EtcdMembers(ctx)
		if err != nil {
			return err
		}
		joined := 0
		for _, m := range members {
			if m.Joined {
				joined++
			}
		}
		if joined != n || len(members) != n {
			return fmt.Errorf("%d of %d EtcdMembers have joined, want %d", joined, len(members), n)
		}
		return nil
	})
	list := s.sh(guide[0], "k0s etcd member-list 2>/dev/null")
	if got := strings.Count(list, ":2380"); got != n {
		s.t.Errorf("k0s lists %d etcd members, want %d: %s", got, n, list)
	}
}

// checkNodes sees these Nodes Ready, and no others.
func (s *site) checkNodes(names ...string) {
	s.t.Helper()
	nodes, err := s.api().Nodes(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, n := range nodes {
		if n.Ready {
			got = append(got, n.Name)
		}
	}
	if !sameSet(got, names) {
		s.t.Errorf("ready Nodes: got %q, want %q", got, names)
	}
}

func sameSet(a, b []string) bool {
	count := map[string]int{}
	for _, x := range a {
		count[x]++
	}
	for _, x := range b {
		count[x]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// checkServers asks HAProxy itself: exactly these hosts' servers are up, in each of the three backends. A host that joins
// later takes a spare slot, whose name says nothing, so addresses are compared.
func (s *site) checkServers(balancer string, names ...string) {
	s.t.Helper()
	for backend, port := range map[string]string{"kubeAPI_backend": "6443", "konnectivity_backend": "8132", "controllerJoinAPI_backend": "9443"} {
		want := make([]string, len(names))
		for i, name := range names {
			want[i] = net.JoinHostPort(s.host(name).Address().String(), port)
		}
		var up []string
		for _, fields := range s.stats(balancer, backend) {
			if strings.HasPrefix(fields["status"], "UP") {
				up = append(up, fields["addr"])
			}
		}
		if !sameSet(up, want) {
			s.t.Errorf("%s on %s: servers up are %q, want %q", backend, balancer, up, want)
		}
	}
}

// fingerprint is all that a run that changes nothing must leave as it is: files, their times, and processes.
func (s *site) fingerprint() string {
	s.t.Helper()
	var b strings.Builder
	for _, h := range s.Hosts() {
		out := s.sh(h.Name(), `stat -c '%n %Y %i' /etc/k0s/* /etc/haproxy/haproxy.cfg /etc/kubectl-ha/* `+
			`/var/lib/k0s/kubelet.conf /usr/local/bin/k0s 2>/dev/null | sort; `+
			`systemctl show -p MainPID -p ActiveEnterTimestamp haproxy k0scontroller k0sworker; pgrep -x haproxy || true`)
		fmt.Fprintf(&b, "%s\n%s\n", h.Name(), out)
	}
	return b.String()
}
