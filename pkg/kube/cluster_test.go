package kube

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// countedConn counts how many connections are open.
type countedConn struct {
	net.Conn
	open *atomic.Int32
}

func (c countedConn) Close() error {
	c.open.Add(-1)
	return c.Conn.Close()
}

// A condition that is awaited makes a client for each look: its connections are channels of an SSH connection.
func TestClosedClientsLeaveNoConnection(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	text := kubeconfig(t, func(c *clientcmdapi.Config) {
		for _, cluster := range c.Clusters {
			cluster.Server, cluster.CertificateAuthorityData, cluster.InsecureSkipTLSVerify = server.URL, nil, true
		}
		for _, user := range c.AuthInfos {
			user.ClientCertificateData, user.ClientKeyData = nil, nil
		}
	})
	var open atomic.Int32
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			open.Add(1)
			conn = countedConn{conn, &open}
		}
		return conn, err
	}
	for range 5 {
		c, err := Connect(text, dial)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(t.Context()); err == nil {
			t.Error("the server finds nothing, but is ready")
		}
		c.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); open.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still open", open.Load())
		}
	}
}

// An API server is asked past what is on the way to the cluster otherwise, and verified by the cluster's CA.
func TestDirect(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Path != "/readyz" {
			http.Error(w, r.URL.Path, http.StatusForbidden)
		}
	}))
	defer server.Close()
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	other.StartTLS()
	defer other.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	c, err := ConnectTo(&rest.Config{
		Host: "https://proxy.example/k8s/clusters/1", BearerToken: "secret", TLSClientConfig: rest.TLSClientConfig{Insecure: true},
		Proxy: func(*http.Request) (*url.URL, error) { return url.Parse("http://proxy.example") },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Client = fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": authority},
	})
	for listener, ready := range map[net.Listener]bool{server.Listener: true, other.Listener: false} {
		direct, err := c.Direct(t.Context(), func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, listener.Addr().String())
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := direct.Ready(t.Context()); (err == nil) != ready {
			t.Errorf("got %v", err)
		}
		direct.Close()
	}
}

// selfSigned is a certificate of another authority for the same address.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
