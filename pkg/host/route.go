package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/k0sproject/rig/v2/sshconfig"
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
func (c *Connector) route(s *config.SSH) ([]hop, error) {
	parser, err := c.parser()
	if err != nil {
		return nil, err
	}
	return c.routeThrough(parser, s, maxHops)
}

func (c *Connector) routeThrough(parser *sshconfig.Parser, s *config.SSH, depth int) ([]hop, error) {
	if depth == 0 {
		return nil, fmt.Errorf("more than %d bastions on the way: look for a loop of ProxyJump in ssh_config", maxHops)
	}
	hop, cfg, err := c.resolve(parser, s)
	if err != nil {
		return nil, err
	}
	var before []*config.SSH
	switch {
	case s.Bastion != nil:
		before = append(before, s.Bastion)
	case cfg.ProxyCommand != "" && cfg.ProxyCommand != "none":
		return nil, fmt.Errorf("ssh_config has a ProxyCommand for %s, which the built-in SSH client does not run: "+
			"use openSSH: instead of ssh: in the cluster file", s.Address)
	default:
		for _, jump := range cfg.ProxyJump {
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
		through, err := c.routeThrough(parser, bastion, depth-1)
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

// parser reads ssh_config anew for each connection, as ssh does.
func (c *Connector) parser() (*sshconfig.Parser, error) {
	var parser *sshconfig.Parser
	var err error
	if c.SSHConfig == "" {
		parser, err = sshconfig.NewParser(nil)
	} else {
		f, openErr := os.Open(c.SSHConfig)
		if openErr != nil {
			return nil, fmt.Errorf("reading the SSH configuration: %w", openErr)
		}
		defer f.Close()
		parser, err = sshconfig.NewParser(f)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the SSH configuration: %w", err)
	}
	return parser, nil
}

// resolve completes a connection of the cluster file by what ssh_config says about its address. What the cluster file
// says wins. Settings that loosen the verification of host keys (StrictHostKeyChecking, VerifyHostKeyDNS,
// NoHostAuthenticationForLocalhost) are not looked at.
func (c *Connector) resolve(parser *sshconfig.Parser, s *config.SSH) (hop, *sshconfig.Config, error) {
	cfg := &sshconfig.Config{User: s.User, Host: s.Address}
	if s.Port != 0 && s.Port != 22 {
		cfg.Port = s.Port // 22 is what the cluster file's default is: ssh_config may say otherwise
	}
	if err := parser.Apply(cfg, s.Address); err != nil {
		return hop{}, nil, fmt.Errorf("reading the SSH configuration for %s: %w", s.Address, err)
	}
	h := hop{
		user:           cfg.User,
		address:        s.Address,
		port:           22,
		alias:          cfg.HostKeyAlias,
		keyPath:        s.KeyPath,
		identitiesOnly: cfg.IdentitiesOnly.IsTrue(),
		agent:          agentSocket(cfg),
		hashKnownHosts: cfg.HashKnownHosts.IsTrue(),
	}
	if cfg.Hostname != "" {
		h.address = cfg.Hostname
	}
	if cfg.Port != 0 {
		h.port = cfg.Port
	}
	if h.user == "" {
		h.user = "root"
	}
	var err error
	if s.HostKey != "" {
		if h.pinned, err = parseHostKey(s.HostKey); err != nil {
			return hop{}, nil, err
		}
	}
	if h.identities, err = expandAll(cfg.IdentityFile); err != nil {
		return hop{}, nil, err
	}
	if h.knownHosts, err = c.knownHostsFiles(cfg); err != nil {
		return hop{}, nil, err
	}
	if cfg.RevokedHostKeys != "" && cfg.RevokedHostKeys != "none" {
		if h.revokedKeys, err = expand(cfg.RevokedHostKeys); err != nil {
			return hop{}, nil, err
		}
	}
	return h, cfg, nil
}

// knownHostsFiles returns the files to verify against, the one to write first. An empty $SSH_KNOWN_HOSTS, which rig
// takes for "verify nothing", is as one that is not set.
func (c *Connector) knownHostsFiles(cfg *sshconfig.Config) ([]string, error) {
	if len(c.KnownHosts) > 0 {
		return expandAll(c.KnownHosts)
	}
	if path := os.Getenv("SSH_KNOWN_HOSTS"); path != "" {
		return expandAll([]string{path})
	}
	user := cfg.UserKnownHostsFile
	if slices.Contains(user, "none") {
		user = nil
	}
	return expandAll(slices.Concat(user, cfg.GlobalKnownHostsFile))
}

// agentSocket returns the socket of the agent to use: IdentityAgent of ssh_config, else $SSH_AUTH_SOCK.
func agentSocket(cfg *sshconfig.Config) string {
	switch {
	case string(cfg.IdentityAgent) == "none":
		return ""
	case cfg.IdentityAgent.Socket() != "":
		return cfg.IdentityAgent.Socket()
	}
	return os.Getenv("SSH_AUTH_SOCK")
}

func expandAll(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		expanded, err := expand(path)
		if err != nil {
			return nil, err
		}
		all = append(all, expanded)
	}
	return all, nil
}

// expand replaces a leading "~/".
func expand(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.Join(fmt.Errorf("expanding %s", path), err)
	}
	return filepath.Join(home, rest), nil
}
