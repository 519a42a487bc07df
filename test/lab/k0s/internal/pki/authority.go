// Package pki makes k0s's certificates: its authorities, file names, modes,
// subjects and subject alternative names.
package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

const (
	keyBits = 2048
	// backdate makes certificates valid on hosts whose clock is a little behind.
	backdate = 5 * time.Minute
	keyMode  = 0o640
	certMode = 0o644
)

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         *rsa.PrivateKey
	// PEM is the authority's certificate.
	PEM []byte
}

// EnsureAuthority loads an authority from its two files, or makes it when one
// of them is missing.
func EnsureAuthority(certPath, keyPath, commonName string, life time.Duration) (*Authority, error) {
	if exists(certPath) && exists(keyPath) {
		return LoadAuthority(certPath, keyPath)
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("generating the key of %s: %w", commonName, err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("creating the authority %s: %w", commonName, err)
	}
	if err := WriteFile(keyPath, encodeKey(key), keyMode); err != nil {
		return nil, err
	}
	if err := WriteFile(certPath, encodeCertificate(der), certMode); err != nil {
		return nil, err
	}
	return LoadAuthority(certPath, keyPath)
}

// LoadAuthority reads an authority from its two files.
func LoadAuthority(certPath, keyPath string) (*Authority, error) {
	certPEM, err := os.ReadFile(certPath)
	if err != nil {
		return nil, fmt.Errorf("reading an authority: %w", err)
	}
	keyPEM, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("reading an authority's key: %w", err)
	}
	certificate, err := parseCertificate(certPEM)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", certPath, err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", keyPath, err)
	}
	return &Authority{certificate: certificate, key: key, PEM: certPEM}, nil
}

// Request asks for a certificate that serves as client and as server.
type Request struct {
	CommonName, Organization string
	// Hosts are names and addresses.
	Hosts []string
	Life  time.Duration
}

// Pair is a certificate and its key, in PEM.
type Pair struct{ Certificate, Key []byte }

// Issue makes a new key and signs a certificate for it.
func (a *Authority) Issue(request Request) (Pair, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return Pair{}, fmt.Errorf("generating the key of %q: %w", request.CommonName, err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: request.CommonName},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(request.Life),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if request.Organization != "" {
		template.Subject.Organization = []string{request.Organization}
	}
	for _, host := range request.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := sign(template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the certificate of %q: %w", request.CommonName, err)
	}
	return Pair{Certificate: encodeCertificate(der), Key: encodeKey(key)}, nil
}

// IssueTo issues a certificate and writes it and its key to two files. k0s
// does so at every start, not only when something has changed.
func (a *Authority) IssueTo(certPath, keyPath string, request Request) (Pair, error) {
	pair, err := a.Issue(request)
	if err != nil {
		return Pair{}, err
	}
	if err := WriteFile(keyPath, pair.Key, keyMode); err != nil {
		return Pair{}, err
	}
	return pair, WriteFile(certPath, pair.Certificate, certMode)
}

// EnsureKeyPair makes an RSA key and its public half unless both exist.
func EnsureKeyPair(keyPath, pubPath string) error {
	if exists(keyPath) && exists(pubPath) {
		return nil
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("generating %s: %w", keyPath, err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", pubPath, err)
	}
	if err := WriteFile(keyPath, encodeKey(key), keyMode); err != nil {
		return err
	}
	return WriteFile(pubPath, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), certMode)
}

func sign(template, parent *x509.Certificate, public *rsa.PublicKey, key *rsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

func encodeKey(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parseKey(data []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return rsaKey, nil
}
