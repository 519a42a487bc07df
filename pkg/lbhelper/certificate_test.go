package lbhelper

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// testAuthority is a cluster's CA.
type testAuthority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t *testing.T) *testAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &testAuthority{t: t, key: key}
	a.certificate = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes-ca"}, NotBefore: time.Now().Add(-24 * time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.certificate = a.sign(a.certificate, key.Public())
	return a
}

func (a *testAuthority) sign(template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate
}

// issue makes a client certificate for the health checks that is valid for the last hour and for as long as said, changed
// as said.
func (a *testAuthority) issue(serial int64, left time.Duration, change func(*x509.Certificate)) *wire.Renew {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: haproxy.ClientUser}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(left), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &wire.Renew{
		Certificate: toPEM("CERTIFICATE", a.sign(template, key.Public()).Raw), Key: toPEM("PRIVATE KEY", private),
	}
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// install puts CA and client certificate where the policy has them.
func (a *testAuthority) install(policy *Policy, client *wire.Renew) {
	a.t.Helper()
	for path, text := range map[string]string{
		policy.CAFile: toPEM("CERTIFICATE", a.certificate.Raw), policy.ClientFile: client.Certificate + client.Key,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// worse are certificates that the helper has to refuse where one with an hour left is there.
func (a *testAuthority) worse() map[string]*wire.Renew {
	good, other := a.issue(90, 2*time.Hour, nil), a.issue(91, 2*time.Hour, nil)
	return map[string]*wire.Renew{
		"no later":          a.issue(80, 30*time.Minute, nil),
		"and not for":       a.issue(81, 2*time.Hour, func(c *x509.Certificate) { c.Subject.CommonName = "admin" }),
		"in no group":       a.issue(82, 2*time.Hour, func(c *x509.Certificate) { c.Subject.Organization = []string{"system:masters"} }),
		"unknown authority": newAuthority(a.t).issue(83, 2*time.Hour, nil),
		"key usage":         a.issue(84, 2*time.Hour, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"not yet valid":     a.issue(85, 2*time.Hour, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }),
		"another one's":     {Certificate: good.Certificate, Key: other.Key},
		"CERTIFICATE alone": {Certificate: good.Certificate + other.Certificate, Key: good.Key},
		"KEY alone":         {Certificate: good.Certificate, Key: good.Key + "listen evil\n"},
		"cannot be read":    {Certificate: good.Certificate, Key: toPEM("PRIVATE KEY", []byte("nonsense"))},
		"reading it":        {Certificate: toPEM("CERTIFICATE", []byte("nonsense")), Key: good.Key},
	}
}

func TestCertificateIsTold(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	policy := testPolicy(t)
	policy.Check, policy.CAFile, policy.ClientFile = haproxy.CheckReadyz, filepath.Join(dir, "ca.crt"), filepath.Join(dir, "client.pem")
	s := newServer(policy, Config{}.withDefaults(), &machine{}, nil)
	tell := func() *wire.Certificate { return s.certificate(t.Context()) }
	if got := tell(); got == nil || *got != (wire.Certificate{}) {
		t.Errorf("of a host without any: %+v", got)
	}
	a.install(policy, a.issue(0xabc, time.Hour, nil))
	if got := tell(); got == nil || got.Serial != "abc" || time.Until(got.NotAfter).Round(time.Minute) != time.Hour ||
		time.Since(got.NotBefore).Round(time.Minute) != time.Hour {
		t.Errorf("%+v", got)
	}
	a.install(policy, a.issue(0xdef, -time.Minute, nil))
	if got := tell(); got == nil || got.Serial != "def" {
		t.Errorf("of one that has ended: %+v", got)
	}
	a.install(policy, newAuthority(t).issue(1, time.Hour, nil))
	if got := tell(); got == nil || *got != (wire.Certificate{}) {
		t.Errorf("of another cluster: %+v", got)
	}
	a.install(policy, a.issue(1, time.Hour, func(c *x509.Certificate) { c.Subject.CommonName = "monitoring" }))
	if got := tell(); got != nil {
		t.Errorf("of somebody else's: %+v", got)
	}
	policy.Check = haproxy.CheckTLS
	if got := tell(); got != nil {
		t.Errorf("where checks need none: %+v", got)
	}
}

func TestWorseCertificatesAreRefused(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	policy := testPolicy(t)
	policy.Check, policy.CAFile, policy.ClientFile = haproxy.CheckReadyz, filepath.Join(dir, "ca.crt"), filepath.Join(dir, "client.pem")
	a.install(policy, a.issue(1, time.Hour, nil))
	var logged []string
	s := newServer(policy, Config{Log: func(line string) { logged = append(logged, line) }}.withDefaults(), &machine{}, nil)
	for want, renew := range a.worse() {
		_, err := s.renew(t.Context(), renew)
		if wire.KindOf(err) != wire.Refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want a refusal with %q", err, want)
		}
		if err != nil && containsKey(err.Error(), renew) || containsKey(strings.Join(logged, "\n"), renew) {
			t.Errorf("the key is told: %v", err)
		}
	}
	if len(logged) != len(a.worse()) {
		t.Errorf("%d refusals are logged", len(logged))
	}
	if err := os.Remove(policy.CAFile); err != nil {
		t.Fatal(err)
	}
	if _, err := s.renew(t.Context(), a.issue(2, 2*time.Hour, nil)); wire.KindOf(err) != wire.Refused || !strings.Contains(err.Error(), "kubectl ha-init") {
		t.Errorf("without the cluster's CA: %v", err)
	}
}

// containsKey tells whether a text has a part of the key.
func containsKey(text string, renew *wire.Renew) bool {
	_, body, _ := strings.Cut(renew.Key, "\n")
	return strings.Contains(text, body[:16])
}
