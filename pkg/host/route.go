package host

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// hop is one SSH server on the way to a host, with all that ssh_config says about it.
type hop struct {
	user    string
	address string // host name or IP address, without brackets
	port    int
	alias   string // HostKeyAlias of ssh_config

	keyPath        string   // named by the cluster file: the only key that is used
	identities     []string // else the identity files of ssh_config, or the usual ones
	identitiesOnly bool
	agent          string // socket of the agent; empty for none

	pinned         ssh.PublicKey // hostKey of the cluster file
	knownHosts     []string
	hashKnownHosts bool
	revokedKeys    string // file; empty for none
}

func (h hop) portString() string { return strconv.Itoa(h.port) }

// String returns "user@address:port".
func (h hop) String() string { return h.user + "@" + net.JoinHostPort(h.address, h.portString()) }

// maxHops bounds chains of bastions, so that a ProxyJump loop in ssh_config ends.
const maxHops = 8

// route returns the hops to a host, bastions first. An explicit bastion wins over ssh_config's ProxyJump.
func (c *Connector) route(ctx context.Context, s *config.SSH) ([]hop, error) {
	return c.routeThrough(ctx, s, maxHops)
}

func (c *Connector) routeThrough(ctx context.Context, s *config.SSH, depth int) ([]hop, error) {
	if depth == 0 {
		return nil, fmt.Errorf("more than %d bastions on the way: look for a loop of ProxyJump in ssh_config", maxHops)
	}
	settings, err := c.settings(ctx, s)
	if err != nil {
		return nil, err
	}
	hop, err := c.resolve(s, settings)
	if err != nil {
		return nil, err
	}
	var before []*config.SSH
	switch {
	case s.Bastion != nil:
		before = append(before, s.Bastion)
	case settings.last("proxycommand", "none") != "none":
		return nil, fmt.Errorf("ssh_config has a ProxyCommand for %s, which the built-in SSH client does not run: "+
			"use openSSH: instead of ssh: in the cluster file", s.Address)
	default:
		for jump := range strings.SplitSeq(settings.last("proxyjump", ""), ",") {
			if jump == "" || jump == "none" {
				continue
			}
			bastion, err := parseJump(jump, hop.user)
			if err != nil {
				return nil, err
			}
			before = append(before, bastion)
		}
	}
	var hops []hopList
	for _, bastion := range before {
		through, err := c.routeThrough(ctx, bastion, depth-1)
		if err != nil {
			return nil, fmt.Errorf("bastion %s: %w", bastion.Address, err)
		}
		hops = append(hops, through)
	}
	return append(slices.Concat(hops...), hop), nil
}

type hopList = []hop

// parseJump reads one word of ProxyJump: [ssh://][user@]host[:port].
func parseJump(jump, user string) (*config.SSH, error) {
	s := &config.SSH{User: user}
	rest := strings.TrimSuffix(strings.TrimPrefix(jump, "ssh://"), "/")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		s.User, rest = rest[:at], rest[at+1:]
	}
	s.Address = strings.Trim(rest, "[]")
	if host, port, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("reading ProxyJump %q: port %q is no number", jump, port)
		}
		s.Address, s.Port = host, int(n)
	}
	if s.Address == "" {
		return nil, fmt.Errorf("reading ProxyJump %q: no host", jump)
	}
	return s, nil
}

// resolve completes a connection of the cluster file by what ssh_config says about its address. What the cluster file
// says wins. Settings that loosen the verification of host keys (StrictHostKeyChecking, VerifyHostKeyDNS,
// NoHostAuthenticationForLocalhost) are not looked at.
func (c *Connector) resolve(s *config.SSH, settings sshSettings) (hop, error) {
	h := hop{
		user:           settings.last("user", "root"),
		address:        settings.last("hostname", s.Address),
		alias:          settings.last("hostkeyalias", ""),
		keyPath:        s.KeyPath,
		identitiesOnly: settings.last("identitiesonly", "no") == "yes",
		agent:          settings.agentSocket(),
		hashKnownHosts: settings.last("hashknownhosts", "no") == "yes",
	}
	if s.User != "" {
		h.user = s.User
	}
	var err error
	if h.port, err = strconv.Atoi(settings.last("port", "22")); err != nil {
		return hop{}, fmt.Errorf("reading the SSH configuration for %s: port: %w", s.Address, err)
	}
	if s.HostKey != "" {
		if h.pinned, err = parseHostKey(s.HostKey); err != nil {
			return hop{}, err
		}
	}
	if h.identities, err = expandAll(settings.all("identityfile")); err != nil {
		return hop{}, err
	}
	if h.knownHosts, err = c.knownHostsFiles(settings); err != nil {
		return hop{}, err
	}
	if revoked := settings.last("revokedhostkeys", "none"); revoked != "none" {
		if h.revokedKeys, err = expand(revoked); err != nil {
			return hop{}, err
		}
	}
	return h, nil
}
