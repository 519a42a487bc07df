package clusterconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Validate returns every rule of k0s that the config breaks and that matters
// to a control plane, joined into one error.
func (c *Config) Validate() error {
	var errs []error
	api := c.Spec.API
	if !isIP(api.Address) || isAny(api.Address) {
		errs = append(errs, fmt.Errorf("spec: api: address: Invalid value: %q: invalid IP address", api.Address))
	}
	if host := api.ExternalHost(); host != "" && (!isIPOrDNS(host) || isAny(host)) {
		errs = append(errs, fmt.Errorf("spec: api: externalAddress: Invalid value: %q: invalid IP address / DNS name", host))
	}
	for i, san := range api.SANs {
		if !isIPOrDNS(san) {
			errs = append(errs, fmt.Errorf("spec: api: sans[%d]: Invalid value: %q: invalid IP address / DNS name", i, san))
		}
	}
	for name, port := range map[string]int{"port": api.Port, "k0sApiPort": api.K0sAPIPort} {
		for _, problem := range validation.IsValidPortNum(port) {
			errs = append(errs, fmt.Errorf("spec: api: %s: Invalid value: %d: %s", name, port, problem))
		}
	}
	if lb := c.Spec.Network.NodeLocalLoadBalancing; lb != nil && lb.Enabled && api.ExternalAddress != "" {
		errs = append(errs, errors.New("spec: network: nodeLocalLoadBalancing: Forbidden: "+
			"node-local load balancing cannot be used in conjunction with an external Kubernetes API server address"))
	}
	switch c.Spec.Storage.Type {
	case "etcd", "kine":
	default:
		errs = append(errs, fmt.Errorf("spec: storage: type: Unsupported value: %q: supported values: \"etcd\", \"kine\"",
			c.Spec.Storage.Type))
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("invalid node config: %w", errors.Join(errs...))
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func isAny(s string) bool {
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.IsUnspecified()
}

func isIPOrDNS(s string) bool {
	return isIP(s) || len(validation.IsDNS1123Subdomain(strings.ToLower(s))) == 0
}
