package syncer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesv1client "k8s.io/client-go/kubernetes/typed/certificates/v1"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

const (
	// certificateSeconds is what is asked for, a year as k0s makes them. The cluster may give less, and its policy in
	// manifests/components/certificates allows no more.
	certificateSeconds = 365 * 24 * 60 * 60
	// issueTimeout bounds the making of a certificate: its load balancer is not looked at meanwhile.
	issueTimeout = 10 * time.Second
	// issuePoll is how often is looked whether it is signed: the permission to watch would be one for all requests.
	issuePoll = 100 * time.Millisecond
	// A renewal that failed is tried again after that long, and after twice as long each time.
	firstRenewal, lastRenewal = 30 * time.Second, time.Hour
)

// renewal is how the renewal of a load balancer's certificate goes.
type renewal struct {
	// done says that it was renewed just now, err why it is not although that is due.
	done bool
	err  error
	// It is tried again at next, which was pause after the last failure.
	pause time.Duration
	next  time.Time
}

// failed takes note of why it failed.
func (r *renewal) failed(err error, now time.Time) {
	r.pause = min(max(firstRenewal, 2*r.pause), lastRenewal)
	r.done, r.err, r.next = false, err, now.Add(r.pause)
}

// due says whether a certificate is to be renewed: when less than a third of its lifetime is left, or when there is none.
func due(c *wire.Certificate, now time.Time) bool {
	return c != nil && c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3
}

// renew renews the client certificate of a load balancer's health checks when that is due. Each load balancer has its
// own. How it went is in b.renewal, and HAProxy is looked after all the same; an error is the end of the session.
func (l *loop) renew(ctx context.Context, b *balancer, report *wire.Report) error {
	now := time.Now()
	if !due(report.Certificate, now) {
		b.renewal = renewal{}
		return nil
	}
	if now.Before(b.renewal.next) || l.held() != "" {
		return nil
	}
	renew, err := l.issue(ctx)
	if err != nil {
		b.renewal.failed(fmt.Errorf("making a client certificate: %w", err), now)
		return nil
	}
	certificate, err := b.session.Renew(ctx, renew)
	if err != nil {
		b.renewal.failed(fmt.Errorf("giving HAProxy its client certificate: %w", err), now)
		if kind := wire.KindOf(err); kind == "" || kind == wire.Malformed {
			return err
		}
		return nil
	}
	report.Certificate = certificate
	if due(certificate, now) {
		b.renewal.failed(errors.New("the new client certificate ends soon by this host's clock: compare it with the controllers'"), now)
		return nil
	}
	b.renewal = renewal{done: true}
	return nil
}

// issuer makes client certificates through the API, by a permission that is for these alone.
type issuer struct {
	requests certificatesv1client.CertificateSigningRequestInterface
	timeout  time.Duration
}

func newIssuer(requests certificatesv1client.CertificateSigningRequestInterface) *issuer {
	return &issuer{requests: requests, timeout: issueTimeout}
}

// issue asks for a certificate, approves that, and waits until it is signed. Nobody but its receiver keeps the key.
func (i *issuer) issue(ctx context.Context) (*wire.Renew, error) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	key, request, err := newRequest()
	if err != nil {
		return nil, err
	}
	seconds := int32(certificateSeconds)
	made, err := i.requests.Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "ha-syncer-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: request, SignerName: certificatesv1.KubeAPIServerClientSignerName, ExpirationSeconds: &seconds,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, explainForbidden(err)
	}
	made.Status.Conditions = append(made.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "HealthChecks",
		Message: "for the health checks of a load balancer",
	})
	if _, err := i.requests.UpdateApproval(ctx, made.Name, made, metav1.UpdateOptions{}); err != nil {
		return nil, explainForbidden(err)
	}
	var certificate []byte
	err = kube.Wait(ctx, issuePoll, func(ctx context.Context) error {
		now, err := i.requests.Get(ctx, made.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		certificate = now.Status.Certificate
		return unsigned(now)
	})
	if err != nil {
		return nil, err
	}
	return &wire.Renew{Certificate: string(certificate), Key: string(key)}, nil
}

// explainForbidden says what is missing where the API forbids it.
func explainForbidden(err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w: apply manifests/components/certificates, which needs Kubernetes 1.30; or run kubectl ha-init, "+
			"which renews it in its last 30 days", err)
	}
	return err
}

// newRequest makes a key and a request for a certificate, in PEM. The policy in manifests/components/certificates knows
// a request by its first bytes, which are the same for every Ed25519 key.
func newRequest() (key, request []byte, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: haproxy.ClientUser}}
	requestDER, err := x509.CreateCertificateRequest(rand.Reader, template, private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: requestDER}), nil
}

// unsigned says why there is no certificate; nil when there is one.
func unsigned(request *certificatesv1.CertificateSigningRequest) error {
	for _, c := range request.Status.Conditions {
		if c.Type == certificatesv1.CertificateDenied || c.Type == certificatesv1.CertificateFailed {
			return fmt.Errorf("the cluster refused to sign it: %s", c.Message)
		}
	}
	if len(request.Status.Certificate) == 0 {
		return errors.New("the cluster has not signed it: see whether kube-controller-manager runs")
	}
	return nil
}
