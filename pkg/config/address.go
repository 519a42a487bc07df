package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// withoutBrackets returns an IPv6 address without the brackets that URLs need and k0s does not take.
func withoutBrackets(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		if _, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return s[1 : len(s)-1]
		}
	}
	return s
}

// canonical returns the one way to write an address: shortest form for IP addresses, lower case for names.
func canonical(address string) string {
	address = withoutBrackets(address)
	if ip, err := netip.ParseAddr(address); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(address, "."))
}

// sameAddress compares addresses however they are written. Empty ones equal nothing.
func sameAddress(a, b string) bool { return a != "" && canonical(a) == canonical(b) }

// isHostName reports whether s is a name by RFC 1123.
func isHostName(s string) bool {
	const label = `[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?`
	return len(s) <= 253 && regexp.MustCompile(`^`+label+`(\.`+label+`)*\.?$`).MatchString(s)
}

// looksLikeIPv4 tells a mistyped address such as 10.10.0.256 from a name.
func looksLikeIPv4(s string) bool { return regexp.MustCompile(`^[0-9.]+$`).MatchString(s) }

// checkHost says what is wrong with an address that something can be connected to: an IP address or a name, with no
// port, and not one that means "every address".
func checkHost(address string) error {
	if ip, err := netip.ParseAddr(address); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() {
			return fmt.Errorf("%q is no machine's address: write its own IP address or name", address)
		}
		return nil
	}
	if host, port, ok := hostPort(address); ok {
		return fmt.Errorf("%q has a port: write %s here and %s where the port belongs", address, host, port)
	}
	if !isHostName(address) || looksLikeIPv4(address) {
		return fmt.Errorf("%q is neither an IP address nor a host name: correct it", address)
	}
	return nil
}

// checkPeer says what is wrong with an IP address at which other machines are to reach a host.
func checkPeer(address string) error {
	ip, err := netip.ParseAddr(address)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not an IP address: write the one that the other hosts reach this one at", address)
	case ip.Zone() != "", ip.IsLinkLocalUnicast():
		return fmt.Errorf("%q is valid on one link only: write an address that all hosts can reach", address)
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLoopback():
		return fmt.Errorf("%q cannot be reached from other hosts: write the host's address in the cluster's network", address)
	}
	return nil
}

// hostPort splits "host:port" and "[host]:port". An IPv6 address without brackets has no port.
func hostPort(s string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return "", "", false
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", "", false
	}
	return host, port, true
}
