package etcdmembers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// What is shown of clusters in all conditions.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		outputs string
		change  func(c *fakeCluster)
		healthy bool
	}{
		{"healthy", "table wide json yaml name", func(*fakeCluster) {}, true},
		{"by-kubeconfig", "table", func(c *fakeCluster) { c.o.file = nil }, true},
		{"unreachable", "table wide json", func(c *fakeCluster) { c.unseen["10.10.1.2"] = errors.New("no route to host") }, false},
		{"frozen", "wide", func(c *fakeCluster) { c.frozen["10.10.2.2"] = true }, false},
		{"no-quorum", "table name", func(c *fakeCluster) {
			c.unseen["10.10.0.2"], c.unseen["10.10.1.2"] = errBroken, errBroken
			c.kubeErr = errors.New("etcdserver: request timed out")
		}, false},
		{"learner", "wide", func(c *fakeCluster) {
			m := member(0xd4, "cp4", "10.10.3.2")
			m.Learner = true
			c.members = append(c.members, m)
			c.details[0xd4] = 34
		}, true},
		{"orphan", "table json", func(c *fakeCluster) {
			c.members = append(c.members, member(0xd4, "cp4", "10.10.3.2"), etcd.Member{ID: 0xe5, PeerURLs: []string{"https://cp5.example:2380"}})
			c.unseen["10.10.3.2"], c.unseen["cp5.example"] = errBroken, errBroken
		}, false},
		{"objects-differ", "table", func(c *fakeCluster) {
			c.objects[0].Name, c.objects[1].PeerAddress, c.objects[2].Joined = "other", c.objects[0].PeerAddress, false
			c.objects = append(c.objects, object("gone", "10.10.9.2", "f6"), object("left", "10.10.9.3", "f7"), object("new", "10.10.9.4", ""))
			c.objects[4].Joined = false
		}, false},
		{"another-kubeconfig", "table", func(c *fakeCluster) { c.objects = c.objects[:1]; c.objects[0].MemberID = "1" }, false},
		{"no-objects", "table", func(c *fakeCluster) { c.objects = nil }, true},
		{"no-object-yet", "table", func(c *fakeCluster) { c.objects = c.objects[:2] }, true},
		{"not-compared", "table", func(c *fakeCluster) { c.kubeErr = errBroken }, true},
		{"alarm", "wide", func(c *fakeCluster) { c.alarms = []etcd.Alarm{{Member: 0xb2, Type: etcd.NoSpace}} }, false},
		{"not-yet-joined", "table", func(c *fakeCluster) { c.members = c.members[:2]; c.objects = c.objects[:2] }, true},
		{"no-ssh-possible", "table json", func(c *fakeCluster) {
			c.o.file = nil
			c.unseen["10.10.0.2"], c.unseen["10.10.1.2"], c.unseen["10.10.2.2"] = errBroken, errBroken, errBroken
		}, false},
		{"no-ssh-wanted", "table wide json name", func(c *fakeCluster) { c.o.SSH, c.o.file = false, nil; c.objects[2].Joined = false }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all strings.Builder
			for output := range strings.FieldsSeq(c.outputs) {
				cluster := newCluster(t)
				cluster.o.Output = output
				c.change(cluster)
				err := cluster.o.Run(t.Context())
				if (err == nil) != c.healthy || err != nil && cli.ExitCode(err) != cli.ExitError {
					t.Errorf("%s: got %v, healthy: %v", output, err, c.healthy)
				}
				all.WriteString("# -o " + output + "\n" + cluster.out.String())
				if cluster.errOut.Len() > 0 {
					all.WriteString("# on standard error\n" + cluster.errOut.String())
				}
				if err != nil {
					all.WriteString("error: " + err.Error() + "\n")
				}
			}
			golden.Compare(t, c.name, all.String())
		})
	}
}

func TestWhatCannotBeShownIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *fakeCluster)
		says   string
	}{
		"no host": {func(c *fakeCluster) {
			c.unseen["10.10.0.2"], c.unseen["10.10.1.2"], c.unseen["10.10.2.2"] = errBroken, errBroken, errBroken
		}, "no member of etcd could be reached:\nconnecting to root@10.10.0.2:22: broken"},
		"no API to find them by": {func(c *fakeCluster) { c.o.file, c.kubeErr = nil, errBroken }, "finding the members: broken: name the hosts with -f"},
		"no objects":             {func(c *fakeCluster) { c.o.file, c.objects = nil, nil }, "has no EtcdMember objects"},
		"no kubeconfig": {func(c *fakeCluster) {
			c.o.file = nil
			c.o.world.kube = func() (api, error) { return nil, errBroken }
		}, "broken"},
		"no objects and no SSH": {func(c *fakeCluster) { c.o.SSH, c.kubeErr = false, errBroken }, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			c.change(cluster)
			if err := cluster.o.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s", err, c.says)
			}
			if cluster.out.Len() > 0 {
				t.Errorf("printed %s", cluster.out)
			}
		})
	}
}

func TestWatchShowsOthersWhileOneIsSilentAndEndsOrdinarily(t *testing.T) {
	c := newCluster(t)
	c.o.Watch, c.o.Interval, c.o.Timeout = true, 5*time.Millisecond, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	out := &tables{c: c, cancel: cancel}
	c.o.Out = out
	if err := c.o.Run(ctx); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.last, "no answer yet") || strings.Count(out.last, "started") != 2 {
		t.Errorf("got %s", out.last)
	}
}

// tables freezes a member at the first table and ends the watch at a later one that shows that.
type tables struct {
	c      *fakeCluster
	cancel func()
	last   string
}

func (w *tables) Write(p []byte) (int, error) {
	w.last = string(p)
	w.c.mu.Lock()
	w.c.frozen["10.10.2.2"] = true
	w.c.mu.Unlock()
	if strings.Contains(w.last, "unreachable") {
		w.cancel()
	}
	return len(p), nil
}

func TestAnInterruptIsNoFailureOfMembers(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.o.Run(ctx); !errors.Is(err, context.Canceled) || c.out.Len() > 0 {
		t.Errorf("got %v, %s", err, c.out)
	}
}
