// Package kubetest has an API in memory do what a cluster does with its objects.
package kubetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync/atomic"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// Reacting is the API in memory of client-go.
type Reacting interface {
	PrependReactor(verb, resource string, reaction clienttesting.ReactionFunc)
}

// SignRequests has it name certificate requests, and sign what is approved, for that long from then on.
func SignRequests(api Reacting, lifetime time.Duration) {
	const requests = "certificatesigningrequests"
	var names atomic.Int64
	api.PrependReactor("create", requests, func(action clienttesting.Action) (bool, runtime.Object, error) {
		if request := requestOf(action); request != nil {
			request.Name = fmt.Sprint(request.GenerateName, names.Add(1))
		}
		return false, nil, nil
	})
	api.PrependReactor("update", requests, func(action clienttesting.Action) (bool, runtime.Object, error) {
		request := requestOf(action)
		if request == nil || action.GetSubresource() != "approval" {
			return false, nil, nil
		}
		if len(request.Status.Conditions) != 1 || request.Status.Conditions[0].Type != certificatesv1.CertificateApproved {
			return true, nil, errors.New("it is not approved")
		}
		certificate, err := sign(request.Spec.Request, lifetime)
		request.Status.Certificate = certificate
		return err != nil, nil, err
	})
}

// requestOf is the request that is created or updated.
func requestOf(action clienttesting.Action) *certificatesv1.CertificateSigningRequest {
	with, ok := action.(interface{ GetObject() runtime.Object })
	if !ok {
		return nil
	}
	request, _ := with.GetObject().(*certificatesv1.CertificateSigningRequest)
	return request
}

// sign makes a certificate of a request, by a CA that nobody else knows.
func sign(request []byte, lifetime time.Duration) ([]byte, error) {
	block, _ := pem.Decode(request)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	_, authority, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: parsed.Subject, NotBefore: now, NotAfter: now.Add(lifetime)}
	ca := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kubernetes-ca"}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, parsed.PublicKey, authority)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
