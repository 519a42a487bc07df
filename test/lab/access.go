package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// hostKeys are what a host's sshd proves itself with, and the public key of the one client it lets in.
type hostKeys struct {
	ed25519, ecdsa keyPair
	client         []byte
}

func hostKeyFile(dir, host, kind string) string { return filepath.Join(dir, "hosts", host, kind) }

// writeKeys makes all keys of a lab, its known_hosts and its ssh_config.
func (r record) writeKeys(dir string) error {
	client, err := newEd25519("kubectl-ha-lab-" + r.Name)
	if err != nil {
		return err
	}
	errs := []error{
		writePrivate(filepath.Join(dir, keyFile), client.private),
		writePrivate(filepath.Join(dir, keyFile+".pub"), client.public),
	}
	var known []byte
	for _, h := range r.Hosts {
		ed25519, err := newEd25519("root@" + h.Name)
		if err != nil {
			return err
		}
		ecdsa, err := newECDSA("root@" + h.Name)
		if err != nil {
			return err
		}
		for kind, pair := range map[string]keyPair{"ed25519": ed25519, "ecdsa": ecdsa} {
			path := hostKeyFile(dir, h.Name, kind)
			errs = append(errs, writePrivate(path, pair.private), writePrivate(path+".pub", pair.public))
		}
		fields := strings.Fields(string(ed25519.public))
		known = fmt.Appendf(known, "%s %s %s\n", h.Address, fields[0], fields[1])
	}
	errs = append(errs,
		writePrivate(filepath.Join(dir, knownHostsFile), known),
		writePrivate(filepath.Join(dir, sshConfigFile), r.sshConfig(dir)))
	return errors.Join(errs...)
}

func readKeys(dir, host string) (hostKeys, error) {
	var keys hostKeys
	var errs []error
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		errs = append(errs, err)
		return data
	}
	pair := func(kind string) keyPair {
		path := hostKeyFile(dir, host, kind)
		return keyPair{private: read(path), public: read(path + ".pub")}
	}
	keys.ed25519, keys.ecdsa = pair("ed25519"), pair("ecdsa")
	keys.client = read(filepath.Join(dir, keyFile+".pub"))
	if err := errors.Join(errs...); err != nil {
		return keys, fmt.Errorf("reading the keys of host %s: %w", host, err)
	}
	return keys, nil
}

// sshConfig is OpenSSH's configuration for the lab: a private host is reached through the first that is not.
func (r record) sshConfig(dir string) []byte {
	var jump string
	for _, h := range r.Hosts {
		if !h.Private {
			jump = h.Name
			break
		}
	}
	var out []byte
	for _, h := range r.Hosts {
		out = fmt.Appendf(out, "Host %s %s\n    HostName %s\n", h.Name, h.Address, h.Address)
		if h.Private && jump != "" {
			out = fmt.Appendf(out, "    ProxyJump %s\n", jump)
		}
	}
	return fmt.Appendf(out, `Host *
    User root
    IdentityFile %q
    IdentitiesOnly yes
    UserKnownHostsFile %q
    StrictHostKeyChecking yes
`, filepath.Join(dir, keyFile), filepath.Join(dir, knownHostsFile))
}
