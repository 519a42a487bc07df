// Package kube speaks to the Kubernetes API of a k0s cluster, through any way of dialling it.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// DialFunc opens a connection; host.Host's DialContext dials from that host.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Cluster is the API of one cluster.
type Cluster struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Poll is how often a condition is looked at while it is awaited.
	Poll time.Duration

	web    *http.Client // of both; nil in tests
	config *rest.Config // nil in tests
}

// Connect makes a client from a kubeconfig. A nil dial dials from this machine. Nothing is sent yet.
func Connect(kubeconfig []byte, dial DialFunc) (*Cluster, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.Dial = dial
	return ConnectTo(config)
}

// ConnectTo makes a client from a configuration that kubectl's own flags have gone into. Nothing is sent yet.
func ConnectTo(config *rest.Config) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.Timeout = 15 * time.Second
	config.QPS = -1 // the API server itself keeps what is more urgent first; client-go's limit would take seconds
	config.UserAgent = "kubectl-ha"
	// k0s itself keeps default/kubernetes as Endpoints; that this API is deprecated is nothing a user can act on.
	config.WarningHandler = rest.NoWarnings{}
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfigAndClient(config, web)
	if err != nil {
		return nil, fmt.Errorf("making a client of the kubeconfig: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfigAndClient(config, web)
	if err != nil {
		return nil, fmt.Errorf("making a client of the kubeconfig: %w", err)
	}
	return &Cluster{Client: client, Dynamic: dynamicClient, Poll: 250 * time.Millisecond, web: web, config: config}, nil
}

// Direct makes a client, with the same credentials, of the one API server of a k0s cluster that dial leads to, whatever is
// on the way to the cluster otherwise. The server has to prove that it is one of this cluster's: by its own CA.
func (c *Cluster) Direct(ctx context.Context, dial DialFunc) (*Cluster, error) {
	ca, err := c.RootCA(ctx)
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(c.config)
	config.Host, config.APIPath = "https://127.0.0.1:6443", "" // every API server of k0s's has a certificate for that
	config.Dial, config.Proxy = dial, nil
	config.Insecure, config.ServerName = false, ""
	config.CAFile, config.CAData = "", ca
	return ConnectTo(config)
}

// Server is the API server's URL in the kubeconfig.
func (c *Cluster) Server() string { return c.config.Host }

// Close ends the connections. A Cluster that was made for one look is closed after it: client-go keeps a transport for
// each dialler.
func (c *Cluster) Close() {
	if c.web != nil {
		utilnet.CloseIdleConnectionsFor(c.web.Transport)
	}
}

// Ready asks /readyz once.
func (c *Cluster) Ready(ctx context.Context) error {
	_, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("asking the API server for /readyz: %w", err)
	}
	return nil
}

// ServerVersion asks the API server which version it is, as "v1.36.3+k0s".
func (c *Cluster) ServerVersion(ctx context.Context) (string, error) {
	text, err := c.Client.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	var info version.Info
	if err == nil {
		err = json.Unmarshal(text, &info)
	}
	if err != nil {
		return "", fmt.Errorf("asking the API server for its version: %w", err)
	}
	return info.GitVersion, nil
}
