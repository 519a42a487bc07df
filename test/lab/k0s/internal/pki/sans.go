package pki

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
)

// ServerHosts are the names and addresses of a controller's API server
// certificate: the service's names, loopback, the external address, the host's
// own address, spec.api.sans, every local address and the service's address.
func ServerHosts(config *clusterconfig.Config, local []string) ([]string, error) {
	domain := config.Spec.Network.ClusterDomain
	hosts := []string{
		"kubernetes",
		"kubernetes.default",
		"kubernetes.default.svc",
		"kubernetes.default.svc." + domain,
		"kubernetes.default.svc." + domain + ".",
		"localhost",
		"127.0.0.1",
	}
	if external := config.Spec.API.ExternalHost(); external != "" {
		hosts = append(hosts, external)
	}
	hosts = append(hosts, config.Spec.API.Address)
	hosts = append(hosts, config.Spec.API.SANs...)
	hosts = append(hosts, local...)
	service, err := config.Spec.Network.ServiceAddress()
	if err != nil {
		return nil, err
	}
	return unique(append(hosts, service.String())), nil
}

// LocalAddresses are the addresses of this host's interfaces and those that
// its name resolves to.
func LocalAddresses(ctx context.Context) ([]string, error) {
	var local []string
	names := []string{"localhost"}
	if hostname, err := os.Hostname(); err == nil {
		names = append(names, hostname)
	}
	for _, name := range names {
		// A host need not be able to resolve its own name.
		found, err := net.DefaultResolver.LookupIPAddr(ctx, name)
		if err != nil {
			continue
		}
		for _, address := range found {
			local = append(local, address.IP.String())
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this host's addresses: %w", err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok {
			local = append(local, network.IP.String())
		}
	}
	return local, nil
}

func unique(in []string) []string {
	seen := make(map[string]bool, len(in))
	var out []string
	for _, s := range in {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
