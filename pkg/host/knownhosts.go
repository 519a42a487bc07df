package host

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// knownHosts are the entries of all known_hosts files, in order.
//
// The knownhosts package of x/crypto verifies too, but refuses a whole file for one line it cannot parse (the key
// types of tomorrow, which OpenSSH skips), takes the key of a @cert-authority line for a host key, and tells neither
// which entries are plain. Here a line that cannot be parsed is skipped: what it would have said is then unknown,
// and unknown keys are refused or asked about.
type knownHosts []knownHost

type knownHost struct {
	file     string
	line     int
	marker   string // "", "cert-authority" or "revoked"
	patterns string // first field: names, wildcards, negations, or one hashed name
	key      ssh.PublicKey
}

// changedKeyError says that a host showed another key than the one it is known by.
type changedKeyError struct {
	address string
	key     ssh.PublicKey
	known   []knownHost
}

func (e *changedKeyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the host key of %s has changed: it shows %s %s, but it is known by another key in ",
		e.address, e.key.Type(), ssh.FingerprintSHA256(e.key))
	for i, k := range e.known {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s:%d (%s %s)", k.file, k.line, k.key.Type(), ssh.FingerprintSHA256(k.key))
	}
	fmt.Fprintf(&b, ". Someone may be intercepting the connection. If the host was reinstalled, run: ssh-keygen -f %s -R %s",
		shell.Quote(e.known[0].file), shell.Quote(e.address))
	return b.String()
}

// revokedKeyError says that a host showed a key that must not be trusted any more.
type revokedKeyError struct {
	address string
	key     ssh.PublicKey
	file    string
	line    int
}

func (e *revokedKeyError) Error() string {
	return fmt.Sprintf("the host key of %s, %s %s, is marked as revoked in %s:%d: give the host a new key",
		e.address, e.key.Type(), ssh.FingerprintSHA256(e.key), e.file, e.line)
}

// unknownKeyError says that nothing is known about a host's key.
type unknownKeyError struct {
	address string
	key     ssh.PublicKey
}

func (e *unknownKeyError) Error() string {
	return fmt.Sprintf("the host key of %s is not known: %s %s", e.address, e.key.Type(), ssh.FingerprintSHA256(e.key))
}

// readKnownHosts reads the files that exist.
func readKnownHosts(files []string) (knownHosts, error) {
	var all knownHosts
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading known hosts: %w", err)
		}
		all = append(all, parseKnownHosts(file, data)...)
	}
	return all, nil
}

func parseKnownHosts(file string, data []byte) knownHosts {
	var entries knownHosts
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		entry := knownHost{file: file, line: n}
		if marker, ok := strings.CutPrefix(fields[0], "@"); ok {
			if marker != "cert-authority" && marker != "revoked" {
				continue
			}
			entry.marker, fields = marker, fields[1:]
		}
		if len(fields) < 3 {
			continue
		}
		entry.patterns = fields[0]
		blob, err := base64.StdEncoding.DecodeString(fields[2])
		if err != nil {
			continue
		}
		if entry.key, err = ssh.ParsePublicKey(blob); err != nil || entry.key.Type() != fields[1] {
			continue
		}
		entries = append(entries, entry)
	}
	return entries
}

