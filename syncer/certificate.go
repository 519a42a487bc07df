package syncer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	certificatesv1client "k8s.io/client-go/kubernetes/typed/certificates/v1"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

const (
	// issueTimeout bounds the making of a certificate: its load balancer is not looked at meanwhile.
	issueTimeout = 10 * time.Second
	// A renewal that failed is tried again after that long, and after twice as long each time.
	firstRenewal, lastRenewal = 30 * time.Second, time.Hour
)

// renewal is how the renewal of a load balancer's certificate goes.
type renewal struct {
	// done says that it was renewed just now, err why it is not although that is due.
	done bool
	err  error
	// It is tried again at next, which was pause after the last failure; at once where HAProxy was stopped and has started.
	pause   time.Duration
	next    time.Time
	stopped bool
}

// failed takes note of why it failed.
func (r *renewal) failed(err error, now time.Time, running bool) {
	r.pause = min(max(firstRenewal, 2*r.pause), lastRenewal)
	r.done, r.err, r.next, r.stopped = false, err, now.Add(r.pause), !running
}

// waits says whether it is too early to try again.
func (r *renewal) waits(now time.Time, running bool) bool {
	return now.Before(r.next) && !(r.stopped && running)
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
	if b.renewal.waits(now, report.Running) || l.held() != "" {
		return nil
	}
	renew, err := l.issue(ctx)
	if err != nil {
		b.renewal.failed(err, now, report.Running)
		return nil
	}
	certificate, err := b.session.Renew(ctx, renew)
	if err != nil {
		b.renewal.failed(fmt.Errorf("giving HAProxy its client certificate: %w", err), now, report.Running)
		if kind := wire.KindOf(err); kind == "" || kind == wire.Malformed {
			return err
		}
		return nil
	}
	report.Certificate = certificate
	if due(certificate, now) {
		b.renewal.failed(errors.New("the new client certificate ends soon by this host's clock: compare it with the controllers'"), now, report.Running)
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

// issue makes one for the user of the health checks. Nobody but its receiver keeps the key.
func (i *issuer) issue(ctx context.Context) (*wire.Renew, error) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	made, err := kube.IssueClientCertificate(ctx, i.requests, haproxy.ClientUser)
	if err != nil {
		return nil, explainForbidden(err)
	}
	return &wire.Renew{Certificate: string(made.Certificate), Key: string(made.Key)}, nil
}

// explainForbidden says what is missing where the API forbids it.
func explainForbidden(err error) error {
	if forbidden := apierrors.APIStatus(nil); apierrors.IsForbidden(err) && errors.As(err, &forbidden) {
		// The request's name is another one each time, and what is told of an error is to stay the same for as long as the error does.
		text := err.Error()
		if details := forbidden.Status().Details; details != nil && details.Name != "" {
			text = strings.ReplaceAll(text, strconv.Quote(details.Name)+" ", "")
		}
		return fmt.Errorf("%s: apply manifests/components/certificates, which needs Kubernetes 1.30; or run kubectl ha-init, "+
			"which renews it in its last 30 days", text)
	}
	return err
}
