package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube/kubetest"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

func TestCertificateIsDueInItsLastThird(t *testing.T) {
	now := time.Now()
	ends := func(lifetime, left time.Duration) *wire.Certificate {
		return &wire.Certificate{NotBefore: now.Add(left - lifetime), NotAfter: now.Add(left)}
	}
	for name, c := range map[string]struct {
		certificate *wire.Certificate
		want        bool
	}{
		"none is needed":   {nil, false},
		"there is none":    {&wire.Certificate{}, true},
		"a fresh one":      {ends(time.Hour, time.Hour), false},
		"before its third": {ends(time.Hour, 20*time.Minute+time.Second), false},
		"in its third":     {ends(time.Hour, 20*time.Minute-time.Second), true},
		"it has ended":     {ends(time.Hour, -time.Minute), true},
	} {
		if got := due(c.certificate, now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// issued is what an issuer makes.
func issued(t *testing.T, lifetime time.Duration) (*wire.Renew, error) {
	t.Helper()
	a := newAPI()
	kubetest.SignRequests(a, lifetime)
	return newIssuer(a.CertificatesV1().CertificateSigningRequests()).issue(t.Context())
}

func TestARenewalWaitsUntilHAProxyHasStarted(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		ran, runs bool
		after     time.Duration
		waits     bool
	}{
		"too early":           {true, true, firstRenewal - 1, true},
		"in time":             {true, true, firstRenewal, false},
		"it does not run yet": {false, false, firstRenewal - 1, true},
		"it has started":      {false, true, 1, false},
		"it has stopped":      {true, false, 1, true},
	} {
		var r renewal
		r.failed(errors.New("no"), now, c.ran)
		if got := r.waits(now.Add(c.after), c.runs); got != c.waits {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestLoopRenewsACertificateThatEndsSoon(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up"}, certificate: &wire.Certificate{}}
		made, fail := 0, error(nil)
		w := newWorld(t, []int{1}, f)
		w.set(func() {
			w.issue = func() (*wire.Renew, error) {
				made++
				if fail != nil {
					return nil, fail
				}
				return issued(t, 30*time.Hour)
			}
		})
		count := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return made
		}
		time.Sleep(5 * time.Second)
		if o := w.last(t); count() != 1 || o.result != success || o.renewal.err != nil {
			t.Fatalf("%d made: %+v", count(), o)
		}
		time.Sleep(19 * time.Hour)
		if count() != 1 {
			t.Errorf("%d were made where one would do", count())
		}
		time.Sleep(2 * time.Hour)
		if count() != 2 {
			t.Errorf("%d were made when the first was in its last third", count())
		}

		// The API refuses: HAProxy's servers are looked after all the same.
		w.set(func() { fail = errors.New("forbidden") })
		time.Sleep(25 * time.Hour)
		tries := count() - 2
		w.set(func() { w.members = members(1, 2) })
		time.Sleep(time.Second)
		expect(t, f, "cp1 up, cp2 up")
		if o := w.last(t); o.result != success || o.renewal.err == nil || !strings.Contains(o.renewal.err.Error(), "forbidden") {
			t.Errorf("%+v", o)
		}
		if tries < 6 || tries > 15 {
			t.Errorf("tried %d times in five hours", tries)
		}
		w.set(func() { fail = nil })
		time.Sleep(time.Hour)
		if o := w.last(t); o.renewal.err != nil || o.report.Certificate.NotAfter.Before(time.Now().Add(29*time.Hour)) {
			t.Errorf("%+v", o)
		}
	})
}

func TestClocksThatDifferMakeNoStreamOfCertificates(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up"}, certificate: &wire.Certificate{}}
		made := 0
		w := newWorld(t, []int{1}, f)
		w.set(func() {
			w.issue = func() (*wire.Renew, error) {
				made++
				return issued(t, -time.Hour)
			}
		})
		time.Sleep(time.Hour)
		w.set(func() {
			if made < 5 || made > 9 {
				t.Errorf("%d were made in an hour", made)
			}
		})
		if o := w.last(t); o.result != success || o.renewal.err == nil || !strings.Contains(o.renewal.err.Error(), "clock") {
			t.Errorf("%+v", o)
		}
	})
}