// matches says whether the entry speaks of the address, which is in the form of known_hosts: "name" for port 22,
// else "[name]:port".
func (k knownHost) matches(address string) bool {
	address = strings.ToLower(address)
	if strings.HasPrefix(k.patterns, "|") {
		return matchesHashed(k.patterns, address)
	}
	matched := false
	for pattern := range strings.SplitSeq(strings.ToLower(k.patterns), ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !wildcardMatch(pattern, address) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// matchesHashed compares with "|1|salt|hash", the hash being the HMAC-SHA1 of the address (man sshd, HashKnownHosts).
func matchesHashed(hashed, address string) bool {
	parts := strings.Split(hashed, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	sum, err := base64.StdEncoding.DecodeString(parts[3])
	if err != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(address))
	return hmac.Equal(mac.Sum(nil), sum)
}

// wildcardMatch knows "*" and "?" as OpenSSH does: dots and brackets are ordinary characters.
func wildcardMatch(pattern, s string) bool {
	star, resume := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// keysOf returns the plain entries for the address, the one given at connection time included.
func (k knownHosts) keysOf(address string) []knownHost {
	var keys []knownHost
	for _, entry := range k {
		if entry.marker == "" && entry.matches(address) {
			keys = append(keys, entry)
		}
	}
	return keys
}

// check decides about the key that a host shows. The error is a *changedKeyError, *revokedKeyError or
// *unknownKeyError; nil means that the key is the host's.
//
//	revoked, for any host                           → revoked
//	certificate, its authority known for the host   → good when it is valid for the host, else an error
//	certificate, its authority not known            → as the plain key inside it
//	one of the host's entries                       → good
//	the host has entries, but not this one          → changed
//	the host has no entry                           → unknown
func (k knownHosts) check(address, hostname string, key ssh.PublicKey) error {
	cert, isCert := key.(*ssh.Certificate)
	plain := key
	if isCert {
		plain = cert.Key
	}
	for _, entry := range k {
		if entry.marker != "revoked" {
			continue
		}
		if sameKey(entry.key, plain) || isCert && (sameKey(entry.key, cert.SignatureKey) || sameKey(entry.key, cert)) {
			return &revokedKeyError{address: address, key: entry.key, file: entry.file, line: entry.line}
		}
	}
	if isCert && k.isAuthority(address, cert.SignatureKey) {
		checker := ssh.CertChecker{IsHostAuthority: func(ssh.PublicKey, string) bool { return true }}
		// The checker wants a port and looks up the principal without it.
		if err := checker.CheckHostKey(net.JoinHostPort(hostname, "22"), nil, cert); err != nil {
			return fmt.Errorf("the host certificate of %s: %w", address, err)
		}
		return nil
	}
	known := k.keysOf(address)
	for _, entry := range known {
		if sameKey(entry.key, plain) {
			return nil
		}
	}
	if len(known) > 0 {
		return &changedKeyError{address: address, key: plain, known: offending(known, plain)}
	}
	return &unknownKeyError{address: address, key: plain}
}

// offending returns the entries of the same type as the key, or all of them when the type itself is new.
func offending(known []knownHost, key ssh.PublicKey) []knownHost {
	same := slices.DeleteFunc(slices.Clone(known), func(k knownHost) bool { return k.key.Type() != key.Type() })
	if len(same) > 0 {
		return same
	}
	return known
}

func (k knownHosts) isAuthority(address string, key ssh.PublicKey) bool {
	return slices.ContainsFunc(k, func(entry knownHost) bool {
		return entry.marker == "cert-authority" && sameKey(entry.key, key) && entry.matches(address)
	})
}

// algorithms returns the host key algorithms to ask a host for, in order. A host has several keys and shows the one
// that the client asks for first: those of known types come first, so that a host known by its ed25519 key does not
// look changed because it also has an ecdsa key. The others follow, so that a host that lost the known key is seen
// as changed and not as a failed negotiation.
func (k knownHosts) algorithms(address string) []string {
	isAuthority := func(entry knownHost) bool { return entry.marker == "cert-authority" && entry.matches(address) }
	var order []string
	if slices.ContainsFunc(k, isAuthority) {
		order = append(order, certificateAlgorithms...)
	}
	for _, entry := range k.keysOf(address) {
		if entry.key.Type() == ssh.KeyAlgoRSA {
			order = append(order, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else if slices.Contains(keyAlgorithms, entry.key.Type()) {
			order = append(order, entry.key.Type())
		}
	}
	var once []string
	for _, algorithm := range append(order, keyAlgorithms...) {
		if !slices.Contains(once, algorithm) {
			once = append(once, algorithm)
		}
	}
	return once
}

// The host key algorithms in OpenSSH's order, so that an unknown host shows the key that `ssh` would show.
var (
	keyAlgorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	certificateAlgorithms = []string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01,
		ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}
)

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// appendKnownHost adds an entry to a known_hosts file, making the file (0600) and its directory (0700) when they are
// missing.
func appendKnownHost(file, address string, key ssh.PublicKey, hash bool) error {
	name := address
	if hash {
		name = knownhosts.HashHostname(address)
	}
	line := fmt.Sprintf("%s %s", name, ssh.MarshalAuthorizedKey(key))
	if err := appendLine(file, line); err != nil {
		return fmt.Errorf("adding the key of %s to known hosts: %w", address, err)
	}
	return nil
}

// appendLine adds a line that ends in a newline in one write, after the newline that the file may lack.
func appendLine(file, line string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Close()
}
