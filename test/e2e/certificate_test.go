//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
)

// as makes a client of the API that is no administrator's.
func (s *site) as(change func(*rest.Config)) kubernetes.Interface {
	s.t.Helper()
	admin, err := clientcmd.BuildConfigFromFlags("", s.path("kubeconfig"))
	s.must(err)
	config := rest.AnonymousClientConfig(admin)
	change(config)
	client, err := kubernetes.NewForConfig(config)
	s.must(err)
	return client
}

// requestFor makes a PEM for a certificate of that subject.
func (s *site) requestFor(subject pkix.Name, key crypto.Signer) []byte {
	s.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	s.must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// checkIssuer sees that the cluster has signed the client certificate of a load balancer, as that user has asked its API to.
func (s *site) checkIssuer(balancer, user string) {
	s.t.Helper()
	client := s.sh(balancer, "cat "+haproxy.DefaultClientFile)
	requests, err := s.api().Client.CertificatesV1().CertificateSigningRequests().List(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	for _, r := range requests.Items {
		if len(r.Status.Certificate) > 0 && strings.HasPrefix(client, strings.TrimSpace(string(r.Status.Certificate))) {
			if r.Spec.Username != user {
				s.t.Errorf("%s asked for the client certificate of %s, want %s", r.Spec.Username, balancer, user)
			}
			return
		}
	}
	s.t.Errorf("none of %d requests is for the client certificate of %s", len(requests.Items), balancer)
}

// checkPermission sees what the syncer's ServiceAccount can not get by certificate requests. The policy is in force some
// moments after it was made.
func (s *site) checkPermission(folder string) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	user, admin := pkix.Name{CommonName: haproxy.ClientUser}, pkix.Name{CommonName: "admin", Organization: []string{"anything"}}
	good := func() *certificatesv1.CertificateSigningRequest {
		year := int32(365 * 24 * 60 * 60)
		return &certificatesv1.CertificateSigningRequest{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
			Spec: certificatesv1.CertificateSigningRequestSpec{
				Request: s.requestFor(user, key), SignerName: certificatesv1.KubeAPIServerClientSignerName, ExpirationSeconds: &year,
				Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
			},
		}
	}
	requests := s.as(func(c *rest.Config) { c.BearerTokenFile = filepath.Join(folder, "token") }).CertificatesV1().CertificateSigningRequests()
	create := func(ctx context.Context, change func(*certificatesv1.CertificateSigningRequestSpec)) error {
		request := good()
		change(&request.Spec)
		_, err := requests.Create(ctx, request, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	byPolicy := func(err error) error {
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ha-syncer-certificates") {
			return fmt.Errorf("the policy does not forbid it: %w", err)
		}
		return nil
	}
	s.eventually("the policy is in force", func(ctx context.Context) error {
		return byPolicy(create(ctx, func(spec *certificatesv1.CertificateSigningRequestSpec) { spec.Request = s.requestFor(admin, key) }))
	})
	ctx := s.t.Context()
	if err := create(ctx, func(*certificatesv1.CertificateSigningRequestSpec) {}); err != nil {
		s.t.Errorf("what the syncer does: %v", err)
	}
	for name, change := range map[string]func(*certificatesv1.CertificateSigningRequestSpec){
		"a group": func(spec *certificatesv1.CertificateSigningRequestSpec) {
			spec.Request = s.requestFor(pkix.Name{CommonName: haproxy.ClientUser, Organization: []string{"system:nodes"}}, key)
		},
		"another user with a name of the same length": func(spec *certificatesv1.CertificateSigningRequestSpec) {
			spec.Request = s.requestFor(pkix.Name{CommonName: strings.Repeat("a", len(haproxy.ClientUser))}, key)
		},
		"a key of another kind": func(spec *certificatesv1.CertificateSigningRequestSpec) { spec.Request = s.requestFor(user, other) },
		"another user behind a block that cannot be read": func(spec *certificatesv1.CertificateSigningRequestSpec) {
			broken := bytes.Replace(spec.Request, []byte("\n-----END"), []byte("!\n-----END"), 1)
			spec.Request = slices.Concat(broken, s.requestFor(admin, key))
		},
		"another signer": func(spec *certificatesv1.CertificateSigningRequestSpec) { spec.SignerName = "example.com/other" },
		"more usages": func(spec *certificatesv1.CertificateSigningRequestSpec) {
			spec.Usages = append(spec.Usages, certificatesv1.UsageDigitalSignature)
		},
		"two years":   func(spec *certificatesv1.CertificateSigningRequestSpec) { *spec.ExpirationSeconds *= 2 },
		"without end": func(spec *certificatesv1.CertificateSigningRequestSpec) { spec.ExpirationSeconds = nil },
	} {
		if err := byPolicy(create(ctx, change)); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	}
	// Somebody else's request: one that it might make itself, and one that would make an administrator.
	for _, subject := range []pkix.Name{user, {CommonName: "admin"}} {
		request := good()
		request.Spec.Request = s.requestFor(subject, key)
		made, err := s.api().Client.CertificatesV1().CertificateSigningRequests().Create(ctx, request, metav1.CreateOptions{})
		s.must(err)
		made.Status.Conditions = append(made.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
		})
		_, err = requests.UpdateApproval(ctx, made.Name, made, metav1.UpdateOptions{})
		if err := byPolicy(err); err != nil {
			s.t.Errorf("approving %s's: %v", subject, err)
		}
	}
}

// shortenCertificate gives HAProxy a client certificate, made by the cluster's CA, that has run for most of its time.
func (s *site) shortenCertificate() {
	s.t.Helper()
	pki := "/var/lib/k0s/pki/"
	authority, err := tls.X509KeyPair([]byte(s.sh(guide[0], "cat "+pki+"ca.crt")), []byte(s.sh(guide[0], "cat "+pki+"ca.key")))
	s.must(err)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: haproxy.ClientUser},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * time.Minute),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	s.must(err)
	client := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	s.must(s.host(loadBalancer).WriteFile(s.t.Context(), haproxy.DefaultClientFile, client, 0o600))
	s.sh(loadBalancer, "systemctl reload haproxy")
	s.awaitState(guide[0], "UP")
	s.awaitState(guide[1], "UP")
}

