//go:build haproxy

package haproxy

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// These tests ask a real HAProxy: the executable in $HAPROXY, or the one in the PATH.

func haproxyPath() string { return cmp.Or(os.Getenv("HAPROXY"), "haproxy") }

// tryConfig runs haproxy -c as the systemd units do and returns what it prints. Options which this build cannot have
// (the crypto policies of RHEL) are taken out first.
func tryConfig(t *testing.T, cfg []byte) (output string, err error) {
	t.Helper()
	var kept [][]byte
	for _, l := range bytes.SplitAfter(cfg, []byte("\n")) {
		if !bytes.Contains(l, []byte("PROFILE=SYSTEM")) {
			kept = append(kept, l)
		}
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, bytes.Join(kept, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	printed, err := exec.CommandContext(t.Context(), haproxyPath(), "-c", "-W", "-f", path).CombinedOutput()
	return string(printed), err
}

// checkConfig fails the test when HAProxy does not take the configuration, and returns its warnings.
func checkConfig(t *testing.T, cfg []byte) (warnings []string) {
	t.Helper()
	output, err := tryConfig(t, cfg)
	if err != nil {
		t.Errorf("%v:\n%s", err, output)
	}
	for l := range strings.Lines(output) {
		if strings.HasPrefix(l, "[WARNING]") || strings.HasPrefix(l, "[ALERT]") {
			warnings = append(warnings, l)
		}
	}
	return warnings
}

// certificates is a CA of a test's own, with one certificate for servers and clients alike.
type certificates struct {
	caFile, clientFile string
	pool               *x509.CertPool
	server             tls.Certificate
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		return key
	}
	caKey, key := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kubernetes"}, DNSNames: []string{"kubernetes"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)

	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	certPEM, keyPEM := block("CERTIFICATE", leafDER), block("PRIVATE KEY", keyDER)
	dir := t.TempDir()
	c := &certificates{caFile: dir + "/ca.crt", clientFile: dir + "/client.pem", pool: x509.NewCertPool()}
	must(os.WriteFile(c.caFile, block("CERTIFICATE", caDER), 0o600))
	must(os.WriteFile(c.clientFile, append(certPEM, keyPEM...), 0o600))
	c.server, err = tls.X509KeyPair(certPEM, keyPEM)
	must(err)
	caCert, err := x509.ParseCertificate(caDER)
	must(err)
	c.pool.AddCert(caCert)
	return c
}

// withFiles has the spec name files that exist.
func (c *certificates) withFiles(spec Spec) Spec {
	if spec.CAFile != "" {
		spec.CAFile = c.caFile
	}
	if spec.ClientFile != "" {
		spec.ClientFile = c.clientFile
	}
	return spec
}

func TestHAProxyTakesEveryBlockWithoutWarnings(t *testing.T) {
	files := newCertificates(t)
	for _, c := range renderCases() {
		t.Run(c.name, func(t *testing.T) {
			spec := files.withFiles(c.spec)
			spec.NoLog = true // the block stands alone: nothing says where to log
			if warnings := checkConfig(t, Render(spec, c.slots)); len(warnings) > 0 {
				t.Errorf("%s", warnings)
			}
		})
	}
}

func TestHAProxyTakesTheBlockInUsersFiles(t *testing.T) {
	files := newCertificates(t)
	for name, cfg := range userFiles(t) {
		// The guide's has to be taken over first. HAProxy refuses some for reasons of their own: files that are not
		// here, and what older versions do not know.
		if _, err := tryConfig(t, completeLine(cfg)); err != nil || strings.HasPrefix(name, "guide") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			spec, err := files.withFiles(testSpec()).FitTo(cfg)
			if err != nil {
				t.Fatal(err)
			}
			replaced, err := ReplaceBlock(cfg, Render(spec, NewSlots(guideServers(), 2)))
			if err != nil {
				t.Fatal(err)
			}
			for _, warning := range checkConfig(t, replaced) {
				// `option forwardfor` in defaults cannot be taken back.
				if !strings.Contains(warning, "'option forwardfor' ignored") {
					t.Error(warning)
				}
			}
		})
	}
}

func TestHAProxyTakesTheGuideTakenOver(t *testing.T) {
	files := newCertificates(t)
	for name, cfg := range map[string][]byte{
		"guide": fixture(t, "user/guide.cfg"), "guide with CRLF": toCRLF(fixture(t, "user/guide.cfg")),
	} {
		t.Run(name, func(t *testing.T) {
			_, replaced := adoptInto(t, cfg, files.withFiles(testSpec()))
			if warnings := checkConfig(t, replaced); len(warnings) > 0 {
				t.Errorf("%s", warnings)
			}
		})
	}
}

// What users write in defaults sections does not break the block, nor draw a warning about it.
func TestHAProxyTakesTheBlockUnderAnyDefaults(t *testing.T) {
	files := newCertificates(t)
	for _, defaults := range []string{
		"mode http\noption httplog\noption httpchk GET /health\nerrorfile 503 /dev/null",
		"mode http\nlog-format \"%ci %HM %HU\"",
		"mode tcp\noption tcplog\noption tcp-check\ntcp-check connect ssl\ntcp-check send PING\ntcp-check expect string X",
		"mode http\noption httpchk\nhttp-check send meth GET uri /x\nhttp-check expect status 204",
		"mode http\noption http-server-close\nretry-on all-retryable-errors\nhttp-reuse always",
		"mode http\nbalance uri\nhash-type consistent",
		"mode http\noption ssl-hello-chk\noption abortonclose\noption splice-auto",
		"default-server inter 10s downinter 5s fall 2 slowstart 60s maxconn 250 maxqueue 256 weight 100",
		"default-server ssl verify none send-proxy-v2 check-send-proxy",
		"default-server init-addr none on-marked-down shutdown-sessions",
		"retries 0\nno option redispatch\ntimeout queue 2ms\ntimeout tunnel 2ms\ntimeout check 1m",
	} {
		t.Run(defaults, func(t *testing.T) {
			cfg := "global\nlog 127.0.0.1 local0\ndefaults\nlog global\n" + defaults + "\n"
			replaced, err := ReplaceBlock([]byte(cfg), Render(files.withFiles(testSpec()), NewSlots(guideServers(), 2)))
			if err != nil {
				t.Fatal(err)
			}
			if warnings := checkConfig(t, replaced); len(warnings) > 0 {
				t.Errorf("%s", warnings)
			}
		})
	}
}
