//go:build linux

package lbhelper

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// certificate says which client certificate the health checks show: nil when they need none, or when it is somebody
// else's. One of another cluster is as none.
func (s *Server) certificate(ctx context.Context) *wire.Certificate {
	spec := s.policy.Spec()
	if spec.Check != haproxy.CheckReadyz {
		return nil
	}
	text, err := s.machine.ReadFile(ctx, spec.ClientFile)
	if err != nil {
		return &wire.Certificate{} // why, the attempt to write it will tell
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return &wire.Certificate{}
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return &wire.Certificate{}
	}
	if !isForChecks(leaf) {
		return nil
	}
	if s.verify(ctx, leaf, leaf.NotBefore) != nil {
		return &wire.Certificate{}
	}
	return describe(leaf)
}

func describe(leaf *x509.Certificate) *wire.Certificate {
	return &wire.Certificate{Serial: fmt.Sprintf("%x", leaf.SerialNumber), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
}

// isForChecks tells whether a certificate is for the user of the health checks, who is in no group.
func isForChecks(leaf *x509.Certificate) bool {
	return leaf.Subject.CommonName == haproxy.ClientUser && len(leaf.Subject.Names) == 1
}

// verify sees whether the cluster's CA has made the certificate for a client, and whether it is valid at that time.
func (s *Server) verify(ctx context.Context, leaf *x509.Certificate, at time.Time) error {
	ca, err := s.machine.ReadFile(ctx, s.policy.Spec().CAFile)
	if err != nil {
		return fmt.Errorf("reading the cluster's CA: %w: run kubectl ha-init to bring it here", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no certificate: run kubectl ha-init to bring the cluster's CA here", s.policy.Spec().CAFile)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: usages})
	return err
}

// renew judges another client certificate and has HAProxy use it. The key is written into HAProxy's file and nowhere else.
func (s *Server) renew(ctx context.Context, request *wire.Renew) (*wire.Certificate, error) {
	leaf, client, err := parsePair(request)
	if err == nil {
		err = s.judgeCertificate(ctx, leaf)
	}
	if err != nil {
		return nil, s.refuse(fmt.Errorf("renewing the client certificate: %w", err))
	}
	if err := s.balancer.SetClientCertificate(ctx, client); err != nil {
		s.config.Log("failed: renewing the client certificate: " + err.Error())
		return nil, err
	}
	renewed := describe(leaf)
	s.config.Log(fmt.Sprintf("client certificate renewed: serial %s, until %s", renewed.Serial,
		renewed.NotAfter.Format(time.RFC3339)))
	return renewed, nil
}

// judgeCertificate refuses what is not a better certificate than the one that is there.
func (s *Server) judgeCertificate(ctx context.Context, leaf *x509.Certificate) error {
	present := s.certificate(ctx)
	switch {
	case present == nil:
		return errors.New("this host's health checks show none of ours")
	case !isForChecks(leaf):
		return fmt.Errorf("it is for %q and not for the user %s in no group", leaf.Subject, haproxy.ClientUser)
	case !leaf.NotAfter.After(present.NotAfter):
		return fmt.Errorf("it ends at %s, no later than the present one", leaf.NotAfter.Format(time.RFC3339))
	}
	return s.verify(ctx, leaf, time.Now())
}

// parsePair reads a certificate and its key, and lays them out as HAProxy's file has them. No error tells of the key.
func parsePair(request *wire.Renew) (leaf *x509.Certificate, client []byte, err error) {
	certificate, err := onlyBlock(request.Certificate, "CERTIFICATE")
	if err != nil {
		return nil, nil, err
	}
	if leaf, err = x509.ParseCertificate(certificate.Bytes); err != nil {
		return nil, nil, fmt.Errorf("reading it: %w", err)
	}
	key, err := onlyBlock(request.Key, "PRIVATE KEY")
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	signer, ok := private.(crypto.Signer)
	if err != nil || !ok {
		return nil, nil, errors.New("its key cannot be read")
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return nil, nil, errors.New("its key is another one's")
	}
	return leaf, slices.Concat(pem.EncodeToMemory(certificate), pem.EncodeToMemory(key)), nil
}

// onlyBlock reads the one PEM block that a text is.
func onlyBlock(text, kind string) (*pem.Block, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("what came is not one PEM block %s alone", kind)
	}
	return &pem.Block{Type: kind, Bytes: block.Bytes}, nil
}
