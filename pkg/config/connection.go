package config

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
)

// Connection says how a machine is reached: exactly one of its fields is set.
type Connection struct {
	SSH       *SSH
	OpenSSH   *OpenSSH
	Localhost bool
}

// SSH is a connection by the built-in SSH client.
type SSH struct {
	Address string // host name or IP address, without brackets
	User    string
	Port    int
	KeyPath string // absolute after Load; empty stands for the agent's and the usual keys
	HostKey string // "ssh-ed25519 AAAA…": the only key that is accepted; empty means known_hosts
	Bastion *SSH   // the machine to go through; nil for none
}

// OpenSSH is a connection by the ssh program of the user's machine, its configuration included.
type OpenSSH struct {
	Address             string // host name, IP address or an alias of ssh_config
	User                string // empty leaves it to ssh_config
	Port                int    // 0 leaves it to ssh_config
	KeyPath             string
	ConfigPath          string
	Options             map[string]any
	DisableMultiplexing bool
}

// Address returns the address without user and port; "127.0.0.1" for localhost.
func (c Connection) Address() string {
	switch {
	case c.SSH != nil:
		return c.SSH.Address
	case c.OpenSSH != nil:
		return c.OpenSSH.Address
	case c.Localhost:
		return "127.0.0.1"
	}
	return ""
}

// String returns "user@address:port", without the parts that are left to ssh_config, or "localhost".
func (c Connection) String() string {
	switch {
	case c.SSH != nil:
		return endpoint(c.SSH.User, c.SSH.Address, c.SSH.Port)
	case c.OpenSSH != nil:
		return endpoint(c.OpenSSH.User, c.OpenSSH.Address, c.OpenSSH.Port)
	case c.Localhost:
		return "localhost"
	}
	return "no connection"
}

// key is equal for connections to the same port of the same machine.
func (c Connection) key() string {
	switch {
	case c.SSH != nil:
		key := fmt.Sprintf("%s %d", canonical(c.SSH.Address), c.SSH.Port)
		if c.SSH.Bastion != nil {
			key += " via " + Connection{SSH: c.SSH.Bastion}.key()
		}
		return key
	case c.OpenSSH != nil:
		return fmt.Sprintf("%s %d", canonical(c.OpenSSH.Address), cmp.Or(c.OpenSSH.Port, defaultSSHPort))
	}
	return c.String()
}

// addressOf returns the private address, else the connection's when it is an IP address that others can reach, else "".
func addressOf(private string, c Connection) string {
	if private != "" {
		return private
	}
	if address := canonical(c.Address()); checkPeer(address) == nil {
		return address
	}
	return ""
}

func endpoint(user, address string, port int) string {
	s := address
	if port != 0 {
		s = net.JoinHostPort(address, strconv.Itoa(port))
	}
	if user != "" {
		s = user + "@" + s
	}
	return s
}
