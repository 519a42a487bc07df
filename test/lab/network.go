package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// createNetwork makes the lab's network in the subnet that was asked for, or in the first that is free.
func createNetwork(ctx context.Context, lab string, asked netip.Prefix) (netip.Prefix, error) {
	taken, err := takenNetworks(ctx)
	if err != nil {
		return netip.Prefix{}, err
	}
	candidates := []netip.Prefix{asked}
	if !asked.IsValid() {
		candidates = defaultSubnets()
	}
	for _, subnet := range candidates {
		if overlap, ok := firstOverlap(subnet, taken); ok {
			err = fmt.Errorf("subnet %s is in use on this machine (%s): choose another one", subnet, overlap)
			continue
		}
		err = dockerMake(ctx, "network", "create", "--driver", "bridge", "--subnet", subnet.String(),
			"--label", labelLab+"="+lab, networkName(lab))
		if err == nil {
			return subnet, nil
		}
		// Another lab took the subnet a moment ago: the next one, then.
		if !strings.Contains(err.Error(), "overlaps") {
			return netip.Prefix{}, err
		}
	}
	if !asked.IsValid() {
		return netip.Prefix{}, errors.New("no subnet from 10.10.0.0/16 to 10.95.0.0/16 is free on this machine: name another one")
	}
	return netip.Prefix{}, err
}

// defaultSubnets are the guide's subnet and its successors, up to where Kubernetes's service addresses (10.96.0.0/12)
// begin.
func defaultSubnets() []netip.Prefix {
	var subnets []netip.Prefix
	for n := byte(10); n < 96; n++ {
		subnets = append(subnets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n}), 16))
	}
	return subnets
}

// takenNetworks are the networks of this machine's interfaces and of Docker.
func takenNetworks(ctx context.Context) ([]netip.Prefix, error) {
	var taken []netip.Prefix
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			taken = append(taken, prefix.Masked())
		}
	}
	ids, err := docker(ctx, nil, "network", "ls", "--quiet")
	if err != nil {
		return nil, err
	}
	format := "{{range .IPAM.Config}}{{.Subnet}}\n{{end}}"
	subnets, err := docker(ctx, nil, append([]string{"network", "inspect", "--format", format}, lines(ids)...)...)
	// A network that another lab removed meanwhile is an error for docker, which still prints the others.
	if err != nil && !strings.Contains(err.Error(), "No such network") {
		return nil, err
	}
	for _, line := range lines(subnets) {
		if prefix, err := netip.ParsePrefix(line); err == nil {
			taken = append(taken, prefix)
		}
	}
	return taken, nil
}

func firstOverlap(subnet netip.Prefix, taken []netip.Prefix) (netip.Prefix, bool) {
	for _, t := range taken {
		if t.Overlaps(subnet) {
			return t, true
		}
	}
	return netip.Prefix{}, false
}
