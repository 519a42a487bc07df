package host

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Facts is what one look at a host tells about it. What could not be found out is empty.
type Facts struct {
	Hostname       string // as the kernel has it
	MachineID      string // /etc/machine-id
	OSID           string // ID of os-release: "debian", "rhel", "alpine"
	OSName         string // PRETTY_NAME of os-release
	Kernel         string // "6.1.0-18-amd64"
	Arch           string // as k0s names its releases: amd64, arm64, arm, riscv64; else the kernel's word
	InitSystem     string // "systemd" or "openrc"
	PackageManager string // "apt", "dnf", "yum", "apk", "zypper" or "pacman"
	SELinux        string // "enforcing", "permissive" or "disabled"
	Firewalld      bool   // firewalld runs
	Sudo           bool   // root by sudo, not by login
	Socat          bool   // socat is there

	ClockOffset      time.Duration // the host's clock minus ours
	ClockOffsetError time.Duration // the offset is right within this: half of the round trip, half a second for coarse clocks

	Addresses    []netip.Addr              // of all interfaces, without loopback and link-local ones
	Interfaces   map[string][]netip.Prefix // the same per interface
	ListeningTCP map[int]string            // port → name of the process; empty when it is not known

	K0sPath    string            // the k0s executable
	K0sVersion string            // what it says: "v1.36.3+k0s.2"
	Services   map[string]string // k0scontroller, k0sworker, haproxy → "active", "inactive", "failed", …; none if absent
	EtcdData   bool              // /var/lib/k0s/etcd/member exists

	DiskFreeBin  int64 // bytes free at /usr/local/bin
	DiskFreeData int64 // bytes free at /var/lib
	Memory       int64 // bytes of memory
}

//go:embed facts.sh
var factsScript []byte

// Facts finds them all out in one round trip.
func (h *Host) Facts(ctx context.Context) (*Facts, error) {
	var stdout bytes.Buffer
	clock := &firstWrite{w: &stdout}
	asked := time.Now()
	// The script goes by stdin, so that sudo's log does not get all of it each time.
	if err := h.Stream(ctx, "sh -s", bytes.NewReader(factsScript), clock); err != nil {
		return nil, fmt.Errorf("finding out about %s: %w", h.name, ofScript(err))
	}
	facts, hostClock, err := parseFacts(stdout.String())
	if err != nil {
		return nil, fmt.Errorf("finding out about %s: %w", h.name, err)
	}
	facts.Sudo = h.elevate != ""
	facts.ClockOffset, facts.ClockOffsetError = hostClock.offset(asked, clock.at)
	return facts, nil
}

// reading is what a host's clock showed, and how exactly.
type reading struct {
	at     time.Time
	within time.Duration
}

// offset compares the reading, taken at some moment between asking and the answer, with our clock at the middle.
func (r reading) offset(asked, answered time.Time) (offset, within time.Duration) {
	half := answered.Sub(asked) / 2
	return r.at.Sub(asked.Add(half)), half + r.within
}

// firstWrite notes when the first output comes, which is the host's clock.
type firstWrite struct {
	w  *bytes.Buffer
	at time.Time
}

func (f *firstWrite) Write(p []byte) (int, error) {
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return f.w.Write(p)
}

// parseFacts reads what facts.sh prints, and the host's clock.
func parseFacts(output string) (*Facts, reading, error) {
	f := &Facts{
		Interfaces:   map[string][]netip.Prefix{},
		ListeningTCP: map[int]string{},
		Services:     map[string]string{},
	}
	var clock reading
	complete := false
	for line := range strings.Lines(output) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "clock":
			clock = parseClock(value)
		case "hostname":
			f.Hostname = value
		case "machine-id":
			f.MachineID = value
		case "os-id":
			f.OSID = value
		case "os-name":
			f.OSName = value
		case "kernel":
			f.Kernel = value
		case "machine":
			f.Arch = arch(value)
		case "init":
			f.InitSystem = value
		case "packages":
			f.PackageManager = value
		case "selinux":
			f.SELinux = value
		case "firewalld":
			f.Firewalld = value == "running"
		case "socat":
			f.Socat = true
		case "address":
			f.addAddress(value)
		case "listen":
			local, process, _ := strings.Cut(value, " ")
			f.addListener(portOf(local, 10), process)
		case "listen-hex":
			local, process, _ := strings.Cut(value, " ")
			f.addListener(portOf(local, 16), process)
		case "k0s-path":
			f.K0sPath = value
		case "k0s-version":
			f.K0sVersion = value
		case "etcd-data":
			f.EtcdData = true
		case "service":
			name, state, _ := strings.Cut(value, " ")
			f.Services[name] = state
		case "free-bin":
			f.DiskFreeBin = kilobytes(value)
		case "free-data":
			f.DiskFreeData = kilobytes(value)
		case "memory":
			f.Memory = kilobytes(value)
		case "end":
			complete = true
		}
	}
	if !complete || clock.at.IsZero() {
		return nil, reading{}, errors.New("its answer is not complete: is /bin/sh a POSIX shell there?")
	}
	slices.SortFunc(f.Addresses, netip.Addr.Compare)
	f.Addresses = slices.Compact(f.Addresses)
	return f, clock, nil
}

// arch names a machine as k0s names its releases.
func arch(machine string) string {
	switch machine {
	case "x86_64", "amd64":
		return "amd64"
	case "aarch64", "arm64", "armv8l":
		return "arm64"
	case "armv7l", "armv7", "armhf", "arm":
		return "arm"
	}
	return machine
}

// parseClock reads seconds since 1970 with or without a fraction; the zero time when it is neither.
func parseClock(s string) reading {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return reading{}
	}
	if fraction == "" {
		return reading{at: time.Unix(seconds, 0).Add(time.Second / 2), within: time.Second / 2}
	}
	nanoseconds, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		return reading{}
	}
	return reading{at: time.Unix(seconds, nanoseconds)}
}

// addAddress takes "eth0 10.10.0.2/16". An interface may be written "eth0@if5".
func (f *Facts) addAddress(value string) {
	name, address, _ := strings.Cut(value, " ")
	name, _, _ = strings.Cut(name, "@")
	if !strings.Contains(address, "/") {
		address += "/32" // point-to-point interfaces have no prefix
	}
	prefix, err := netip.ParsePrefix(address)
	if err != nil || prefix.Addr().IsLoopback() || prefix.Addr().IsLinkLocalUnicast() {
		return
	}
	f.Interfaces[name] = append(f.Interfaces[name], prefix)
	f.Addresses = append(f.Addresses, prefix.Addr())
}

// addListener keeps the name of a process when one of several sockets on a port has it.
func (f *Facts) addListener(port int, process string) {
	if port == 0 || process == "" && f.ListeningTCP[port] != "" {
		return
	}
	f.ListeningTCP[port] = process
}

// portOf takes the port from "10.0.0.1:6443", "[::]:22", "*:80" or the kernel's "0100007F:192B"; 0 when there is none.
func portOf(local string, base int) int {
	port, err := strconv.ParseUint(local[strings.LastIndex(local, ":")+1:], base, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// kilobytes returns bytes; 0 when it is no number.
func kilobytes(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
