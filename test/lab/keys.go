package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// keyPair is an SSH key in OpenSSH's file formats.
type keyPair struct {
	private []byte
	public  []byte // one line with its newline
}

// newEd25519 makes the kind of key that clients and hosts prefer today.
func newEd25519(comment string) (keyPair, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making an ed25519 key: %w", err)
	}
	return encodeKey(key, comment)
}

// newECDSA makes the second key that a host has beside its ed25519 key. OpenSSH's known_hosts lists only the key a
// host was first seen with, so a client that asks for a key of another kind takes the host for a stranger.
func newECDSA(comment string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making an ecdsa key: %w", err)
	}
	return encodeKey(key, comment)
}

func encodeKey(key crypto.Signer, comment string) (keyPair, error) {
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding key %s: %w", comment, err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding the public key %s: %w", comment, err)
	}
	line := ssh.MarshalAuthorizedKey(public)
	line = fmt.Appendf(line[:len(line)-1], " %s\n", comment)
	return keyPair{private: pem.EncodeToMemory(block), public: line}, nil
}
