package syncer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestGateAsksTheServerItself(t *testing.T) {
	status, asked := http.StatusOK, 0
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch {
		case r.URL.Path != "/readyz" || r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case status == http.StatusFound:
			http.Redirect(w, r, "https://192.0.2.1/", status)
		default:
			w.WriteHeader(status)
		}
	}))
	defer web.Close()
	address := netip.MustParseAddrPort(web.Listener.Addr().String())
	dir := t.TempDir()
	g := &gate{port: int(address.Port()), serverName: "example.com", caFile: filepath.Join(dir, "ca.crt"), tokenFile: filepath.Join(dir, "token")}
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(g.tokenFile, []byte("secret\n"))
	write(g.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
	ask := func(want string) {
		t.Helper()
		err := g.ask(t.Context(), address.Addr())
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	ask("")
	status = http.StatusInternalServerError
	ask("it answers 500")
	status = http.StatusFound
	ask("redirected")
	status = http.StatusOK
	before := asked
	g.serverName = "kubernetes"
	ask("certificate is valid for")
	if asked != before {
		t.Error("the token was shown to a server of another name")
	}
	g.serverName = "example.com"
	write(g.caFile, []byte("nonsense"))
	ask("holds no certificate")
	g.caFile += ".missing"
	ask("no such file")
	g.caFile = filepath.Join(dir, "ca.crt")
	write(g.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
	web.Close()
	if err := g.ask(t.Context(), address.Addr()); err == nil || !strings.HasPrefix(err.Error(), "dial tcp "+address.String()+": ") {
		t.Errorf("a server that is down: %v", err)
	}
}

// What becomes part of the status does not differ each time.
func TestReasonsAreSteady(t *testing.T) {
	const badClock = "its certificate is not valid by this host's clock: compare it with the controllers'"
	from, to := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 40000}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 22}
	expired := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 12:00"}}
	stranger := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.CANotAuthorizedForThisName}}
	for want, err := range map[string]error{
		badClock: expired,
		"issuing: Post \"https://cp1\": " + badClock: fmt.Errorf("issuing: %w", &url.Error{Op: "Post", URL: "https://cp1", Err: expired}),
		stranger.Error(): stranger,
		"asking: read tcp 10.0.0.2:22: connection reset by peer": fmt.Errorf("asking: %w", &net.OpError{Op: "read", Net: "tcp", Source: from, Addr: to, Err: syscall.ECONNRESET}),
		"context deadline exceeded":                              context.DeadlineExceeded,
		"it answers 500":                                         errors.New("it answers 500"),
	} {
		if got := steady(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := whyWaiting(nil, nil); err != nil {
		t.Errorf("nobody waits: %v", err)
	}
}
