package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// UnknownKey is a host key that no known_hosts file has an entry for.
type UnknownKey struct {
	Host        string // "root@10.10.0.2:22"
	Address     string // as known_hosts has it: "10.10.0.2" or "[10.10.0.2]:2222"
	KeyType     string // "ssh-ed25519"
	Fingerprint string // "SHA256:…"
}

// hostKeys verifies the host key of one hop.
type hostKeys struct {
	hop   hop
	known knownHosts
}

// knownKeys reads what is known: the known_hosts files and the file of revoked keys.
func (hop hop) knownKeys() (knownHosts, error) {
	known, err := readKnownHosts(hop.knownHosts)
	if err != nil {
		return nil, err
	}
	if hop.revokedKeys != "" {
		data, err := os.ReadFile(hop.revokedKeys)
		if err != nil {
			return nil, fmt.Errorf("reading the revoked host keys that ssh_config names: %w", err)
		}
		revoked, err := parseRevokedKeys(hop.revokedKeys, data)
		if err != nil {
			return nil, err
		}
		known = append(known, revoked...)
	}
	return known, nil
}

// parseRevokedKeys reads the text form of RevokedHostKeys: a public key per line.
func parseRevokedKeys(file string, data []byte) (knownHosts, error) {
	if bytes.HasPrefix(data, []byte("SSHKRL\n")) {
		return nil, fmt.Errorf("%s is a binary key revocation list, which the built-in SSH client does not read: "+
			"use openSSH: instead of ssh: in the cluster file", file)
	}
	var revoked knownHosts
	for n, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, fmt.Errorf("reading revoked host keys: %s:%d: %w", file, n+1, err)
		}
		revoked = append(revoked, knownHost{file: file, line: n + 1, marker: "revoked", key: key})
	}
	return revoked, nil
}

// callback is what the key exchange asks. It fails unless the host proved to own a key that is known.
func (k hostKeys) callback(_ string, _ net.Addr, key ssh.PublicKey) error {
	if k.hop.pinned == nil {
		return k.known.check(k.hop.knownAs(), k.hop.lookupName(), key)
	}
	if !sameKey(k.hop.pinned, key) {
		return fmt.Errorf("the host key of %s is %s %s, but the cluster file's hostKey says %s %s: refused",
			k.hop.address, key.Type(), ssh.FingerprintSHA256(key), k.hop.pinned.Type(),
			ssh.FingerprintSHA256(k.hop.pinned))
	}
	return nil
}

// algorithms are those to offer in the key exchange, in order of preference.
func (k hostKeys) algorithms() []string {
	if k.hop.pinned != nil {
		entry := knownHost{patterns: k.hop.knownAs(), key: k.hop.pinned}
		return knownHosts{entry}.algorithms(k.hop.knownAs())
	}
	return k.known.algorithms(k.hop.knownAs())
}

// accept asks the user about a key that is not known and writes it down. The host has to be connected to again:
// the connection on which the key was seen ended at the key exchange, without having been told anything.
func (c *Connector) accept(ctx context.Context, hop hop, unknown *unknownKeyError) error {
	c.asking.Lock()
	defer c.asking.Unlock()
	// The same host may have been asked about while this call waited for its turn.
	known, err := hop.knownKeys()
	if err != nil {
		return err
	}
	if known.check(unknown.address, hop.lookupName(), unknown.key) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	question := UnknownKey{
		Host:        hop.String(),
		Address:     unknown.address,
		KeyType:     unknown.key.Type(),
		Fingerprint: ssh.FingerprintSHA256(unknown.key),
	}
	if err := c.confirm(ctx, question); err != nil {
		return err
	}
	if len(hop.knownHosts) == 0 {
		return nil // ssh_config says UserKnownHostsFile none: the key is good for this connection
	}
	return appendKnownHost(hop.knownHosts[0], unknown.address, unknown.key, hop.hashKnownHosts)
}

// confirm asks about the key, once per run. The caller holds c.asking.
func (c *Connector) confirm(ctx context.Context, key UnknownKey) error {
	if c.refused[key] {
		return fmt.Errorf("%w: %s %s of %s was not accepted", ErrUnknownHostKey, key.KeyType, key.Fingerprint, key.Address)
	}
	if c.Confirm == nil {
		return fmt.Errorf("%w: %s shows %s %s, which no known_hosts file has and nobody is there to ask: "+
			"compare the fingerprint, then run `ssh %s` once, or ssh-keyscan, or this command on a terminal",
			ErrUnknownHostKey, key.Address, key.KeyType, key.Fingerprint, sshArguments(key))
	}
	yes, err := c.Confirm(ctx, key)
	if err != nil {
		return fmt.Errorf("asking about the host key of %s: %w", key.Host, err)
	}
	if !yes {
		if c.refused == nil {
			c.refused = map[UnknownKey]bool{}
		}
		c.refused[key] = true
		return fmt.Errorf("%w: %s %s of %s was not accepted", ErrUnknownHostKey, key.KeyType, key.Fingerprint, key.Address)
	}
	return nil
}

// sshArguments returns what to type after "ssh " to reach the host of the key.
func sshArguments(key UnknownKey) string {
	host, port, err := net.SplitHostPort(key.Host)
	if err != nil {
		return key.Host
	}
	if port == "22" {
		return host
	}
	return "-p " + port + " " + host
}

// ErrUnknownHostKey says that a host's key is in no known_hosts file and was not accepted.
var ErrUnknownHostKey = errors.New("unknown host key")

// parseHostKey reads the hostKey field of the cluster file: "ssh-ed25519 AAAA…", as in known_hosts.
func parseHostKey(s string) (ssh.PublicKey, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("reading hostKey: %w: write it as in known_hosts, such as \"ssh-ed25519 AAAA…\"", err)
	}
	return key, nil
}

// knownAs is the address in the form of known_hosts.
func (h hop) knownAs() string {
	if h.alias != "" {
		return h.alias // as OpenSSH does: an alias stands without a port
	}
	return knownhosts.Normalize(net.JoinHostPort(h.address, h.portString()))
}

// lookupName is the name that a host certificate has to be issued for.
func (h hop) lookupName() string {
	if h.alias != "" {
		return h.alias
	}
	return h.address
}
