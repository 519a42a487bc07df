package kube

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesv1client "k8s.io/client-go/kubernetes/typed/certificates/v1"
)

const (
	// certificateSeconds is what is asked for, a year as k0s makes them. The cluster may give less, and its policy in
	// manifests/components/certificates allows no more.
	certificateSeconds = 365 * 24 * 60 * 60
	// signaturePoll is how often is looked whether it is signed: the permission to watch would be one for all requests.
	signaturePoll = 100 * time.Millisecond
)

// ClientCertificate authenticates a user to the API; both in PEM.
type ClientCertificate struct{ Certificate, Key []byte }

// IssueClientCertificate makes a client certificate for a user in no group, by the cluster's own signer: it asks for it,
// approves that, and waits until it is signed, as long as ctx lasts. The key does not leave this process.
func IssueClientCertificate(
	ctx context.Context, requests certificatesv1client.CertificateSigningRequestInterface, user string,
) (*ClientCertificate, error) {
	key, request, err := newClientRequest(user)
	if err != nil {
		return nil, err
	}
	certificate, err := sign(ctx, requests, user, request)
	if err != nil {
		return nil, fmt.Errorf("making a client certificate for %s: %w", user, err)
	}
	return &ClientCertificate{Certificate: certificate, Key: key}, nil
}

// sign has the cluster sign a request.
func sign(
	ctx context.Context, requests certificatesv1client.CertificateSigningRequestInterface, user string, request []byte,
) (certificate []byte, err error) {
	seconds := int32(certificateSeconds)
	made, err := requests.Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: user + "-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: request, SignerName: certificatesv1.KubeAPIServerClientSignerName, ExpirationSeconds: &seconds,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	made.Status.Conditions = append(made.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "KubectlHA", Message: "by who asked for it",
	})
	if _, err := requests.UpdateApproval(ctx, made.Name, made, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	var refused error // which does not pass by itself
	err = Wait(ctx, signaturePoll, func(ctx context.Context) error {
		now, err := requests.Get(ctx, made.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err):
			refused = err
			return nil
		case err != nil:
			return err
		}
		if refused = refusal(now); refused == nil && len(now.Status.Certificate) == 0 {
			return errors.New("the cluster has not signed it: see whether kube-controller-manager runs")
		}
		certificate = now.Status.Certificate
		return nil
	})
	return certificate, errors.Join(refused, err)
}

// MayIssueClientCertificates tells whether the kubeconfig's user may do what IssueClientCertificate does; nil when he may.
func (c *Cluster) MayIssueClientCertificates(ctx context.Context) error {
	for _, needed := range []authorizationv1.ResourceAttributes{
		{Verb: "create", Resource: "certificatesigningrequests"},
		{Verb: "get", Resource: "certificatesigningrequests"},
		{Verb: "update", Resource: "certificatesigningrequests", Subresource: "approval"},
		{Verb: "approve", Resource: "signers", Name: certificatesv1.KubeAPIServerClientSignerName},
	} {
		needed.Group = certificatesv1.GroupName
		review, err := c.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &needed},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("asking the API what the kubeconfig's user may do: %w", err)
		}
		if !review.Status.Allowed {
			return fmt.Errorf("the kubeconfig's user may not make client certificates (%s %s)", needed.Verb,
				strings.TrimSuffix(needed.Resource+"/"+needed.Subresource, "/"))
		}
	}
	return nil
}

// newClientRequest makes a key and a request for a certificate, in PEM. The policy in manifests/components/certificates
// knows a request by its first bytes, which are the same for every Ed25519 key.
func newClientRequest(user string) (key, request []byte, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: user}}
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

// refusal says why there will be no certificate; nil when there may be one.
func refusal(request *certificatesv1.CertificateSigningRequest) error {
	for _, c := range request.Status.Conditions {
		if c.Type == certificatesv1.CertificateDenied || c.Type == certificatesv1.CertificateFailed {
			return fmt.Errorf("the cluster refused to sign it: %s", c.Message)
		}
	}
	return nil
}
