package syncer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of the Options.
const (
	DefaultListen         = ":8080"
	DefaultSSHFolder      = "/etc/ha-syncer/ssh"
	DefaultServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"
	DefaultAPIPort        = 6443
	DefaultAPIServerName  = "kubernetes"
	DefaultResync         = 10 * time.Second
	DefaultDebounce       = 20 * time.Millisecond
)

// Options of a syncer, as its flags give them.
type Options struct {
	LoadBalancers []LoadBalancer
	// SSHKey and KnownHosts are files of the Secret.
	SSHKey, KnownHosts string
	// ServiceAccount is the folder with token, CA and namespace.
	ServiceAccount string
	// Namespace and Identity are the pod's own; by default, what ServiceAccount says and the host's name.
	Namespace, Identity string
	// APIServers are addresses to begin with; the others are learned.
	APIServers []netip.Addr
	APIPort    int
	// APIServerName is a name that every API server's certificate has.
	APIServerName string
	Family        Family
	Listen        string
	// Resync is how often every HAProxy is looked at, Debounce how long events are gathered.
	Resync, Debounce time.Duration
	Log              *slog.Logger
}

// LoadBalancer is an HAProxy host.
type LoadBalancer struct {
	User string
	// Address is "host:port" of its SSH server.
	Address string
}

func (l LoadBalancer) String() string { return l.User + "@" + l.Address }

// key is its name in a ConfigMap and in the queue.
func (l LoadBalancer) key() string {
	return strings.NewReplacer(":", "_", "[", "", "]", "", "%", "_").Replace(l.Address)
}

// ParseLoadBalancer reads [USER@]HOST[:PORT].
func ParseLoadBalancer(text string) (LoadBalancer, error) {
	user, host, found := strings.Cut(text, "@")
	if !found {
		user, host = "root", text
	}
	port := "22"
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || user == "" || host == "" || strings.ContainsAny(host, "@/ ") {
		return LoadBalancer{}, fmt.Errorf("%q is no load balancer: write [USER@]HOST[:PORT]", text)
	}
	return LoadBalancer{User: user, Address: net.JoinHostPort(host, port)}, nil
}

// ParseLoadBalancers reads several, separated by commas.
func ParseLoadBalancers(text string) ([]LoadBalancer, error) {
	var all []LoadBalancer
	for _, part := range fieldsOf(text) {
		lb, err := ParseLoadBalancer(part)
		if err != nil {
			return nil, err
		}
		all = append(all, lb)
	}
	return all, nil
}

// ParseAddresses reads several IP addresses, separated by commas.
func ParseAddresses(text string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, part := range fieldsOf(text) {
		address, err := netip.ParseAddr(part)
		if err != nil {
			return nil, fmt.Errorf("%q is no IP address", part)
		}
		all = append(all, address.Unmap())
	}
	return all, nil
}

func fieldsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
}

// Complete fills what is empty from the pod's surroundings.
func (o *Options) Complete() error {
	if o.Namespace == "" {
		namespace, err := os.ReadFile(filepath.Join(o.ServiceAccount, "namespace"))
		if err != nil {
			return fmt.Errorf("finding the namespace: %w: give --namespace", err)
		}
		o.Namespace = strings.TrimSpace(string(namespace))
	}
	if o.Identity == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("finding an identity: %w: give --identity", err)
		}
		o.Identity = name
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Validate says everything that is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.LoadBalancers) == 0 {
		problem("--load-balancers: name at least one")
	}
	keys := map[string]bool{}
	for _, lb := range o.LoadBalancers {
		if keys[lb.key()] {
			problem("--load-balancers: %s is named twice", lb.Address)
		}
		keys[lb.key()] = true
	}
	if o.APIPort < 1 || o.APIPort > 65535 {
		problem("--api-port: %d is no port", o.APIPort)
	}
	if !slices.Contains([]Family{AnyFamily, IPv4, IPv6}, o.Family) {
		problem("--address-family: %q is none of any, ipv4 and ipv6", o.Family)
	}
	if o.Resync < time.Second {
		problem("--resync: %s is too often: give at least 1s", o.Resync)
	}
	if o.Debounce < 0 || o.Debounce > o.Resync {
		problem("--debounce: %s is not within 0s and --resync", o.Debounce)
	}
	return errors.Join(errs...)
}
