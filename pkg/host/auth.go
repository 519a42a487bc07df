package host

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// identities are the keys to offer to one hop, and what they are called in an error.
type identities struct {
	signers []ssh.Signer
	names   []string // "/home/a/.ssh/id_ed25519", "agent: a@laptop"
	skipped []string // why a key could not be used
	closers []io.Closer
}

func (i *identities) add(name string, signer ssh.Signer) {
	i.signers = append(i.signers, signer)
	i.names = append(i.names, name)
}

func (i *identities) close() {
	for _, c := range i.closers {
		c.Close()
	}
}

// describe names the keys that were tried, for the error of a refused login.
func (i *identities) describe() string {
	said := "there was no key to try"
	if len(i.names) > 0 {
		said = "tried " + strings.Join(slices.Compact(slices.Clone(i.names)), ", ")
	}
	if len(i.skipped) > 0 {
		said += "; could not use " + strings.Join(i.skipped, ", ")
	}
	return said
}

// unlocker returns the private key in a file that is protected by a passphrase.
type unlocker func(path string, data []byte) (ssh.Signer, error)

// identities gathers the keys for a hop: the one that the cluster file names; else the agent's and the identity files
// of ssh_config, or the usual ones.
//
// A key file that is protected by a passphrase is used through the agent when the agent has it. Else the passphrase is
// asked for when the host has said that it accepts the key, and such keys are offered last.
func (c *Connector) identities(hop hop, unlock unlocker) (*identities, error) {
	ids := &identities{}
	held := ids.agentKeys(hop.agent)
	if hop.keyPath != "" {
		signers, err := fileSigners(hop.keyPath, held, unlock)
		if err != nil {
			ids.close()
			return nil, fmt.Errorf("using key %s: %w", hop.keyPath, err)
		}
		for _, s := range signers {
			ids.add(hop.keyPath, s)
		}
		return ids, nil
	}
	locked := &identities{}
	for _, path := range hop.identities {
		signers, err := fileSigners(path, held, unlock)
		if errors.Is(err, fs.ErrNotExist) {
			continue // one of the usual names, most of which do not exist
		}
		if err != nil {
			ids.skipped = append(ids.skipped, fmt.Sprintf("%s: %v", path, err))
			continue
		}
		for _, s := range signers {
			if _, ok := s.(*lockedKey); ok {
				locked.add(path, s)
			} else {
				ids.add(path, s)
			}
		}
	}
	if !hop.identitiesOnly {
		for _, k := range held {
			if !ids.has(k.signer.PublicKey()) {
				ids.add("agent: "+k.comment, k.signer)
			}
		}
	}
	ids.signers = append(ids.signers, locked.signers...)
	ids.names = append(ids.names, locked.names...)
	return ids, nil
}

func (i *identities) has(key ssh.PublicKey) bool {
	for _, s := range i.signers {
		if sameKey(s.PublicKey(), key) {
			return true
		}
	}
	return false
}

// agentKey is a key that an SSH agent holds.
type agentKey struct {
	comment string
	signer  ssh.Signer
}

// agentKeys asks the agent. One that is not there or does not answer is as none: the key files may do.
func (i *identities) agentKeys(socket string) []agentKey {
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		i.skipped = append(i.skipped, fmt.Sprintf("agent: %v", err))
		return nil
	}
	i.closers = append(i.closers, conn)
	client := agent.NewClient(conn)
	signers, err := client.Signers()
	if err != nil {
		i.skipped = append(i.skipped, fmt.Sprintf("agent: %v", err))
		return nil
	}
	comments := map[string]string{}
	if keys, err := client.List(); err == nil {
		for _, k := range keys {
			comments[string(k.Marshal())] = k.Comment
		}
	}
	held := make([]agentKey, len(signers))
	for n, s := range signers {
		held[n] = agentKey{comment: comments[string(s.PublicKey().Marshal())], signer: s}
	}
	return held
}

