package pki

import (
	"context"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// leaf is a certificate under pki/ and the kubeconfig made of it, if any.
type leaf struct {
	name, commonName, organization string
	hosts                          []string
	kubeconfig                     string
}

// EnsureController makes everything under pki/ but pki/etcd: authorities and
// service account keys once, certificates and kubeconfigs at every start.
func EnsureController(ctx context.Context, v *vars.Vars, config *clusterconfig.Config) error {
	caLife, certLife, err := config.Spec.API.CA.Lives()
	if err != nil {
		return err
	}
	ca, err := EnsureAuthority(v.Cert("ca"), v.Key("ca"), "kubernetes-ca", caLife)
	if err != nil {
		return err
	}
	frontProxy, err := EnsureAuthority(v.Cert("front-proxy-ca"), v.Key("front-proxy-ca"), "kubernetes-front-proxy-ca", caLife)
	if err != nil {
		return err
	}
	if err := EnsureKeyPair(v.Key("sa"), filepath.Join(v.CertRootDir, "sa.pub")); err != nil {
		return err
	}
	local, err := LocalAddresses(ctx)
	if err != nil {
		return err
	}
	hosts, err := ServerHosts(config, local)
	if err != nil {
		return err
	}
	leaves := []leaf{
		{"admin", "kubernetes-admin", "system:masters", nil, v.AdminKubeConfigPath},
		{"konnectivity", "kubernetes-konnectivity", "system:masters", nil, v.KonnectivityKubeConfigPath},
		{"ccm", "system:kube-controller-manager", "system:kube-controller-manager", nil, filepath.Join(v.CertRootDir, "ccm.conf")},
		{"scheduler", "system:kube-scheduler", "system:kube-scheduler", nil, filepath.Join(v.CertRootDir, "scheduler.conf")},
		{"apiserver-kubelet-client", "apiserver-kubelet-client", "system:masters", nil, ""},
		{"server", "kubernetes", "kubernetes", hosts, ""},
		{"k0s-api", "k0s-api", "kubernetes", hosts, ""},
	}
	var work errgroup.Group
	work.Go(func() error {
		_, err := frontProxy.IssueTo(v.Cert("front-proxy-client"), v.Key("front-proxy-client"),
			Request{CommonName: "front-proxy-client", Organization: "front-proxy-client", Life: certLife})
		return err
	})
	for _, l := range leaves {
		work.Go(func() error {
			pair, err := ca.IssueTo(v.Cert(l.name), v.Key(l.name), Request{
				CommonName: l.commonName, Organization: l.organization, Hosts: l.hosts, Life: certLife,
			})
			if err != nil || l.kubeconfig == "" {
				return err
			}
			data, err := Kubeconfig(Identity{
				Cluster: "local", Context: "Default", User: "user",
				Server: config.Spec.API.LocalURL(), CA: ca.PEM, Pair: pair,
			})
			if err != nil {
				return err
			}
			return WriteFile(l.kubeconfig, data, 0o600)
		})
	}
	return work.Wait()
}

// EnsureEtcd makes pki/etcd and the API server's etcd client certificate. The
// server certificate is for loopback alone: members are reached by others on
// the peer port only.
func EnsureEtcd(v *vars.Vars, etcd *clusterconfig.Etcd) error {
	caLife, certLife, err := etcd.CA.Lives()
	if err != nil {
		return err
	}
	ca, err := EnsureAuthority(v.Cert("etcd/ca"), v.Key("etcd/ca"), "etcd-ca", caLife)
	if err != nil {
		return err
	}
	loopback := []string{"127.0.0.1", "localhost"}
	var work errgroup.Group
	for _, l := range []leaf{
		{name: "apiserver-etcd-client", commonName: "apiserver-etcd-client", organization: "apiserver-etcd-client", hosts: loopback},
		{name: "etcd/server", commonName: "etcd-server", organization: "etcd-server", hosts: loopback},
		{name: "etcd/peer", commonName: etcd.PeerAddress, organization: "etcd-peer", hosts: []string{etcd.PeerAddress}},
	} {
		work.Go(func() error {
			_, err := ca.IssueTo(v.Cert(l.name), v.Key(l.name), Request{
				CommonName: l.commonName, Organization: l.organization, Hosts: l.hosts, Life: certLife,
			})
			return err
		})
	}
	work.Go(func() error {
		return EnsureKeyPair(v.Key("etcd/jwt"), filepath.Join(v.EtcdCertDir, "jwt.pub"))
	})
	return work.Wait()
}
