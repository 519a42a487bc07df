// Package simkubelet is the simulated kubelet: it obtains a certificate,
// registers a Node and keeps its lease and status as a kubelet does, but runs
// no containers. Pods bound to its Node are reported as running.
package simkubelet

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/certificate/csr"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/pki"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// certificateWait is how long the cluster may take to approve and sign.
const certificateWait = 2 * time.Minute

// Bootstrap obtains the certificate of a node with the credentials in a
// kubeconfig, and writes kubelet.conf with the same server. The certificate is
// requested from, approved and signed by the cluster itself.
func Bootstrap(ctx context.Context, v *vars.Vars, node string, from *clientcmdapi.Config) error {
	config, err := clientcmd.NewDefaultClientConfig(*from, nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("reading the bootstrap kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("reading the bootstrap kubeconfig: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generating the node's key: %w", err)
	}
	certificate, err := request(ctx, client, node, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the node's key: %w", err)
	}
	pair := filepath.Join(v.KubeletRootDir, "pki", "kubelet-client-current.pem")
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err := pki.WriteFile(pair, append(certificate, keyPEM...), 0o600); err != nil {
		return err
	}
	kubeconfig, err := clientcmd.Write(kubeletConfig(config.Host, config.CAData, pair))
	if err != nil {
		return fmt.Errorf("writing kubelet.conf: %w", err)
	}
	return pki.WriteFile(v.KubeletAuthConfigPath, kubeconfig, 0o600)
}

func request(ctx context.Context, client kubernetes.Interface, node string, key crypto.Signer) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{
		CommonName: "system:node:" + node, Organization: []string{"system:nodes"},
	}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate request: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	usages := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}
	name, uid, err := csr.RequestCertificate(client, data, "",
		certificatesv1.KubeAPIServerClientKubeletSignerName, nil, usages, key)
	if err != nil {
		return nil, fmt.Errorf("requesting the node's certificate: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, certificateWait)
	defer cancel()
	certificate, err := csr.WaitForCertificate(ctx, client, name, uid)
	if err != nil {
		return nil, fmt.Errorf("waiting for the node's certificate: %w", err)
	}
	return certificate, nil
}

// kubeletConfig names things as the kubelet's own bootstrap does.
func kubeletConfig(server string, ca []byte, pair string) clientcmdapi.Config {
	return clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			"default-cluster": {Server: server, CertificateAuthorityData: ca},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			"default-auth": {ClientCertificate: pair, ClientKey: pair},
		},
		Contexts: map[string]*clientcmdapi.Context{
			"default-context": {Cluster: "default-cluster", AuthInfo: "default-auth", Namespace: "default"},
		},
		CurrentContext: "default-context",
	}
}

// DirectConfig writes a copy of kubelet.conf that goes to an address on this
// host: a controller's kubelet talks to its own API server.
func DirectConfig(v *vars.Vars, hostPort string) (string, error) {
	config, err := clientcmd.LoadFromFile(v.KubeletAuthConfigPath)
	if err != nil {
		return "", fmt.Errorf("reading kubelet.conf: %w", err)
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + hostPort
	}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return "", fmt.Errorf("writing the direct kubelet.conf: %w", err)
	}
	path := filepath.Join(v.RunDir, "kubelet-direct.conf")
	return path, pki.WriteFile(path, data, 0o640)
}
