package config

import (
	"cmp"
	"fmt"
	"strings"
)

// targetForm is how a host is named on the command line.
const targetForm = "write [USER@]HOST[:PORT]"

// parseTarget reads [USER@]HOST[:PORT]; an IPv6 address with a port stands in brackets. What is not given is empty.
func parseTarget(text string) (*SSH, error) {
	target := &SSH{Address: text}
	if user, rest, found := cutLast(text, "@"); found {
		if err := checkUser(user); err != nil {
			return nil, err
		}
		target.User, target.Address = user, rest
	}
	if host, port, ok := hostPort(target.Address); ok {
		target.Address = host
		if _, err := fmt.Sscanf(port, "%d", &target.Port); err != nil || target.Port == 0 {
			return nil, fmt.Errorf("port %s is out of range: %s", port, targetForm)
		}
	}
	target.Address = withoutBrackets(target.Address)
	if err := checkHost(target.Address); err != nil {
		return nil, fmt.Errorf("%w; %s", err, targetForm)
	}
	return target, nil
}

// CheckTarget says what is wrong with a host on the command line, which is to be [USER@]HOST[:PORT].
func CheckTarget(text string) error {
	if _, err := parseTarget(text); err != nil {
		return fmt.Errorf("host %q: %w", text, err)
	}
	return nil
}

// Find returns the host that [USER@]HOST[:PORT] names, by the address of its connection, its privateAddress or its
// hostname; nil when there is none. A port that is given tells hosts of one address apart.
func (c *Cluster) Find(target string) *Host {
	wanted, err := parseTarget(target)
	if err != nil {
		return nil
	}
	for _, h := range c.Hosts {
		named := sameAddress(wanted.Address, h.Conn.Address()) || sameAddress(wanted.Address, h.PrivateAddress) ||
			strings.EqualFold(wanted.Address, h.Hostname)
		if named && (wanted.Port == 0 || wanted.Port == h.Conn.port()) {
			return h
		}
	}
	return nil
}

// port is where sshd listens, as far as the file tells.
func (c Connection) port() int {
	switch {
	case c.SSH != nil:
		return c.SSH.Port
	case c.OpenSSH != nil:
		return cmp.Or(c.OpenSSH.Port, defaultSSHPort)
	}
	return 0
}
