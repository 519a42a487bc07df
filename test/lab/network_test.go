package lab

import (
	"net/netip"
	"slices"
	"testing"
)

func TestDefaultSubnetsKeepOutOfKubernetesServiceAddresses(t *testing.T) {
	subnets := defaultSubnets()
	if subnets[0].String() != "10.10.0.0/16" {
		t.Errorf("the first is %s", subnets[0])
	}
	services, pods := netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("10.244.0.0/16")
	for _, s := range subnets {
		if s.Overlaps(services) || s.Overlaps(pods) {
			t.Errorf("%s is Kubernetes's", s)
		}
	}
}

func TestOverlapIsFoundInBothDirections(t *testing.T) {
	taken := []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("10.11.3.0/24"), netip.MustParsePrefix("10.64.0.0/10")}
	for subnet, want := range map[string]string{"10.10.0.0/16": "", "10.11.0.0/16": "10.11.3.0/24", "10.70.0.0/16": "10.64.0.0/10"} {
		got, found := firstOverlap(netip.MustParsePrefix(subnet), taken)
		if found != (want != "") || found && got.String() != want {
			t.Errorf("%s: got %s %v, want %q", subnet, got, found, want)
		}
	}
}

func TestMountsBelowAFolderAreListedInnermostFirst(t *testing.T) {
	mounts := "proc /proc proc rw 0 0\n" +
		"proc /c/debootstrap-1/proc proc rw 0 0\n" +
		"sysfs /c/debootstrap-1/sys sysfs rw 0 0\n" +
		"tmpfs /c/debootstrap-1/sys/fs tmpfs rw 0 0\n" +
		"proc /c/debootstrap-12/proc proc rw 0 0\n"
	got := mountsUnder([]byte(mounts), "/c/debootstrap-1")
	want := []string{"/c/debootstrap-1/sys/fs", "/c/debootstrap-1/sys", "/c/debootstrap-1/proc"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestContainersNeverAskForTheCapabilityThatMachinesLack(t *testing.T) {
	if slices.Contains(capabilities.flags(), "SYS_RESOURCE") || !slices.Contains(capabilities.flags(), "NET_ADMIN") {
		t.Error(capabilities.flags())
	}
	if got := privileged.flags(); !slices.Equal(got, []string{"--privileged"}) {
		t.Error(got)
	}
}