func TestLoopRenewsNothingMeanwhile(t *testing.T) {
	for name, prepare := range map[string]func(*world, *fakeHAProxy){
		"a plugin is at work": func(w *world, _ *fakeHAProxy) { w.holder = "anna@laptop" },
		"none is needed":      func(_ *world, f *fakeHAProxy) { f.certificate = nil },
	} {
		in(t, func(t *testing.T) {
			f := &fakeHAProxy{states: map[int]string{1: "up"}, certificate: &wire.Certificate{}, unreachable: errors.New("not yet")}
			w := newWorld(t, []int{1}, f)
			w.set(func() {
				w.issue = func() (*wire.Renew, error) { return nil, fmt.Errorf("%s: asked for", name) }
				prepare(w, f)
			})
			f.change(func() { f.unreachable = nil })
			time.Sleep(time.Minute)
			if o := w.last(t); o.renewal.err != nil {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestWhatTheHelperSaysOfACertificateIsKept(t *testing.T) {
	for kind, keeps := range map[wire.Kind]bool{wire.Refused: true, wire.Malformed: false} {
		in(t, func(t *testing.T) {
			f := &fakeHAProxy{states: map[int]string{1: "up"}, certificate: &wire.Certificate{}, fail: &wire.Error{Kind: kind, Message: "why"}}
			w := newWorld(t, []int{1}, f)
			w.set(func() { w.issue = func() (*wire.Renew, error) { return issued(t, time.Hour) } })
			time.Sleep(50 * time.Millisecond)
			if o := w.last(t); o.renewal.err == nil || !strings.Contains(o.renewal.err.Error(), "why") || (f.count(&f.closed) == 0) != keeps {
				t.Errorf("%s: %+v, %d sessions closed", kind, o, f.count(&f.closed))
			}
			f.change(func() { f.fail = nil })
			time.Sleep(time.Minute)
			if o := w.last(t); o.renewal.err != nil || o.result != success {
				t.Errorf("%s: %+v", kind, o)
			}
		})
	}
}

func TestIssuerSaysWhatIsMissing(t *testing.T) {
	forbidden := apierrors.NewForbidden(certificatesv1.Resource("certificatesigningrequests"), "", errors.New("no"))
	for verb, want := range map[string]string{"create": "which needs Kubernetes 1.30", "update": "components/certificates"} {
		a := newAPI()
		a.PrependReactor(verb, "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, forbidden })
		renew, err := newIssuer(a.CertificatesV1().CertificateSigningRequests()).issue(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want an error with %q", renew, err, want)
		}
	}
}

func TestIssuerGivesUp(t *testing.T) {
	i := newIssuer(newAPI().CertificatesV1().CertificateSigningRequests())
	i.timeout = 200 * time.Millisecond
	if renew, err := i.issue(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", renew, err)
	}
}

func TestARenewalIsTold(t *testing.T) {
	a := newAPI(nodeObject("cp1", "10.0.0.1", nil))
	kubetest.SignRequests(a, 100*time.Hour)
	f := &fakeHAProxy{states: map[int]string{1: "up"}, certificate: &wire.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Minute)}}
	f.fail = &wire.Error{Kind: wire.Failed, Message: "no space left on device"}
	url, stop := a.start(t, "one", f)
	event := func(reason string) func() error {
		return func() error {
			events, err := a.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
			if err != nil || !slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return e.Reason == reason }) {
				return fmt.Errorf("%d others, %w", len(events.Items), err)
			}
			return nil
		}
	}
	await(t, "an Event says that it failed", event("CertificateNotRenewed"))
	expiry := func(url string) string {
		_, body := get(url + "/metrics")
		_, text, _ := strings.Cut(body, `ha_syncer_client_certificate_expiry_timestamp_seconds{load_balancer="lb1:22"} `)
		value, err := strconv.ParseFloat(strings.TrimSpace(strings.SplitN(text, "\n", 2)[0]), 64)
		if err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		return time.Until(time.Unix(int64(value), 0)).Round(time.Hour).String()
	}
	if left := expiry(url); left != "0s" {
		t.Errorf("the metric says that it has %s left", left)
	}
	stop()
	f.change(func() { f.fail = nil })
	url, _ = a.start(t, "two", f)
	await(t, "an Event says that it is renewed", event("CertificateRenewed"))
	if left := expiry(url); left != "100h0m0s" {
		t.Errorf("the metric says that it has %s left", left)
	}
}
