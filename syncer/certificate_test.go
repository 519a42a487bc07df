package syncer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

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

// sign makes a certificate of a request, of that lifetime from now on.
func sign(t *testing.T, request []byte, lifetime time.Duration) []byte {
	t.Helper()
	block, _ := pem.Decode(request)
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	_, authority, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: parsed.Subject, NotBefore: time.Now(), NotAfter: time.Now().Add(lifetime)}
	ca := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kubernetes-ca"}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, parsed.PublicKey, authority)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// issued is what an issuer makes.
func issued(t *testing.T, lifetime time.Duration) (*wire.Renew, error) {
	t.Helper()
	key, request, err := newRequest()
	if err != nil {
		return nil, err
	}
	return &wire.Renew{Certificate: string(sign(t, request, lifetime)), Key: string(key)}, nil
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

// signed makes the API in memory name requests, and sign what is approved.
func (a *api) signed(t *testing.T, lifetime time.Duration) {
	var names atomic.Int64
	a.PrependReactor("create", "certificatesigningrequests", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := action.(clienttesting.CreateAction)
		if !ok {
			return false, nil, nil
		}
		request, ok := create.GetObject().(*certificatesv1.CertificateSigningRequest)
		if ok {
			request.Name = fmt.Sprint(request.GenerateName, names.Add(1))
		}
		return false, nil, nil
	})
	a.PrependReactor("update", "certificatesigningrequests", func(action clienttesting.Action) (bool, runtime.Object, error) {
		update, ok := action.(clienttesting.UpdateAction)
		if !ok || action.GetSubresource() != "approval" {
			return false, nil, nil
		}
		request, ok := update.GetObject().(*certificatesv1.CertificateSigningRequest)
		if !ok || len(request.Status.Conditions) != 1 || request.Status.Conditions[0].Type != certificatesv1.CertificateApproved {
			return true, nil, errors.New("it is not approved")
		}
		request.Status.Certificate = sign(t, request.Spec.Request, lifetime)
		return false, nil, nil
	})
}

func TestIssuerAsksForAClientCertificateAlone(t *testing.T) {
	a := newAPI()
	a.signed(t, time.Hour)
	renew, err := newIssuer(a.CertificatesV1().CertificateSigningRequests()).issue(t.Context())
	if err != nil || !strings.HasPrefix(renew.Certificate, "-----BEGIN CERTIFICATE-----") || !strings.HasPrefix(renew.Key, "-----BEGIN PRIVATE KEY-----") {
		t.Fatalf("%v", err)
	}
	list, err := a.CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	spec := list.Items[0].Spec
	if spec.SignerName != "kubernetes.io/kube-apiserver-client" || !slices.Equal(spec.Usages, []certificatesv1.KeyUsage{"client auth"}) || *spec.ExpirationSeconds != 31536000 {
		t.Errorf("%+v", spec)
	}
	if text, err := json.Marshal(list); err != nil || strings.Contains(string(text), strings.Split(renew.Key, "\n")[1]) {
		t.Error("the key went to the API")
	}
}

func TestIssuerSaysWhyThereIsNoCertificate(t *testing.T) {
	forbidden := apierrors.NewForbidden(certificatesv1.Resource("certificatesigningrequests"), "", errors.New("no"))
	for want, prepare := range map[string]func(a *api){
		"which needs Kubernetes 1.30": func(a *api) {
			a.PrependReactor("create", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, forbidden })
		},
		"components/certificates": func(a *api) {
			a.PrependReactor("update", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, forbidden })
		},
		"kube-controller-manager runs": func(*api) {},
		"refused to sign it: too long": func(a *api) {
			a.PrependReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, &certificatesv1.CertificateSigningRequest{Status: certificatesv1.CertificateSigningRequestStatus{
					Conditions: []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateFailed, Message: "too long"}},
				}}, nil
			})
		},
	} {
		a := newAPI()
		prepare(a)
		i := newIssuer(a.CertificatesV1().CertificateSigningRequests())
		i.timeout = 200 * time.Millisecond
		if renew, err := i.issue(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want an error with %q", renew, err, want)
		}
	}
}

// TestThePolicyKnowsTheRequest compares what the manifests have the API look for with what the syncer sends.
func TestThePolicyKnowsTheRequest(t *testing.T) {
	policy, err := os.ReadFile("../manifests/components/certificates/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	word := func(call string) string {
		t.Helper()
		found := regexp.MustCompile(`spec\.request\.` + call + `\('?(\w+=*)'?\)|spec\.request\.` + call + `\(\) == (\d+)`).FindStringSubmatch(string(policy))
		if found == nil {
			t.Fatalf("the policy has no %s", call)
		}
		return found[1] + found[2]
	}
	for range 100 {
		_, request, err := newRequest()
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(request)
		if fmt.Sprint(len(text)) != word("size") || !strings.HasPrefix(text, word("startsWith")) || !strings.HasSuffix(text, word("endsWith")) {
			t.Fatalf("%s", text)
		}
	}
	// A request for another user between the beginning and the end that are looked for, as PEM readers find it. API servers
	// refuse this one for its signature only.
	_, request, err := newRequest()
	if err != nil {
		t.Fatal(err)
	}
	from, to := 105, len(request)-len("-----END CERTIFICATE REQUEST-----\n")
	hidden := "\n-----END X\n-----BEGIN CERTIFICATE REQUEST-----\n" +
		"MD8wMwIBADAQMQ4wDAYDVQQDEwVhZG1pbjAaMA0GCSqGSIb3DQEBAQUAAwkAMAYCAX8CAQOgADAFBgMrZXADAQA=\n"
	hidden += strings.Repeat("\n", to-from-len(hidden))
	block, _ := pem.Decode(slices.Concat(request[:from], []byte(hidden), request[to:]))
	if parsed, err := x509.ParseCertificateRequest(block.Bytes); err != nil || parsed.Subject.CommonName != "admin" {
		t.Fatalf("%+v, %v", parsed, err)
	}
	excluded := regexp.MustCompile(`!variables\.spec\.request\.substring\(48, 336\)\.contains\('(\w+)'\)`).FindSubmatch(policy)
	if excluded == nil || !strings.Contains(base64.StdEncoding.EncodeToString([]byte(hidden)), string(excluded[1])) {
		t.Errorf("the policy excludes %s", excluded)
	}
	// All up to the key is in what it begins with: whatever else it may be for.
	start, err := base64.StdEncoding.DecodeString(word("startsWith"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.ReplaceAll(string(start), "\n", ""), "-----BEGIN CERTIFICATE REQUEST-----"))
	if err != nil || !strings.HasSuffix(string(der), "\x06\x03\x2b\x65\x70\x03\x21\x00") {
		t.Errorf("%x, %v", der, err)
	}
}

func TestARenewalIsTold(t *testing.T) {
	a := newAPI(nodeObject("cp1", "10.0.0.1", nil))
	a.signed(t, 100*time.Hour)
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
