package kube

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// AuthorityOf returns the certificate of the cluster's CA, in PEM, that a kubeconfig carries for its current context;
// empty when it carries none.
func AuthorityOf(kubeconfig []byte) ([]byte, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	current := config.Contexts[config.CurrentContext]
	if current == nil || config.Clusters[current.Cluster] == nil {
		return nil, nil
	}
	return config.Clusters[current.Cluster].CertificateAuthorityData, nil
}

// Fingerprint is the SHA-256, in hexadecimal, of the first certificate in a PEM text. Unlike one of the text, it is the
// same however the text is laid out.
func Fingerprint(text []byte) (string, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return "", errors.New("reading the certificate: no PEM in it")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}

// ValidFor tells how long the first certificate in the PEM text is still valid; a negative duration is how long it has
// been invalid.
func ValidFor(text []byte, now time.Time) (time.Duration, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return 0, errors.New("reading the certificate: no PEM in it")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return 0, fmt.Errorf("reading the certificate: %w", err)
	}
	return certificate.NotAfter.Sub(now), nil
}

// Named renames the kubeconfig's cluster, user and context, so that it can stand beside others.
func Named(kubeconfig []byte, name string) (*clientcmdapi.Config, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	current := config.Contexts[config.CurrentContext]
	if current == nil || config.Clusters[current.Cluster] == nil || config.AuthInfos[current.AuthInfo] == nil {
		return nil, errors.New("reading the kubeconfig: its current context is not complete")
	}
	user := name + "-admin"
	return &clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: config.Clusters[current.Cluster]},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: config.AuthInfos[current.AuthInfo]},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: user}},
		CurrentContext: name,
	}, nil
}

// SameCluster tells whether the kubeconfig's context of that name is complete and leads to the server of the other
// one's, by the same CA.
func SameCluster(config, other *clientcmdapi.Config, name string) bool {
	context := config.Contexts[name]
	if context == nil || context.Cluster != name || config.AuthInfos[context.AuthInfo] == nil {
		return false
	}
	a, b := config.Clusters[name], other.Clusters[name]
	return a != nil && b != nil && a.Server == b.Server &&
		bytes.Equal(a.CertificateAuthorityData, b.CertificateAuthorityData)
}

// ServerHost takes the address out of an API server's URL.
func ServerHost(server string) (host, port string) {
	u, err := url.Parse(server)
	if err != nil {
		return "", ""
	}
	if host, port, err = net.SplitHostPort(u.Host); err != nil {
		return u.Hostname(), ""
	}
	return host, port
}
