//go:build e2e && bench

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/test/apiload"
)

// bench is a control plane of one behind load balancers that the syncer keeps. The Nodes that come and go are objects
// without a host of their own: their addresses are further ones of the controller, whose API server answers there, and
// passes HAProxy's checks.
type bench struct {
	*site
	config    *rest.Config
	client    kubernetes.Interface
	balancers []string
	eyes      []*eye
	folder    string // of the service account
}

// newBench makes a lab with that many load balancers.
func newBench(t *testing.T, balancers int) *bench {
	t.Helper()
	b := &bench{}
	hosts := []string{guide[0]}
	for i := range balancers {
		name := loadBalancer
		if i > 0 {
			name = fmt.Sprintf("%s-%d", loadBalancer, i+1)
		}
		b.balancers = append(b.balancers, name)
		hosts = append(hosts, fmt.Sprintf("%s=4.%d:haproxy", name, 10+i))
	}
	b.site = newSite(t, hosts...)
	b.write(clusterFile{members: controller(guide[0]), balancers: b.balancers, more: []string{
		"address: " + b.lbAddress(), b.askForSyncer(fmt.Sprintf(", networks: [%s], maxRemovalPercent: 100", b.Subnet().Masked())),
	}})
	b.mustInit()
	b.syncerKey()
	b.folder = b.serviceAccount()
	var err error
	b.config, err = clientcmd.BuildConfigFromFlags("", b.path("kubeconfig"))
	b.must(err)
	unlimited := rest.CopyConfig(b.config)
	unlimited.QPS = -1
	unlimited.ContentType = "application/vnd.kubernetes.protobuf"
	b.client, err = kubernetes.NewForConfig(unlimited)
	b.must(err)
	connector := b.connector()
	for _, name := range b.balancers {
		b.eyes = append(b.eyes, &eye{host: b.connect(connector, b.ssh("root", name))})
	}
	return b
}

// benchResync is how often it looks at HAProxy without a reason.
const benchResync = 10 * time.Second

// startSyncer runs the syncer, with its own defaults, for the first n load balancers, and waits until it is in step.
func (b *bench) startSyncer(n int) *process {
	b.t.Helper()
	p := b.site.startSyncer(b.folder, "bench", "--resync="+benchResync.String(), b.balancersFlag(n), b.apiServersFlag())
	b.awaitSynced(p, n, nil)
	return p
}

func (b *bench) balancersFlag(n int) string {
	var all []string
	for _, name := range b.balancers[:n] {
		all = append(all, "root@"+b.host(name).Address().String())
	}
	return "--load-balancers=" + strings.Join(all, ",")
}

// apiServersFlag is what the manifests give the syncer to begin with.
func (b *bench) apiServersFlag() string {
	return "--api-servers=" + b.host(guide[0]).Address().String()
}

// awaitSynced waits until each of the n load balancers was synced since it was as before.
func (b *bench) awaitSynced(p *process, n int, before map[string]float64) {
	b.t.Helper()
	b.await("the load balancers are in step", func(ctx context.Context) error {
		now, err := b.successes(ctx, p)
		if err == nil && len(now) < n {
			err = fmt.Errorf("%d of them", len(now))
		}
		for balancer, count := range now {
			if count <= before[balancer] {
				err = errors.Join(err, errors.New(balancer+" is not"))
			}
		}
		return err
	})
}

// synced makes a change, and waits until the syncer is done with it on each of the n load balancers.
func (b *bench) synced(p *process, n int, change func()) {
	b.t.Helper()
	before, err := b.successes(b.t.Context(), p)
	b.must(err)
	change()
	b.awaitSynced(p, n, before)
}

// await is eventually, with a closer look.
func (b *bench) await(what string, condition func(context.Context) error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if err := kube.Wait(ctx, 10*time.Millisecond, condition); err != nil {
		b.t.Fatalf("waiting until %s: %v", what, err)
	}
}

// successes counts the syncs of each load balancer that ended well.
func (b *bench) successes(ctx context.Context, p *process) (map[string]float64, error) {
	return b.samples(ctx, p, "ha_syncer_syncs_total", `result="success"`)
}

const maxNodes = 25

// address is that of the nth Node, n from 0.
func (b *bench) address(n int) netip.Addr {
	address := b.Subnet().Masked().Addr().As4()
	address[2], address[3] = 30, byte(n+1)
	return netip.AddrFrom4(address)
}

// giveAddresses makes the addresses of all Nodes the controller's.
func (b *bench) giveAddresses() {
	var command strings.Builder
	for n := range maxNodes {
		fmt.Fprintf(&command, "ip address add %s/32 dev eth0; ", b.address(n))
	}
	b.sh(guide[0], command.String())
}

func nodeName(n int) string { return fmt.Sprintf("bench-%d", n) }

func (b *bench) addNode(n int) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName(n), Labels: map[string]string{kube.ControlPlaneLabel: kube.ControlPlaneRole}},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: b.address(n).String()}}},
	}
	_, err := b.client.CoreV1().Nodes().Create(b.t.Context(), node, metav1.CreateOptions{})
	b.must(err)
}

