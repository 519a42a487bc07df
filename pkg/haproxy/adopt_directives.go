package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// checkDirective sorts a directive of a section that is to be replaced: the block has its like, or it is lost, or
// it changes where connections go or who may connect, and nothing can be adopted.
func (a *adopter) checkDirective(s *section, l line) {
	words := l.directive()
	negated := len(words) < len(l.words)
	switch words[0] {
	case "server":
		a.takeServer(s, l)
	case "bind", "mode", "default_backend", "enabled", "retries", "http-check", "tcp-check", "description",
		"external-check", "load-server-state-from-file", "server-state-file-name":
	case "default-server":
		a.checkDefaultServer(s, l)
	case "option":
		if option := l.word(1); !negated {
			a.checkOption(s, l, option)
		}
	case "balance":
		if l.word(1) != DefaultBalance {
			a.lose(l, "%s (the block has what the cluster file says)", strings.Join(l.words, " "))
		}
	case "log":
		if negated || l.word(1) != "global" {
			a.lose(l, "%s", strings.Join(l.words, " "))
		}
	case "timeout", "maxconn", "fullconn", "backlog", "rate-limit", "id", "guid", "hash-type", "hash-balance-factor",
		"stick-table", "stick", "log-format", "log-format-sd", "error-log-format", "log-tag", "unique-id-format",
		"unique-id-header", "email-alert", "errorfile", "errorfiles", "errorloc", "errorloc302", "errorloc303",
		"http-error", "retry-on", "max-keep-alive-queue", "http-reuse", "compression", "declare", "clitcpka-cnt",
		"clitcpka-idle", "clitcpka-intvl", "srvtcpka-cnt", "srvtcpka-idle", "srvtcpka-intvl":
		a.lose(l, "%s", strings.Join(l.words, " "))
	case "use_backend", "use-server":
		a.refuse(l, "leave one plain default_backend", "%s sends connections by a condition: %s", s, describe(l))
	case "disabled":
		a.refuse(l, "remove the section or that line", "%s is disabled", s)
	default:
		a.refuse(l, "remove it, or leave these ports to the block", "%s has a directive that the block does not have: %s",
			s, describe(l))
	}
}

func (a *adopter) checkOption(s *section, l line, option string) {
	switch option {
	case "tcplog", "httplog", "httpslog", "dontlognull", "redispatch", "tcp-check", "httpchk", "ssl-hello-chk",
		"external-check", "forwardfor", "originalto", "http-server-close", "http-keep-alive", "httpclose":
	case "transparent":
		a.refuse(l, "remove it", "%s connects to where clients wanted to: option transparent", s)
	default:
		a.lose(l, "option %s", option)
	}
}

// checkDefaultServer looks at what holds for all servers of a section.
func (a *adopter) checkDefaultServer(s *section, l line) {
	if active := a.checkServerOptions(s, l, 1); !active {
		a.refuse(l, "say so in the server lines", "%s takes its servers out of service by default", s)
	}
}

// takeServer reads a server line of a section that is to be replaced.
func (a *adopter) takeServer(s *section, l line) {
	address, ok := parseServerAddress(l.word(2))
	if !ok {
		a.refuse(l, "write its IP address and port", "the address %s of server %s is not an IP address", l.word(2),
			l.word(1))
		return
	}
	for _, port := range a.taken[s] {
		if address.Port() != 0 && int(address.Port()) != port {
			a.refuse(l, fmt.Sprintf("use port %d on both sides", port),
				"server %s gets connections for port %d on port %d", l.word(1), port, address.Port())
		}
	}
	active := a.checkServerOptions(s, l, 3)
	i := slices.IndexFunc(a.servers, func(server *foundServer) bool { return server.Address == address.Addr() })
	if i < 0 {
		i = len(a.servers)
		name := a.freeName(l.word(1), address.Addr())
		a.servers = append(a.servers, &foundServer{Server: Server{Name: name, Address: address.Addr(), Active: active}})
	}
	server := a.servers[i]
	if slices.Contains(server.backends, s) {
		return
	}
	server.backends = append(server.backends, s)
	if server.Active != active {
		a.lose(l, "server %s is not in the same state everywhere: the block has that of line %d", l.word(1),
			server.backends[0].lines[0].number)
	}
}

// freeName returns the name, or one made of the address when another server has it.
func (a *adopter) freeName(name string, address netip.Addr) string {
	taken := func(s *foundServer) bool { return s.Name == name }
	if slices.ContainsFunc(a.servers, taken) {
		name = strings.ReplaceAll(address.String(), ":", "-")
	}
	return name
}

// checkServerOptions sorts the options of a server or default-server line from the given word on. It returns whether
// the server gets connections.
func (a *adopter) checkServerOptions(s *section, l line, from int) (active bool) {
	active = true
	for i := from; i < len(l.words); i++ {
		option := l.words[i]
		switch option {
		// How it is checked: the block checks in its own way.
		case "check", "no-check", "check-ssl", "no-check-ssl", "no-ssl", "no-send-proxy", "no-send-proxy-v2",
			"no-check-send-proxy", "no-backup", "enabled", "no-disabled", "no-verifyhost", "no-agent-check",
			"ssl-reuse", "no-ssl-reuse", "no-tls-tickets", "force-tlsv12", "force-tlsv13", "no-sslv3", "no-tlsv10",
			"no-tlsv11", "no-tlsv12", "no-tlsv13", "no-tfo":
		case "verify", "verifyhost", "ca-file", "crl-file", "crt", "check-sni", "check-alpn", "check-proto", "sni",
			"alpn", "ciphers", "ciphersuites", "ssl-min-ver", "ssl-max-ver", "inter", "fastinter", "downinter", "rise",
			"fall", "port", "addr", "init-addr", "resolvers", "resolve-opts", "resolve-net", "resolve-prefer":
			i++
		case "disabled":
			active = false
		case "weight":
			i++
			if l.word(i) == "0" {
				active = false
			}
			a.lose(l, "server option weight %s", l.word(i))
		case "backup", "tfo", "agent-check", "ssl-check":
			a.lose(l, "server option %s", option)
		case "maxconn", "minconn", "maxqueue", "slowstart", "cookie", "id", "guid", "on-error", "on-marked-down",
			"on-marked-up", "observe", "error-limit", "agent-inter", "agent-port", "agent-addr", "agent-send", "track",
			"pool-low-conn", "pool-max-conn", "pool-purge-delay", "max-reuse", "tcp-ut", "tcp-md5sig", "shard":
			i++
			a.lose(l, "server option %s %s", option, l.word(i))
		case "ssl":
			a.refuse(l, "let k0s do the TLS: use check-ssl", "%s encrypts what goes to its servers", s)
			return active
		case "send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn", "check-send-proxy":
			a.refuse(l, "remove it", "%s sends the PROXY protocol (%s), which k0s does not understand", s, option)
			return active
		default:
			a.refuse(l, "remove it, or leave these ports to the block", "%s has the server option %s, which the block "+
				"does not have", s, option)
			return active
		}
	}
	return active
}