// awaitCertificate waits until HAProxy has a client certificate for most of a year, in its file and in its process, and
// sees that no check failed meanwhile, and that its user may read /readyz and nothing else.
func (s *site) awaitCertificate(p *process) {
	s.t.Helper()
	var client tls.Certificate
	var pair []byte
	s.eventually("the client certificate is renewed", func(ctx context.Context) error {
		pair = []byte(s.sh(loadBalancer, "cat "+haproxy.DefaultClientFile))
		var err error
		if client, err = tls.X509KeyPair(pair, pair); err != nil {
			return err
		}
		status, err := s.syncerStatus(ctx)
		if err != nil {
			return err
		}
		if c := status.Certificate; c == nil || c.Message != "" || !c.NotAfter.Time.Equal(client.Leaf.NotAfter) ||
			time.Until(client.Leaf.NotAfter) < 300*24*time.Hour {
			return fmt.Errorf("it ends at %s, and the status says %+v", client.Leaf.NotAfter, c)
		}
		return nil
	})
	loaded := s.sh(loadBalancer, "echo 'show ssl cert "+haproxy.DefaultClientFile+"' | socat - UNIX:"+haproxy.DefaultSocketPath)
	if !strings.Contains(loaded, fmt.Sprintf("Serial: %X", client.Leaf.SerialNumber)) {
		s.t.Errorf("HAProxy has not loaded %X:\n%s", client.Leaf.SerialNumber, loaded)
	}
	if mode := s.sh(loadBalancer, "stat -c '%a %U' "+haproxy.DefaultClientFile); mode != "600 root" {
		s.t.Errorf("the file is %s", mode)
	}
	s.awaitSyncs(p) // several checks by the new certificate
	for _, fields := range s.stats(loadBalancer, "kubeAPI_backend") {
		if fields["status"] == "DOWN" || fields["chkdown"] != "" && fields["chkdown"] != "0" {
			s.t.Errorf("checks of %s failed: %v", fields["svname"], fields)
		}
	}
	user := s.as(func(c *rest.Config) { c.CertData, c.KeyData = pair, pair })
	if _, err := user.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(s.t.Context()); err != nil {
		s.t.Errorf("/readyz: %v", err)
	}
	if _, err := user.CoreV1().Nodes().List(s.t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		s.t.Errorf("it lists Nodes: %v", err)
	}
	self, err := user.AuthenticationV1().SelfSubjectReviews().Create(s.t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	s.must(err)
	if u := self.Status.UserInfo; u.Username != haproxy.ClientUser || !slices.Equal(u.Groups, []string{"system:authenticated"}) {
		s.t.Errorf("it is %+v", u)
	}
}
