package apiload

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// api is an API that answers as its handlers say.
func api(t *testing.T, get, watch http.HandlerFunc) *rest.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("watch") {
			watch(w, r)
			return
		}
		get(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "{}") }

// open keeps a watch open until its client goes.
func open(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func start(t *testing.T, cfg Config) *Load {
	t.Helper()
	cfg.Timeout = time.Second
	l, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// await waits until the load has seen n requests and watches end.
func (l *Load) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.journal.mu.Lock()
		seen := len(l.journal.entries)
		l.journal.mu.Unlock()
		if seen >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests ended, want %d", seen, n)
		}
	}
}

func TestASoundAPIFailsNothing(t *testing.T) {
	var http1, http2 atomic.Int64
	cfg := api(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			http2.Add(1)
		} else {
			http1.Add(1)
		}
		ok(w, r)
	}, open)
	l := start(t, Config{API: cfg, NewConnections: 100, Clients: 2, ClientRate: 50, Watches: 2})
	l.await(t, 40)
	r := l.Stop()
	if len(r.Failures) > 0 || r.Requests < 40 || r.Watches != 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("report: %s", r)
	}
	if http1.Load() == 0 || http2.Load() == 0 {
		t.Errorf("%d requests by HTTP/1.1 and %d by HTTP/2", http1.Load(), http2.Load())
	}
}

// A client far away has connected a while before it says anything.
func TestClientsFarAwayTakeTheirTime(t *testing.T) {
	const far = 200 * time.Millisecond
	l := start(t, Config{API: api(t, ok, open), FarConnections: 50, Far: far, NewConnections: 50})
	l.await(t, 40)
	r := l.Stop()
	if len(r.Failures) > 0 || r.P99 >= far {
		t.Errorf("report: %s", r)
	}
	for _, e := range l.journal.entries {
		if slow := e.took >= far; slow != (e.kind == KindFar) {
			t.Errorf("%s took %s", e.kind, e.took)
		}
	}
}

// Clients that keep connections come again when they are told to, as client-go does; one that makes a new connection has
// failed.
func TestAnAnswerThatSaysWhenToAskAgain(t *testing.T) {
	var gets, watches atomic.Int64
	later := func(times int64, asked *atomic.Int64, then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 && asked.Add(1) > times {
				then(w, r)
				return
			}
			w.Header().Set("Retry-After", "0")
			http.Error(w, "apiserver is shutting down", http.StatusServiceUnavailable)
		}
	}
	cfg := api(t, later(4, &gets, ok), later(2, &watches, open))
	l := start(t, Config{API: cfg, NewConnections: 50, Clients: 1, ClientRate: 50, Watches: 1})
	l.await(t, 10)
	r := l.Stop()
	if r.Told != 6 || len(r.Failures) == 0 || slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.Kind != KindNew }) {
		t.Errorf("told %d times: %s", r.Told, r)
	}
}

func TestFailuresAreReportedByKind(t *testing.T) {
	cfg := api(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 {
			http.Error(w, "down for a moment", http.StatusServiceUnavailable)
			return
		}
		ok(w, r)
	}, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	l := start(t, Config{API: cfg, NewConnections: 50, Clients: 1, ClientRate: 50, Watches: 1})
	l.await(t, 20)
	r := l.Stop()
	kinds := map[Kind]int{}
	for _, f := range r.Failures {
		kinds[f.Kind]++
	}
	if kinds[KindNew] == 0 || kinds[KindWatch] == 0 || kinds[KindKept] != 0 {
		t.Errorf("failures by kind: %v", kinds)
	}
	if text := r.String(); !strings.Contains(text, "503 Service Unavailable: down for a moment") || !strings.Contains(text, "403 Forbidden") {
		t.Errorf("report: %s", text)
	}
}

func TestAWatchThatEndsIsNoFailureAndOneThatBreaksIs(t *testing.T) {
	var broken atomic.Bool
	cfg := api(t, ok, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"type":"BOOKMARK"}`)
		_ = http.NewResponseController(w).Flush()
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
	})
	l := start(t, Config{API: cfg, Watches: 1})
	l.await(t, 3)
	broken.Store(true)
	l.journal.mu.Lock()
	seen := len(l.journal.entries)
	l.journal.mu.Unlock()
	l.await(t, seen+3)
	r := l.Stop()
	if r.Watches == len(r.Failures) || len(r.Failures) == 0 {
		t.Errorf("%d watches ended, %d of them failed", r.Watches, len(r.Failures))
	}
}

func TestASlowAnswerHidesNoOtherRequest(t *testing.T) {
	release := make(chan struct{})
	var first atomic.Bool
	cfg := api(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			<-release
		}
		ok(w, r)
	}, open)
	l := start(t, Config{API: cfg, NewConnections: 100})
	l.await(t, 10)
	close(release)
	if r := l.Stop(); r.Requests < 11 || len(r.Failures) > 0 {
		t.Errorf("report: %s", r)
	}
}

func TestReport(t *testing.T) {
	began := time.Now()
	j := journal{start: began}
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	for i := range 99 {
		j.add(entry{KindNew, at(i * 10), 2 * time.Millisecond, nil})
	}
	j.add(entry{KindKept, at(990), 50 * time.Millisecond, nil})
	j.add(entry{KindKept, at(500), time.Second, errors.New("connection reset")})
	j.add(entry{KindWatch, at(100), time.Second, nil})
	r := j.report(at(1100))
	if r.Requests != 101 || r.Watches != 1 || len(r.Failures) != 1 || r.Failures[0].At != 500*time.Millisecond {
		t.Errorf("report: %+v", r)
	}
	if r.P50 != 2*time.Millisecond || r.P99 != 2*time.Millisecond || r.LongestGap != 60*time.Millisecond {
		t.Errorf("p50 %s, p99 %s, longest gap %s", r.P50, r.P99, r.LongestGap)
	}
	want := "1 of 101 requests failed in 1.1s; longest gap 60ms, p50 2ms, p99 2ms; 1 watches ended, 0 told to come again\n" +
		"  after 500ms: kept connection failed within 1s: connection reset"
	if r.String() != want {
		t.Errorf("got\n%s\nwant\n%s", r, want)
	}
}

func TestUnusableConfigsAreRefused(t *testing.T) {
	for _, cfg := range []Config{{}, {API: &rest.Config{}}, {API: &rest.Config{}, Timeout: 1, Clients: 1}} {
		if _, err := Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
