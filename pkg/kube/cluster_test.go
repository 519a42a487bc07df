package kube

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

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
