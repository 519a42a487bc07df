package component

import (
	"net/netip"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

func boolean(b bool) string { return strconv.FormatBool(b) }

// nodeMask is the size of a node's part of the pod network.
func nodeMask(podCIDR string) string {
	if prefix, err := netip.ParsePrefix(podCIDR); err == nil && prefix.Addr().Is6() {
		return "117"
	}
	return "24"
}
