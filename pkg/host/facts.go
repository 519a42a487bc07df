package host

import (
	"context"
	"net/netip"
	"time"
)

// Facts is what one look at a host tells about it.
type Facts struct {
	Hostname       string // short or full, as the kernel has it
	MachineID      string // /etc/machine-id; empty when there is none
	OSID           string // ID of os-release: "debian", "rhel", "alpine"
	OSName         string // PRETTY_NAME of os-release
	Kernel         string // "6.1.0-18-amd64"
	Arch           string // as k0s names its releases: amd64, arm64, arm, riscv64; else the kernel's word
	InitSystem     string // "systemd", "openrc" or empty
	PackageManager string // "apt", "dnf", "yum", "apk", "zypper", "pacman" or empty
	SELinux        string // "enforcing", "permissive", "disabled"; empty without SELinux
	Firewalld      bool   // firewalld is running

	ClockOffset      time.Duration // the host's clock minus ours
	ClockOffsetError time.Duration // the offset is right within this much: half the round trip

	Addresses    []netip.Addr              // every address but loopback and link-local ones
	Interfaces   map[string][]netip.Prefix // per interface, loopback included
	ListeningTCP map[int]string            // port → name of the process, empty when it is not known

	K0sPath    string            // the k0s executable; empty when there is none
	K0sVersion string            // what it says: "v1.36.3+k0s.2"
	Services   map[string]string // k0scontroller, k0sworker, haproxy → "active", "inactive", "failed", "absent"
	EtcdData   bool              // /var/lib/k0s/etcd/member exists

	DiskFreeBin  int64 // bytes free at /usr/local/bin
	DiskFreeData int64 // bytes free at /var/lib
	Memory       int64 // bytes of memory
}

// Facts gathers them all in one round trip.
func (h *Host) Facts(ctx context.Context) (*Facts, error) { return nil, errTODO }
