//go:build e2e && bench

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/apiload"
)

// What the syncer promises, for one load balancer.
const (
	maxShown     = 150 * time.Millisecond // of the 99th percentile
	maxColdStart = 3 * time.Second
)

// rounds is how often each of the four changes is made.
const rounds = 25

// counts are the numbers of load balancers that are measured.
var counts = []int{1, 3, 10}

// TestBenchSync measures how long changes take from the API to HAProxy, and what they cost connections.
func TestBenchSync(t *testing.T) {
	b := newBench(t, counts[len(counts)-1])
	b.giveAddresses()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "load balancers\tchange\tshows in HAProxy, p50\tp99\tis complete, p50\tp99\t")
	for _, n := range counts {
		b.measure(w, n)
	}
	b.must(w.Flush())
	t.Logf("changes, until the last load balancer has them:\n%s", &table)
	b.coldStarts()
	b.compare()
}

// kind is a kind of change, and what servers are like when it shows and when it is complete.
type kind struct {
	name            string
	shown, complete state
	make            func()
}

// kinds are the changes of a controller, in the order in which a round makes them.
func (b *bench) kinds(n int) []kind {
	annotate := func(value string) func() { return func() { b.annotate(nodeName(n), value) } }
	return []kind{
		{"Node added", all(checked), all(serving), func() { b.addNode(n) }},
		{"annotated", all(closed), all(parked), annotate(`"true"`)},
		{"annotation removed", all(checked), all(serving), annotate("null")},
		{"Node deleted", func(servers []server) bool { return absent(servers) || all(closed)(servers) }, absent, func() { b.deleteNode(n) }},
	}
}

// measure makes changes one after another, each when all load balancers are done with the one before, and at any moment
// of their health checks.
func (b *bench) measure(w *tabwriter.Writer, balancers int) {
	p := b.startSyncer(balancers)
	defer p.stop()
	shown, complete := map[string][]time.Duration{}, map[string][]time.Duration{}
	var every []time.Duration
	for n := range rounds {
		for _, kind := range b.kinds(n) {
			b.synced(p, balancers, func() {
				m := b.time(balancers, b.address(n), kind.shown, kind.complete, kind.make)
				shown[kind.name], complete[kind.name] = append(shown[kind.name], m.shown), append(complete[kind.name], m.complete)
				every = append(every, m.shown)
			})
			time.Sleep(rand.N(time.Second / 2))
		}
	}
	for _, kind := range b.kinds(0) {
		s50, s99 := spread(shown[kind.name])
		c50, c99 := spread(complete[kind.name])
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t\n", balancers, kind.name, milliseconds(s50), milliseconds(s99), milliseconds(c50), milliseconds(c99))
	}
	p50, p99 := spread(every)
	fmt.Fprintf(w, "%d\tall %d changes\t%s\t%s\t\t\t\n", balancers, len(every), milliseconds(p50), milliseconds(p99))
	if balancers == 1 && p99 > maxShown {
		b.t.Errorf("with one load balancer, the 99th percentile is %s, more than %s", milliseconds(p99), maxShown)
	}
}

// coldStarts measures from the start of the process until a change that was made before shows in HAProxy.
func (b *bench) coldStarts() {
	b.addNode(0)
	b.startSyncer(len(b.balancers)).stop()
	for _, start := range []struct {
		name  string
		flags []string
	}{
		{"with the addresses of API servers that the manifests give it", []string{b.apiServersFlag()}},
		{"with API servers that it has to learn from HAProxy", nil},
	} {
		for _, n := range counts {
			var took []time.Duration
			for range 3 {
				for _, c := range []struct {
					value string
					shown state
				}{{`"true"`, all(closed)}, {"null", all(checked)}} {
					b.annotate(nodeName(0), c.value)
					var p *process
					m := b.time(n, b.address(0), c.shown, c.shown, func() {
						p = b.site.startSyncer(b.folder, "bench", append([]string{"--resync=10s", b.balancersFlag(n)}, start.flags...)...)
					})
					b.awaitSynced(p, n, nil)
					p.stop()
					took = append(took, m.making+m.shown)
				}
			}
			_, longest := spread(took)
			b.t.Logf("cold start, %d load balancers, %s: %s", n, start.name, listed(took))
			if n == 1 && longest > maxColdStart {
				b.t.Errorf("a cold start %s took %s, more than %s", start.name, milliseconds(longest), maxColdStart)
			}
		}
	}
}

func listed(durations []time.Duration) string {
	var texts []string
	for _, d := range durations {
		texts = append(texts, milliseconds(d))
	}
	return strings.Join(texts, ", ")
}

// compare makes the same changes under the same load, by hand and by the syncer.
func (b *bench) compare() {
	edit := func(script string) func() {
		return func() { b.sh(loadBalancer, "sed -i '"+script+"' /etc/haproxy/haproxy.cfg && systemctl reload haproxy") }
	}
	line := fmt.Sprintf(`\( *server .* %s:.*\)`, b.address(0))
	b.eyes[0].anew = true
	byHand := b.underLoad(edit("s/^"+line+"$/\\1 disabled/"), edit("s/^"+line+" disabled$/\\1/"), func(change func()) { change() })
	b.eyes[0].anew = false
	p := b.startSyncer(1)
	ours := b.underLoad(func() { b.annotate(nodeName(0), `"true"`) }, func() { b.annotate(nodeName(0), "null") }, func(change func()) {
		b.synced(p, 1, change)
	})
	p.stop()
	b.t.Logf("by sed and systemctl reload: %s", byHand)
	b.t.Logf("by the syncer: %s", ours)
	if n := len(ours.report.Failures); n > 0 {
		b.t.Errorf("%d requests failed by the syncer's changes", n)
	}
}

// cost is what changes cost whoever uses the load balancer, and the load balancer itself.
type cost struct {
	report    apiload.Report
	out, in   []time.Duration // from the command until it shows, and until the controller serves
	processes string
}

func (c cost) String() string {
	out, _ := spread(c.out)
	in, _ := spread(c.in)
	return fmt.Sprintf("%d changes, out after %s and in after %s (medians); at the end, %s; %s",
		len(c.out)+len(c.in), milliseconds(out), milliseconds(in), c.processes, c.report)
}

// underLoad takes a controller out and lets it in, ten times, while clients of all kinds go through the load balancer. Each
// change is made by finish, which makes sure that nothing of it is left to do.
func (b *bench) underLoad(out, in func(), finish func(change func())) cost {
	load, err := apiload.Start(b.t.Context(), apiload.Defaults(b.config))
	b.must(err)
	var c cost
	for range 10 {
		finish(func() {
			m := b.time(1, b.address(0), all(closed), all(parked), out)
			c.out = append(c.out, m.making+m.shown)
		})
		finish(func() {
			m := b.time(1, b.address(0), all(checked), all(serving), in)
			c.in = append(c.in, m.making+m.complete)
		})
	}
	c.processes = b.sh(loadBalancer, `ps -C haproxy -o rss= | awk '{ n++; sum += $1 } END { print n " HAProxy processes with " int(sum/1024) " MB" }'`)
	c.report = load.Stop()
	return c
}
