package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

func config(t *testing.T, spec string) *clusterconfig.Config {
	t.Helper()
	c, err := clusterconfig.Parse([]byte("spec: " + spec + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServerHosts(t *testing.T) {
	c := config(t, "{api: {address: 10.0.0.1, externalAddress: 'lb.example.com', sans: [extra, 10.0.0.9]}, network: {clusterDomain: a.b}}")
	got, err := ServerHosts(c, []string{"127.0.0.1", "::1", "10.0.0.1", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.a.b",
		"kubernetes.default.svc.a.b.", "localhost", "127.0.0.1", "lb.example.com", "10.0.0.1", "extra", "10.0.0.9",
		"::1", "192.0.2.7", "10.96.0.1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestControllerPKI(t *testing.T) {
	v, err := vars.New(vars.Flags{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, "{api: {address: 10.0.0.1}, storage: {etcd: {peerAddress: 10.0.0.1}}}")
	ensure := func() {
		t.Helper()
		if err := EnsureController(t.Context(), v, c); err != nil {
			t.Fatal(err)
		}
		if err := EnsureEtcd(v, c.Spec.Storage.Etcd); err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	verify := func(authority, name, host string) *x509.Certificate {
		t.Helper()
		roots := x509.NewCertPool()
		ca, err := os.ReadFile(v.Cert(authority))
		if err != nil {
			t.Fatal(err)
		}
		roots.AppendCertsFromPEM(ca)
		pair, err := tls.LoadX509KeyPair(v.Cert(name), v.Key(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{
				Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{use},
			}); err != nil {
				t.Errorf("%s does not verify: %v", name, err)
			}
		}
		return pair.Leaf
	}
	verify("ca", "server", "10.0.0.1")
	verify("ca", "server", "10.96.0.1")
	verify("ca", "k0s-api", "10.0.0.1")
	verify("etcd/ca", "etcd/server", "127.0.0.1")
	verify("etcd/ca", "etcd/peer", "10.0.0.1")
	verify("etcd/ca", "apiserver-etcd-client", "")
	verify("front-proxy-ca", "front-proxy-client", "")
	admin := verify("ca", "admin", "")
	if admin.Subject.String() != "CN=kubernetes-admin,O=system:masters" {
		t.Errorf("admin is %s", admin.Subject)
	}
	for name, mode := range map[string]os.FileMode{
		v.Key("apiserver-etcd-client"): 0o640, v.Cert("server"): 0o644, v.AdminKubeConfigPath: 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	local, err := clientcmd.LoadFromFile(v.AdminKubeConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	if server := local.Clusters["local"].Server; server != "https://localhost:6443" {
		t.Errorf("admin.conf goes to %s", server)
	}

	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	kept := []string{v.Cert("ca"), v.Key("ca"), v.Key("sa"), v.Cert("etcd/ca"), v.Key("etcd/jwt")}
	var before [][]byte
	for _, path := range kept {
		before = append(before, read(path))
	}
	server := read(v.Cert("server"))
	c.Spec.API.ExternalAddress = "10.0.0.9"
	ensure()
	for i, path := range kept {
		if !bytes.Equal(before[i], read(path)) {
			t.Errorf("%s changed at the second start", filepath.Base(path))
		}
	}
	if bytes.Equal(server, read(v.Cert("server"))) {
		t.Error("the serving certificate was not issued again")
	}
	verify("ca", "server", "10.0.0.9")
}

func TestIssueWithoutGroups(t *testing.T) {
	dir := t.TempDir()
	ca, err := EnsureAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "kubernetes-ca", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(Request{CommonName: "probe", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := parseCertificate(pair.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if certificate.Subject.String() != "CN=probe" {
		t.Errorf("subject = %s", certificate.Subject)
	}
}
