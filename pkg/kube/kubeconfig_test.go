package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func kubeconfig(t *testing.T, change func(*clientcmdapi.Config)) []byte {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: "https://10.10.4.10:6443", CertificateAuthorityData: []byte("CA\n")}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: []byte("CERT\n"), ClientKeyData: []byte("KEY\n")}
	config.Contexts["Default"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: "user"}
	config.CurrentContext = "Default"
	if change != nil {
		change(config)
	}
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// incomplete are kubeconfigs that lack something.
func incomplete(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"not YAML":           []byte("{"),
		"empty":              nil,
		"no current context": kubeconfig(t, func(c *clientcmdapi.Config) { c.CurrentContext = "" }),
		"no such context":    kubeconfig(t, func(c *clientcmdapi.Config) { c.CurrentContext = "other" }),
		"no such cluster":    kubeconfig(t, func(c *clientcmdapi.Config) { c.Contexts["Default"].Cluster = "other" }),
		"no such user":       kubeconfig(t, func(c *clientcmdapi.Config) { c.Contexts["Default"].AuthInfo = "other" }),
	}
}

func TestAuthorityOf(t *testing.T) {
	if got, err := AuthorityOf(kubeconfig(t, nil)); err != nil || string(got) != "CA\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, text := range incomplete(t) {
		got, err := AuthorityOf(text)
		if name == "not YAML" && err == nil || name != "not YAML" && name != "no such user" && (err != nil || got != nil) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestNamed(t *testing.T) {
	got, err := Named(kubeconfig(t, func(c *clientcmdapi.Config) {
		c.Clusters["another"] = &clientcmdapi.Cluster{Server: "https://elsewhere"}
	}), "prod")
	if err != nil {
		t.Fatal(err)
	}
	if got.CurrentContext != "prod" || len(got.Clusters) != 1 || len(got.AuthInfos) != 1 || len(got.Contexts) != 1 {
		t.Errorf("got %+v", got)
	}
	context := got.Contexts["prod"]
	if context == nil || got.Clusters[context.Cluster].Server != "https://10.10.4.10:6443" ||
		string(got.AuthInfos[context.AuthInfo].ClientKeyData) != "KEY\n" || context.AuthInfo != "prod-admin" {
		t.Errorf("the context is %+v", context)
	}
	for name, text := range incomplete(t) {
		if _, err := Named(text, "prod"); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestSameCluster(t *testing.T) {
	named := func(change func(*clientcmdapi.Config)) *clientcmdapi.Config {
		config, err := Named(kubeconfig(t, nil), "prod")
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(config)
		}
		return config
	}
	for name, c := range map[string]struct {
		present *clientcmdapi.Config
		want    bool
	}{
		"the same":           {named(nil), true},
		"nothing":            {clientcmdapi.NewConfig(), false},
		"another address":    {named(func(c *clientcmdapi.Config) { c.Clusters["prod"].Server = "https://10.10.4.11:6443" }), false},
		"a cluster set anew": {named(func(c *clientcmdapi.Config) { c.Clusters["prod"].CertificateAuthorityData = []byte("NEW") }), false},
		"context gone":       {named(func(c *clientcmdapi.Config) { delete(c.Contexts, "prod") }), false},
		"context of another": {named(func(c *clientcmdapi.Config) { c.Contexts["prod"].Cluster = "other" }), false},
		"user gone":          {named(func(c *clientcmdapi.Config) { delete(c.AuthInfos, "prod-admin") }), false},
		"another user": {named(func(c *clientcmdapi.Config) {
			c.AuthInfos["me"], c.Contexts["prod"].AuthInfo = c.AuthInfos["prod-admin"], "me"
		}), true},
	} {
		if got := SameCluster(c.present, named(nil), "prod"); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestServerHost(t *testing.T) {
	for server, want := range map[string]struct{ host, port string }{
		"https://10.10.4.10:6443":      {"10.10.4.10", "6443"},
		"https://[fd00::10]:6443":      {"fd00::10", "6443"},
		"https://[fd00::10]":           {"fd00::10", ""},
		"https://lb.example.com/path":  {"lb.example.com", ""},
		"https://lb.example.com:6443/": {"lb.example.com", "6443"},
		"":                             {},
		"10.10.4.10:6443":              {},
		"https://%zz":                  {},
	} {
		if host, port := ServerHost(server); host != want.host || port != want.port {
			t.Errorf("%s: got %q, %q", server, host, port)
		}
	}
}

func certificate(t *testing.T, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.Add(-time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestValidFor(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, want := range []time.Duration{time.Hour, 0, -time.Hour} {
		text := append(certificate(t, now.Add(want)), "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n"...)
		if got, err := ValidFor(text, now); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	for _, text := range []string{"", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := ValidFor([]byte(text), now); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestFingerprintIsOfTheCertificateNotOfItsText(t *testing.T) {
	text := certificate(t, time.Now())
	one, err := Fingerprint(text)
	if err != nil || len(one) != 64 {
		t.Fatalf("got %q, %v", one, err)
	}
	other, err := Fingerprint(append([]byte("# a comment\n"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))...))
	if err != nil || other != one {
		t.Errorf("got %q, %v; want %q", other, err, one)
	}
	if another, err := Fingerprint(certificate(t, time.Now())); err != nil || another == one {
		t.Errorf("another certificate has the same: %v", err)
	}
	if _, err := Fingerprint([]byte("nonsense")); err == nil {
		t.Error("there is no certificate")
	}
}

func TestReadyAsksThroughTheGivenDialer(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	text := kubeconfig(t, func(c *clientcmdapi.Config) {
		c.Clusters["local"].Server = "https://example.com:6443" // httptest's certificate is for that name
		c.Clusters["local"].CertificateAuthorityData = pem.EncodeToMemory(
			&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		c.AuthInfos["user"] = &clientcmdapi.AuthInfo{}
	})
	dialed := ""
	cluster, err := Connect(text, func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed = address
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if dialed != "example.com:6443" {
		t.Errorf("dialed %q", dialed)
	}
	status = http.StatusInternalServerError
	if err := cluster.Ready(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "asking the API server for /readyz: ") {
		t.Errorf("got %v", err)
	}
	if _, err := Connect([]byte("{"), nil); err == nil {
		t.Error("that is no kubeconfig")
	}
}
