//go:build e2e && bench

package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What the syncer may cost, however many workers there are.
const (
	maxSyncerMemory = 40_000_000 // bytes of resident memory, at any time
	maxSyncerGrowth = 4_000_000  // bytes that 5,000 workers may add to that
	maxSyncerCPU    = 0.01       // of a core
)

const (
	// observed is how long the syncer is watched at each number of workers.
	observed = time.Minute
	// resynced is how often it looks at HAProxy in that time without a reason; it looks once more for how it begins and ends.
	resynced = int(observed/benchResync) + 2
	// heartbeat is how often each worker reports its status. Kubelets do so every five minutes when nothing changes, and
	// renew a Lease in between, which nobody here watches.
	heartbeat = 10 * time.Second
	// minReports is how many of them a second make a measurement; a slow machine sends fewer than are due.
	minReports = 50
	// senders is how many heartbeats are under way at the same time.
	senders = 16
)

// TestBenchCost measures what the syncer costs while workers report their status.
func TestBenchCost(t *testing.T) {
	b := newBench(t, 1)
	b.giveAddresses()
	b.addNode(0)
	b.startSyncer(1).stop()
	if b.helperLines() == 0 {
		t.Fatal("the helper has not logged what it changed, so that nothing can be counted")
	}
	workers := 0
	var peaks []int64
	for _, n := range []int{0, 1000, 5000} {
		b.addWorkers(workers, n)
		workers = n
		peaks = append(peaks, b.observe(workers))
	}
	if growth := peaks[2] - peaks[0]; growth > maxSyncerGrowth {
		t.Errorf("%d workers add %d bytes of memory, more than %d", workers, growth, maxSyncerGrowth)
	}
}

// observe watches a syncer that starts anew among so many workers, and returns how much memory it had at most, in bytes.
func (b *bench) observe(workers int) (peak int64) {
	p := b.startSyncer(1)
	defer p.stop()
	beats := b.startHeartbeats(workers)
	written := b.sh(loadBalancer, "stat -c '%y %i' /etc/haproxy/haproxy.cfg")
	said := b.helperLines()
	looks := b.looks(p)
	cpu := b.cpuTime(p)
	time.Sleep(observed)
	share := (b.cpuTime(p) - cpu).Seconds() / observed.Seconds()
	looks = b.looks(p) - looks
	sent, failed := beats()
	peak = peakMemory(b.t, strconv.Itoa(p.pid))
	b.t.Logf("%d workers, %.0f reports of their status a second (%d failed): at most %.1f MiB of memory, %.2f %% of a core, %d looks at HAProxy, "+
		"%d lines in the helper's log", workers, float64(sent)/observed.Seconds(), failed, float64(peak)/(1<<20), 100*share, looks, b.helperLines()-said)
	if rate := float64(sent) / observed.Seconds(); failed > 0 || workers > 0 && rate < minReports {
		b.t.Errorf("%d workers reported their status %.0f times a second, and %d times in vain", workers, rate, failed)
	}
	if looks > resynced {
		b.t.Errorf("with %d workers it looked at HAProxy %d times, more than %d: reports of a status are no reason", workers, looks, resynced)
	}
	if peak > maxSyncerMemory {
		b.t.Errorf("with %d workers it used %d bytes of memory, more than %d", workers, peak, maxSyncerMemory)
	}
	if share > maxSyncerCPU {
		b.t.Errorf("with %d workers it used %.2f %% of a core, more than %.2f %%", workers, 100*share, 100*maxSyncerCPU)
	}
	if b.helperLines() != said || b.sh(loadBalancer, "stat -c '%y %i' /etc/haproxy/haproxy.cfg") != written {
		b.t.Errorf("with %d workers something was changed on the load balancer", workers)
	}
	return peak
}

// looks counts how often a syncer has looked at the one HAProxy.
func (b *bench) looks(p *process) int {
	b.t.Helper()
	samples, err := b.samples(b.t.Context(), p, "ha_syncer_syncs_total", "")
	b.must(err)
	total := 0.0
	for _, count := range samples {
		total += count
	}
	return int(total)
}

// helperLines counts what the helper has logged: all that it changes or refuses.
func (b *bench) helperLines() int {
	lines, err := strconv.Atoi(b.sh(loadBalancer, "journalctl -q -t ha-lb-helper -o cat | wc -l"))
	b.must(err)
	return lines
}

// cpuTime is what a process has used so far.
func (b *bench) cpuTime(p *process) time.Duration {
	b.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	b.must(err)
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(after)
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		b.must(err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

func workerName(n int) string { return fmt.Sprintf("worker-%d", n) }

// workerNode is a Node of the size of a kubelet's.
func workerNode(n int) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: workerName(n), Labels: map[string]string{
			"kubernetes.io/hostname": workerName(n), "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
			"topology.kubernetes.io/zone": "zone-1", "node.kubernetes.io/instance-type": "k0s",
		}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.200.%d.%d", n/250, n%250+1)}},
			Capacity:  corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("32Gi")},
			NodeInfo:  corev1.NodeSystemInfo{KubeletVersion: "v1.36.3+k0s", OSImage: "Debian GNU/Linux 12 (bookworm)", KernelVersion: "6.1.0"},
		},
	}
	for i := range 30 {
		name := fmt.Sprintf("registry.example.com/team-%d/a-service-of-some-kind-%d", i%5, i)
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
			Names: []string{name + ":v1.2.3", name + "@sha256:" + strings.Repeat("0123456789abcdef", 4)}, SizeBytes: 123456789,
		})
	}
	return node
}

// addWorkers adds the workers from the first to before the last.
func (b *bench) addWorkers(from, to int) {
	b.t.Helper()
	var failed atomic.Pointer[error]
	b.each(b.t.Context(), from, to, func(n int) {
		if _, err := b.client.CoreV1().Nodes().Create(b.t.Context(), workerNode(n), metav1.CreateOptions{}); err != nil {
			failed.Store(&err)
		}
	})
	if err := failed.Load(); err != nil {
		b.t.Fatalf("adding workers: %v", *err)
	}
}

// each calls f for every number, several at the same time, until ctx ends.
func (b *bench) each(ctx context.Context, from, to int, f func(n int)) {
	var next atomic.Int64
	next.Store(int64(from))
	var working sync.WaitGroup
	for range senders {
		working.Go(func() {
			for n := next.Add(1) - 1; n < int64(to) && ctx.Err() == nil; n = next.Add(1) - 1 {
				f(int(n))
			}
		})
	}
	working.Wait()
}

// startHeartbeats has workers and a controller report their status, each once an interval or as often as the API server manages, and returns
// what ends that and says how many reports were taken and how many failed.
func (b *bench) startHeartbeats(workers int) (stop func() (sent, failed int64)) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var sent, failed atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			round := time.NewTimer(heartbeat)
			b.each(ctx, -1, workers, func(n int) {
				name := nodeName(0) // of the control plane
				if n >= 0 {
					name = workerName(n)
				}
				if err := b.report(name); err != nil {
					failed.Add(1)
				} else {
					sent.Add(1)
				}
			})
			select {
			case <-ctx.Done():
				round.Stop()
			case <-round.C:
			}
		}
	}()
	return func() (int64, int64) {
		cancel()
		<-ended
		return sent.Load(), failed.Load()
	}
}

// report says that a Node is well.
func (b *bench) report(name string) error {
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","lastHeartbeatTime":%q}]}}`,
		time.Now().UTC().Format(time.RFC3339))
	_, err := b.client.CoreV1().Nodes().Patch(b.t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err
}