func (b *bench) deleteNode(n int) {
	b.must(b.client.CoreV1().Nodes().Delete(b.t.Context(), nodeName(n), metav1.DeleteOptions{}))
}

// backends is how many backends a controller has a server in.
const backends = 4

// server is a controller's server in one backend, as HAProxy runs it.
type server struct {
	admin int // srv_admin_state
	up    bool
}

// Bits of srv_admin_state, as in pkg/haproxy.
const (
	adminMaint = 0x01 | 0x02 | 0x20
	adminDrain = 0x08 | 0x10
)

// state is what is true of a controller's servers.
type state func(servers []server) bool

func all(is func(server) bool) state {
	return func(servers []server) bool {
		return len(servers) == backends && !slices.ContainsFunc(servers, func(s server) bool { return !is(s) })
	}
}

func serving(s server) bool { return s.up && s.admin&(adminMaint|adminDrain) == 0 }
func checked(s server) bool { return s.admin&adminMaint == 0 }
func closed(s server) bool  { return s.admin&(adminMaint|adminDrain) != 0 }
func parked(s server) bool  { return s.admin&adminMaint != 0 }

func absent(servers []server) bool { return len(servers) == 0 }

// eye looks at one HAProxy by its runtime API, over SSH.
type eye struct {
	host *host.Host
	look *look // nil until it is needed
	// anew makes each look one by a connection of its own: a reload leaves connections with the process that was there before.
	anew bool
}

// servers are those of a controller.
func (e *eye) servers(ctx context.Context, address netip.Addr) ([]server, error) {
	if e.look == nil {
		conn, err := e.host.DialContext(ctx, "unix", haproxy.DefaultSocketPath)
		if err != nil {
			return nil, err
		}
		e.look = &look{conn, bufio.NewReader(conn)}
		if _, err := e.look.ask("prompt"); err != nil {
			e.close()
			return nil, err
		}
	}
	servers, err := e.look.servers(address)
	if err != nil || e.anew {
		e.close()
	}
	return servers, err
}

func (e *eye) close() {
	if e.look != nil {
		e.look.Close()
		e.look = nil
	}
}

// look is a connection to the runtime API, which ends each answer with a prompt.
type look struct {
	net.Conn
	answers *bufio.Reader
}

func (l *look) ask(command string) (answer string, err error) {
	if _, err := io.WriteString(l, command+"\n"); err != nil {
		return "", err
	}
	for !strings.HasSuffix(answer, "\n>") {
		part, err := l.answers.ReadString('>')
		if err != nil {
			return "", err
		}
		answer += part
	}
	_, err = l.answers.Discard(len(" "))
	return answer, err
}

// servers are those of a controller.
func (l *look) servers(address netip.Addr) (servers []server, err error) {
	answer, err := l.ask("show servers state")
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(answer, "1\n") {
		return nil, fmt.Errorf("HAProxy answered %q", answer)
	}
	for line := range strings.Lines(answer) {
		// be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state ...
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[4] != address.String() {
			continue
		}
		admin, err := strconv.Atoi(fields[6])
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", line, err)
		}
		servers = append(servers, server{admin: admin, up: fields[5] == "2"})
	}
	return servers, nil
}

// interval is between two looks at HAProxy until a change shows, and so by how much that time can be too long.
const interval = 4 * time.Millisecond

// moments are how long it took to make a change, and from then on until it showed and until it was complete, where that
// took longest.
type moments struct{ making, shown, complete time.Duration }

// time makes a change of a controller, and waits until the first n load balancers have shown it and are done with it.
func (b *bench) time(n int, address netip.Addr, shown, complete state, change func()) moments {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	watched := make(chan seen)
	for _, e := range b.eyes[:n] {
		_, err := e.servers(ctx, address)
		b.must(err)
		go func() { watched <- e.watch(ctx, address, shown, complete) }()
	}
	start := time.Now()
	change()
	made := time.Now()
	m := moments{making: made.Sub(start)}
	for range n {
		s := <-watched
		b.must(s.err)
		m.shown, m.complete = max(m.shown, s.shown.Sub(made)), max(m.complete, s.complete.Sub(made))
	}
	return m
}

// seen is when one HAProxy showed a change and was done with it.
type seen struct {
	shown, complete time.Time
	err             error
}

// watch looks at HAProxy until it is done with a change.
func (e *eye) watch(ctx context.Context, address netip.Addr, shown, complete state) (s seen) {
	defer e.close()
	for pause := interval; s.complete.IsZero(); time.Sleep(pause) {
		servers, err := e.servers(ctx, address)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return seen{err: fmt.Errorf("waiting for HAProxy on %s: %w, last seen: %+v, %w", e.host.Name(), ctx.Err(), servers, err)}
		case err != nil:
			continue // it is being reloaded
		}
		if s.shown.IsZero() && shown(servers) {
			s.shown, pause = now, 5*interval
		}
		if !s.shown.IsZero() && complete(servers) {
			s.complete = now
		}
	}
	return s
}

// spread is the median and the 99th percentile of durations.
func spread(durations []time.Duration) (p50, p99 time.Duration) {
	sorted := slices.Sorted(slices.Values(durations))
	return apiload.Percentile(sorted, 50), apiload.Percentile(sorted, 99)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + " ms" }
