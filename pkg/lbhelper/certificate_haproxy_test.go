//go:build haproxy

package lbhelper

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// readyz are API servers that answer /readyz to clients of the CA alone, and note whom they have answered.
type readyz struct {
	mu      sync.Mutex
	serials []string
}

func (r *readyz) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/readyz" || len(request.TLS.PeerCertificates) == 0 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serials = append(r.serials, fmt.Sprintf("%x", request.TLS.PeerCertificates[0].SerialNumber))
}

// next are the serials of the next checks.
func (r *readyz) next(t *testing.T) string {
	t.Helper()
	seen := func(from int) []string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.serials[from:]
	}
	from := len(seen(0))
	for deadline := time.Now().Add(10 * time.Second); len(seen(from)) < 4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the checks stopped: %v", seen(from))
		}
	}
	return strings.Join(seen(from), " ")
}

// newReadyz starts an HAProxy in front of two of them, whose certificate has half an hour left of one and a half.
func newReadyz(t *testing.T) (*real, *testAuthority, *readyz) {
	t.Helper()
	h, a, servers := prepareReal(t), newAuthority(t), &readyz{}
	dir := filepath.Dir(h.policy.ConfigPath)
	h.policy.Check, h.policy.CAFile, h.policy.ClientFile = haproxy.CheckReadyz, filepath.Join(dir, "ca.crt"), filepath.Join(dir, "client.pem")
	a.install(h.policy, a.issue(1, 30*time.Minute, nil))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"}, DNSNames: []string{"kubernetes"},
		NotAfter: a.certificate.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.certificate)
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{a.sign(template, key.Public()).Raw}, PrivateKey: key}},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: clients,
	}
	for n := 1; n <= 2; n++ {
		for _, port := range []int{h.policy.Ports.KubeAPI, h.policy.Ports.Konnectivity, h.policy.Ports.ControllerJoin} {
			listener, err := tls.Listen("tcp", netip.AddrPortFrom(controller(n).Address, uint16(port)).String(), config)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: servers, ErrorLog: log.New(t.Output(), "", 0)}
			t.Cleanup(func() { _ = server.Close() })
			go func() { _ = server.Serve(listener) }()
		}
	}
	h.launch(1, 2)
	h.awaitUp(1, 2)
	return h, a, servers
}

func (h *real) shows(serial string) *wire.Report {
	h.t.Helper()
	report, err := h.State(h.t.Context())
	if err != nil || report.Certificate == nil || report.Certificate.Serial != serial {
		h.t.Fatalf("%+v, %v; want the certificate %s", report, err, serial)
	}
	return report
}

func TestHAProxyShowsARenewedCertificateWithoutAReload(t *testing.T) {
	h, a, servers := newReadyz(t)
	if got := servers.next(t); strings.Trim(got, "1 ") != "" {
		t.Fatalf("the checks show %s", got)
	}
	pid := h.shows("1").Process.PID
	renew := a.issue(2, time.Hour, nil)
	if renewed, err := h.Renew(t.Context(), renew); err != nil || renewed.Serial != "2" {
		t.Fatalf("%+v, %v", renewed, err)
	}
	if got := servers.next(t); strings.Trim(got, "2 ") != "" {
		t.Errorf("the checks show %s", got)
	}
	if report := h.shows("2"); report.Process.PID != pid || up(report) != "127.0.1.1 127.0.1.2" {
		t.Errorf("%+v", report)
	}
	if applied := h.apply(1, 2); len(applied.Actions) != 0 {
		t.Errorf("it is to be changed once more: %v", applied.Actions)
	}
	if info, err := os.Stat(h.policy.ClientFile); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file's mode became %v, %v", info.Mode(), err)
	}
	if said := strings.Join(h.logged, "\n"); !strings.Contains(said, "serial 2,") || containsKey(said, renew) {
		t.Errorf("it is logged as %s", said)
	}

	for want, worse := range a.worse() {
		if _, err := h.Renew(t.Context(), worse); wire.KindOf(err) != wire.Refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want a refusal with %q", err, want)
		}
	}
	if got := servers.next(t); strings.Trim(got, "2 ") != "" {
		t.Errorf("the checks show %s", got)
	}
	// What the process has, the file has, too.
	h.stop()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.awaitUp(1, 2)
	h.shows("2")
	if got := servers.next(t); strings.Trim(got, "2 ") != "" {
		t.Errorf("the checks show %s after a restart", got)
	}
}

// An HAProxy that has not loaded the file stands for one that cannot take a certificate at run time.
func TestHAProxyIsReloadedWhereACertificateCannotBeSetAtRunTime(t *testing.T) {
	h, a, servers := newReadyz(t)
	pid := h.shows("1").Process.PID
	client := h.policy.ClientFile
	h.policy.ClientFile = filepath.Join(filepath.Dir(client), "other.pem")
	if err := os.Rename(client, h.policy.ClientFile); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(h.policy.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.policy.ConfigPath, []byte(strings.ReplaceAll(string(file), client, h.policy.ClientFile)), 0o640); err != nil {
		t.Fatal(err)
	}
	h.connect()
	if renewed, err := h.Renew(t.Context(), a.issue(2, time.Hour, nil)); err != nil || renewed.Serial != "2" {
		t.Fatalf("%+v, %v", renewed, err)
	}
	if applied := h.apply(1, 2); !applied.Reloaded {
		t.Errorf("%+v", applied)
	}
	if h.shows("2").Process.PID == pid {
		t.Error("HAProxy was not reloaded")
	}
	if got := servers.next(t); strings.Trim(got, "2 ") != "" {
		t.Errorf("the checks show %s", got)
	}
	if applied := h.apply(1, 2); len(applied.Actions) != 0 {
		t.Errorf("it is to be changed once more: %v", applied.Actions)
	}

	// A file that HAProxy does not accept: the certificate that was there stays.
	if err := os.WriteFile(h.policy.ConfigPath, append([]byte("nonsense\n"), file...), 0o640); err != nil {
		t.Fatal(err)
	}
	h.stop()
	if _, err := h.Renew(t.Context(), a.issue(3, 2*time.Hour, nil)); wire.KindOf(err) != wire.Refused || !strings.Contains(err.Error(), "unknown keyword") {
		t.Errorf("%v", err)
	}
	h.shows("2")
}
