package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
)

// Flavour says what a host has installed when it starts.
type Flavour string

// The flavours of host.
const (
	// Bare is a server as its provider hands it over. HAProxy is not installed, but apt-get finds it offline.
	Bare Flavour = "bare"
	// HAProxy is a server on which Debian's HAProxy runs with the configuration that the package ships.
	HAProxy Flavour = "haproxy"
	// K0s is a bare server that has a k0s executable, as where an image of a provider's hosts brings it; it does not run.
	K0s Flavour = "k0s"
)

// HostSpec describes a host of a lab.
type HostSpec struct {
	// Name is the host's hostname.
	Name string
	// Octets are the last two octets of the host's address; the first two are the lab's.
	Octets [2]byte
	// Flavour is Bare when empty.
	Flavour Flavour
	// Private hides the host from this machine: only other hosts of the lab reach it, so that SSH needs one of
	// them as its bastion.
	Private bool
}

// Config describes a lab.
type Config struct {
	// Name tells this lab from others on the machine: lower-case letters, digits and dashes, 30 at most.
	Name string
	// Subnet is the lab's /16. The zero value takes the first that is free among 10.10.0.0/16 to 10.95.0.0/16.
	Subnet netip.Prefix
	// Hosts has at least one host; names and addresses are unique.
	Hosts []HostSpec
	// Executable is the file that hosts of the flavour K0s have as /usr/local/bin/k0s.
	Executable string
	// StateDir is the folder of all labs' state; empty means DefaultStateDir.
	StateDir string
	// Log receives what takes long (the image's build) and is discarded when nil.
	Log io.Writer
}

const maxNameLength = 30

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func validName(name string) error {
	if len(name) > maxNameLength || !namePattern.MatchString(name) {
		return fmt.Errorf("lab name %q: use lower-case letters, digits and dashes, %d at most", name, maxNameLength)
	}
	return nil
}

// validate reports every mistake of the configuration at once.
func (c Config) validate() error {
	errs := []error{validName(c.Name)}
	if c.Subnet.IsValid() && (!c.Subnet.Addr().Is4() || c.Subnet.Bits() != 16 || c.Subnet != c.Subnet.Masked()) {
		errs = append(errs, fmt.Errorf("subnet %s: a lab has a whole IPv4 /16, such as 10.11.0.0/16", c.Subnet))
	}
	if len(c.Hosts) == 0 {
		errs = append(errs, errors.New("a lab has at least one host"))
	}
	names, octets := map[string]bool{}, map[[2]byte]string{}
	for _, h := range c.Hosts {
		errs = append(errs, h.validate())
		if h.Flavour == K0s && c.Executable == "" {
			errs = append(errs, fmt.Errorf("host %s: flavour %s: the configuration names no executable", h.Name, K0s))
		}
		if names[h.Name] {
			errs = append(errs, fmt.Errorf("host %s: the name is there twice", h.Name))
		}
		if other, taken := octets[h.Octets]; taken {
			errs = append(errs, fmt.Errorf("host %s: has the address of host %s", h.Name, other))
		}
		names[h.Name], octets[h.Octets] = true, h.Name
	}
	return errors.Join(errs...)
}

func (h HostSpec) validate() error {
	var errs []error
	if len(h.Name) > maxNameLength || !namePattern.MatchString(h.Name) {
		errs = append(errs, fmt.Errorf("host name %q: use lower-case letters, digits and dashes, %d at most", h.Name, maxNameLength))
	}
	switch h.Octets {
	case [2]byte{0, 0}, [2]byte{0, 1}, [2]byte{255, 255}:
		errs = append(errs, fmt.Errorf("host %s: octets %d.%d are the network's own", h.Name, h.Octets[0], h.Octets[1]))
	}
	switch h.Flavour {
	case "", Bare, HAProxy, K0s:
	default:
		errs = append(errs, fmt.Errorf("host %s: flavour %q: use %s, %s or %s", h.Name, h.Flavour, Bare, HAProxy, K0s))
	}
	return errors.Join(errs...)
}

// address is the host's address in a lab's subnet.
func (h HostSpec) address(subnet netip.Prefix) netip.Addr {
	a := subnet.Addr().As4()
	a[2], a[3] = h.Octets[0], h.Octets[1]
	return netip.AddrFrom4(a)
}