// fileSigners returns what can be used of a key file: its certificate first when there is one beside it
// (PATH-cert.pub), then the key.
func fileSigners(path string, held []agentKey, unlock unlocker) ([]ssh.Signer, error) {
	signer, err := fileSigner(path, held, unlock)
	if err != nil {
		return nil, err
	}
	if data, err := os.ReadFile(path + "-cert.pub"); err == nil {
		if key, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
			if cert, ok := key.(*ssh.Certificate); ok {
				if certified, err := ssh.NewCertSigner(cert, signer); err == nil {
					return []ssh.Signer{certified, signer}, nil
				}
			}
		}
	}
	return []ssh.Signer{signer}, nil
}

func fileSigner(path string, held []agentKey, unlock unlocker) (ssh.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		if signer := find(held, public); signer != nil {
			return signer, nil
		}
		return nil, errors.New("it is a public key whose private key the SSH agent does not hold: run ssh-add")
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err == nil {
		return signer, nil
	}
	var missing *ssh.PassphraseMissingError
	if !errors.As(err, &missing) {
		return nil, fmt.Errorf("it is no private key that OpenSSH or PEM knows: %w", err)
	}
	public := missing.PublicKey // known for files in OpenSSH's own format
	if public == nil {
		if line, err := os.ReadFile(path + ".pub"); err == nil {
			public, _, _, _, _ = ssh.ParseAuthorizedKey(line)
		}
	}
	if public != nil {
		if signer := find(held, public); signer != nil {
			return signer, nil
		}
		return &lockedKey{public: public, unlock: func() (ssh.Signer, error) { return unlock(path, data) }}, nil
	}
	return unlock(path, data)
}

func find(held []agentKey, public ssh.PublicKey) ssh.Signer {
	for _, k := range held {
		if sameKey(k.signer.PublicKey(), public) {
			return k.signer
		}
	}
	return nil
}

// lockedKey is a private key whose passphrase is asked for at its first use, which is when a host accepts the key.
type lockedKey struct {
	public ssh.PublicKey
	unlock func() (ssh.Signer, error)
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	signer, err := k.unlock()
	if err != nil {
		return nil, err
	}
	return signer.Sign(rand, data)
}

// SignWithAlgorithm lets RSA keys sign with SHA-2.
func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := k.unlock()
	if err != nil {
		return nil, err
	}
	with, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("a %s key cannot sign with %s", k.public.Type(), algorithm)
	}
	return with.SignWithAlgorithm(rand, data, algorithm)
}

// lockedError is what keeps a protected key from being used. It is told from the errors of the key exchange by type.
type lockedError struct{ cause error }

func (e *lockedError) Error() string { return e.cause.Error() }
func (e *lockedError) Unwrap() error { return e.cause }

// unlocked is what came of asking for the passphrase of a key file.
type unlocked struct {
	signer ssh.Signer
	err    error
}

// passphraseTries is how many wrong passphrases are put up with, as many as ssh does.
const passphraseTries = 3

// unlock asks for the passphrase of a key file, once per run and file, however many hosts accept the key.
func (c *Connector) unlock(ctx context.Context, path string, data []byte) (ssh.Signer, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	if known, ok := c.unlocked[path]; ok {
		return known.signer, known.err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.Passphrase == nil {
		return nil, &lockedError{fmt.Errorf("it is protected by a passphrase and nobody is there to ask: run ssh-add %s", path)}
	}
	signer, err := c.askPassphrase(ctx, path, data)
	if err != nil {
		err = &lockedError{err}
	}
	if ctx.Err() == nil {
		if c.unlocked == nil {
			c.unlocked = map[string]unlocked{}
		}
		c.unlocked[path] = unlocked{signer, err}
	}
	return signer, err
}

func (c *Connector) askPassphrase(ctx context.Context, path string, data []byte) (ssh.Signer, error) {
	for try := 1; ; try++ {
		passphrase, err := c.Passphrase(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("asking for its passphrase: %w", err)
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(data, passphrase)
		if err == nil {
			return signer, nil
		}
		if try == passphraseTries || !errors.Is(err, x509.IncorrectPasswordError) {
			return nil, fmt.Errorf("opening it with the passphrase: %w", err)
		}
	}
}
