package pki

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Identity is what a kubeconfig of one cluster, context and user says.
type Identity struct {
	Cluster, Context, User string
	Server                 string
	CA                     []byte
	// Pair is a client certificate, Token a bearer token: one of them.
	Pair  Pair
	Token string
}

// Kubeconfig writes an identity as a kubeconfig file.
func Kubeconfig(id Identity) ([]byte, error) {
	data, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			id.Cluster: {Server: id.Server, CertificateAuthorityData: id.CA},
		},
		Contexts:       map[string]*clientcmdapi.Context{id.Context: {Cluster: id.Cluster, AuthInfo: id.User}},
		CurrentContext: id.Context,
		AuthInfos: map[string]*clientcmdapi.AuthInfo{id.User: {
			ClientCertificateData: id.Pair.Certificate, ClientKeyData: id.Pair.Key, Token: id.Token,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return data, nil
}
