package controlplane

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// withSyncer has the syncer say that of load balancers.
func (w *removalWorld) withSyncer(statuses ...string) {
	w.t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.SyncerStatusName}, Data: map[string]string{}}
	for _, s := range statuses {
		object.Data[s] = s
	}
	maps := w.c.api.kube.Client.CoreV1().ConfigMaps(kube.SyncerNamespace)
	if _, err := maps.Create(w.t.Context(), object, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// warned is what a run has warned of.
func (w *removalWorld) warned() string {
	w.t.Helper()
	if err := w.c.report.Close(); err != nil {
		w.t.Fatal(err)
	}
	return w.err.String()
}

func TestWhatTheSyncerReportsIsTold(t *testing.T) {
	w := newRemovalWorld(t)
	w.c.lookAtSyncer(t.Context())
	if w.c.synced {
		t.Error("there is none")
	}
	w.withSyncer(`{"loadBalancer":"10.10.4.10:22","result":"success"}`, `{"loadBalancer":"10.10.4.11:22","result":"postponed","message":"by us"}`,
		`{"loadBalancer":"10.10.4.12:22","result":"refused","message":"the markers are broken","since":"2026-01-02T03:04:05Z"}`)
	w.c.lookAtSyncer(t.Context())
	if got := w.warned(); !w.c.synced || strings.Count(got, "the syncer reports") != 1 ||
		!strings.Contains(got, "10.10.4.12:22") || !strings.Contains(got, "refused: the markers are broken") {
		t.Errorf("got %s", got)
	}
}

func TestHAProxyIsGivenBackToTheSyncer(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []string
		says     string // nothing: no warning
	}{
		"none is installed": {nil, ""},
		"it goes on":        {[]string{`{"loadBalancer":"a","result":"success"}`}, ""},
		"it refuses":        {[]string{`{"loadBalancer":"a","result":"refused","message":"why"}`}, "refused: why"},
		"it is gone":        {[]string{`{"loadBalancer":"a","result":"postponed"}`}, "has not taken over yet: it still leaves the load balancer a to this command"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRemovalWorld(t)
			if w.c.synced = c.statuses != nil; w.c.synced {
				w.withSyncer(c.statuses...)
			}
			start := time.Now()
			w.c.awaitObjects(t.Context())
			w.c.awaitSyncer(t.Context())
			if took := time.Since(start); took > 2*syncerTimeout || c.statuses == nil && took > time.Second {
				t.Errorf("it took %v", took)
			}
			if got := w.warned(); (c.says == "") != (got == "") || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}

// A removal that is cut off leaves the mark, and one that is given up takes it off.
func TestALeaverIsMarkedForTheSyncer(t *testing.T) {
	w := newRemovalWorld(t)
	l := w.find(Removal{Controller: "cp2"})
	k := w.c.api.kube
	marks := func() (by []string) {
		nodes, err := k.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		controlNodes, err := k.ControlNodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		members, err := k.EtcdMembers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			by = append(by, n.DrainedBy)
		}
		for _, n := range controlNodes {
			by = append(by, n.DrainedBy)
		}
		for _, m := range members {
			by = append(by, m.DrainedBy)
		}
		return by
	}
	unmarked := slices.Repeat([]string{""}, 9)
	expect := func(what string, at int) {
		t.Helper()
		want := slices.Clone(unmarked)
		if at >= 0 {
			want[at] = markedBy
		}
		if got := marks(); !slices.Equal(got, want) {
			t.Errorf("%s: got %q", what, got)
		}
	}
	for _, kind := range []struct {
		at     int // among the marks
		forget func() error
	}{
		{1, func() error { l.node = nil; return nil }},
		{4, func() error { return k.DeleteControlNode(t.Context(), "cp2") }},
		{6, func() error { return k.DeleteEtcdMember(t.Context(), "cp2") }},
	} {
		if reason, err := w.c.skipMark(t.Context()); reason != "" || err != nil {
			t.Errorf("%q, %v", reason, err)
		}
		for range 2 { // also one that a run has left
			if err := w.c.mark(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect("marked", kind.at)
		}
		l.removed = true
		if err := w.c.undoMark(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("it has left", kind.at)
		l.removed = false
		if err := w.c.undoMark(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("given up", -1)
		if err := kind.forget(); err != nil {
			t.Fatal(err)
		}
		unmarked = slices.Repeat([]string{""}, len(marks()))
	}
	if reason, err := w.c.skipMark(t.Context()); reason != "no object of it is left" || err != nil {
		t.Errorf("%q, %v", reason, err)
	}
	if err := w.c.undoMark(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSomebodyElsesMarkStays(t *testing.T) {
	w := newRemovalWorld(t)
	w.find(Removal{Controller: "cp2"})
	if err := w.c.api.kube.MarkNode(t.Context(), "cp2", "maintenance"); err != nil {
		t.Fatal(err)
	}
	reason, err := w.c.skipMark(t.Context())
	if err != nil || !strings.Contains(reason, "says so already (kubectl-ha.io/drain=maintenance)") {
		t.Errorf("%q, %v", reason, err)
	}
}
