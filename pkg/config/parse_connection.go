package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	defaultUser    = "root"
	defaultSSHPort = 22
)

// connection reads the one connection of a host's or a load balancer host's entry.
func (p *parser) connection(f fields) Connection {
	var c Connection
	var given []value
	for _, name := range []string{"winRM", "winrm"} {
		if v := f.at(name); v.present() {
			v.fail("Windows hosts are not managed here: remove the host from this file")
			given = append(given, v)
		}
	}
	if v := f.at("ssh"); v.present() {
		c.SSH = p.ssh(v)
		given = append(given, v)
	}
	if v := f.at("openSSH"); v.present() {
		c.OpenSSH = p.openSSH(v)
		given = append(given, v)
	}
	if v := f.at("localhost"); p.localhost(v) {
		c.Localhost = true
		given = append(given, v)
	}
	switch {
	case len(given) == 0 && !f.lost:
		f.fail("no connection: write ssh, openSSH or localhost")
	case len(given) > 1:
		given[1].fail("a second connection, after the one in line %d: remove one", given[0].line)
	}
	return c
}

// localhost is true, or "enabled: true" below it.
func (p *parser) localhost(v value) bool {
	if v.present() && v.node.Kind == yaml.MappingNode {
		return v.fields("enabled").at("enabled").boolean()
	}
	return v.boolean()
}

func (p *parser) ssh(v value) *SSH {
	f := v.fields("address", "user", "port", "keyPath", "hostKey", "bastion", "options")
	if options := f.at("options"); options.present() {
		options.warn("not used here: write openSSH instead of ssh to connect with options of ssh_config")
	}
	s := &SSH{
		Address: p.sshAddress(f.at("address")),
		User:    p.user(f.at("user")),
		Port:    f.at("port").port(defaultSSHPort),
		KeyPath: p.local(f.at("keyPath")),
		HostKey: p.hostKey(f.at("hostKey")),
	}
	if s.User == "" {
		s.User = defaultUser
	}
	if bastion := f.at("bastion"); bastion.present() {
		s.Bastion = p.ssh(bastion)
	}
	return s
}

func (p *parser) sshAddress(v value) string {
	s, ok := v.required("write the host's IP address or name")
	if !ok {
		return ""
	}
	s = withoutBrackets(s)
	if err := checkHost(s); err != nil {
		v.fail("%v", err)
	}
	return s
}

func (p *parser) openSSH(v value) *OpenSSH {
	f := v.fields("address", "user", "port", "keyPath", "configPath", "options", "disableMultiplexing")
	s := &OpenSSH{
		User:                p.user(f.at("user")),
		Port:                f.at("port").port(0),
		KeyPath:             p.local(f.at("keyPath")),
		ConfigPath:          p.local(f.at("configPath")),
		Options:             p.options(f.at("options")),
		DisableMultiplexing: f.at("disableMultiplexing").boolean(),
	}
	address := f.at("address")
	text, ok := address.required("write the host's IP address, its name, or its alias in ssh_config")
	s.Address = withoutBrackets(text)
	if ok && (strings.HasPrefix(text, "-") || strings.ContainsFunc(text, isBlank)) {
		address.fail("%q is neither an address nor an alias in ssh_config: correct it", text)
	}
	return s
}

// options reads values for ssh's -o: single ones, and lists of them.
func (p *parser) options(v value) map[string]any {
	v.ask(form{kind: formMap})
	entries := v.entries()
	if len(entries) == 0 {
		return nil
	}
	options := make(map[string]any, len(entries))
	for _, e := range entries {
		if variableName(e.name) != e.name {
			e.fail("%q is no option of ssh_config: correct it", e.name)
		}
		if e.present() && e.node.Kind == yaml.MappingNode {
			e.fail("must be a single value or a list, but is %s", e.kind())
			continue
		}
		options[e.name] = e.plain()
	}
	return options
}

func (p *parser) user(v value) string {
	s := v.str()
	if s == "" {
		return ""
	}
	if err := checkUser(s); err != nil {
		v.fail("%v", err)
	}
	return s
}

func checkUser(s string) error {
	switch {
	case s == "":
		return errors.New("the user before @ is empty: write one, or remove the @")
	case strings.HasPrefix(s, "-") || strings.ContainsFunc(s, isBlank):
		return fmt.Errorf("%q is no user name: correct it", s)
	}
	return nil
}

func isBlank(r rune) bool { return r == ' ' || isControl(r) }

// hostKey reads a public key as known_hosts has it, "ssh-ed25519 AAAA…".
func (p *parser) hostKey(v value) string {
	s := v.str()
	if s == "" {
		return ""
	}
	words := strings.Fields(s)
	if len(words) >= 2 {
		if _, err := base64.StdEncoding.DecodeString(words[1]); err == nil {
			return words[0] + " " + words[1]
		}
	}
	v.fail("not a public key: write its type and its base64 text, as in known_hosts after the host's name")
	return ""
}
