package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// privileges says how much of the machine a host's container is given.
type privileges string

const (
	// privileged is docker's own --privileged.
	privileged privileges = "privileged"
	// capabilities is the explicit list, for machines where Docker itself lacks a capability (CAP_SYS_RESOURCE in
	// many virtual machines), so that --privileged fails.
	capabilities privileges = "capabilities"
)

// capabilityList is every capability that Docker 20.10 knows, but for SYS_RESOURCE.
const capabilityList = "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER " +
	"FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE " +
	"NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT " +
	"SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM"

// flags are the arguments of docker create that give a container these privileges.
func (p privileges) flags() []string {
	if p == privileged {
		return []string{"--privileged"}
	}
	var flags []string
	for name := range strings.FieldsSeq(capabilityList) {
		flags = append(flags, "--cap-add", name)
	}
	for _, option := range []string{"seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"} {
		flags = append(flags, "--security-opt", option)
	}
	for _, device := range []string{"/dev/kmsg", "/dev/fuse"} {
		if _, err := os.Stat(device); err == nil {
			flags = append(flags, "--device", device)
		}
	}
	return flags
}

// findPrivileges tries --privileged first and remembers, per Docker, which of the two works.
func findPrivileges(ctx context.Context, stateDir, image string) (privileges, error) {
	daemon, err := docker(ctx, nil, "info", "--format", "{{.ID}}")
	if err != nil {
		return "", err
	}
	sum := hex.EncodeToString([]byte(daemon))
	path := filepath.Join(stateDir, "privileges-"+sum[:min(len(sum), 40)])
	if known, err := os.ReadFile(path); err == nil {
		return privileges(known), nil
	}
	var errs []error
	for _, p := range []privileges{privileged, capabilities} {
		args := append([]string{"run", "--rm", "--network", "none", "--label", labelLab + "=probe"}, p.flags()...)
		if err := dockerMake(ctx, append(args, image, "/bin/true")...); err != nil {
			errs = append(errs, fmt.Errorf("with %s: %w", p, err))
			continue
		}
		return p, writePrivate(path, []byte(p))
	}
	return "", fmt.Errorf("docker gives a container neither --privileged nor the capabilities a host needs: %w", errors.Join(errs...))
}

// createArgs are the arguments of docker create for a host.
func (r record) createArgs(h hostRecord) []string {
	args := []string{"create",
		"--name", containerName(r.Name, h.Name), "--hostname", h.Name,
		"--network", networkName(r.Name), "--ip", h.Address.String(),
		"--label", labelLab + "=" + r.Name, "--label", labelHost + "=" + h.Name,
		"--cgroupns", "private", "--tmpfs", "/run:exec", "--env", "container=docker",
		// k0s keeps containerd's layers here, which an overlay file system cannot hold.
		"--volume", "/var/lib/k0s",
	}
	if _, err := os.Stat("/lib/modules"); err == nil {
		args = append(args, "--volume", "/lib/modules:/lib/modules:ro")
	}
	return append(append(args, r.Privileges.flags()...), h.Image)
}

func containerName(lab, host string) string { return "kubectl-ha-" + lab + "-" + host }

func networkName(lab string) string { return "kubectl-ha-" + lab }

// gateway is this machine's address in the lab's network.
func (r record) gateway() netip.Addr { return r.Subnet.Addr().Next() }

// podSubnet is the pods' subnet on the nth host of a lab, from 0, for a cluster without a network add-on of its own.
func podSubnet(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(n), 0}), 24)
}

// hostFiles are the files that tell one host from another, as a tar archive of the root folder.
func (r record) hostFiles(h hostRecord, keys hostKeys) ([]byte, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("making a machine id: %w", err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(path string, mode int64, data []byte) error { return writeTarFile(w, path, data, mode) }
	err := errors.Join(
		add("etc/machine-id", 0o444, fmt.Appendf(nil, "%x\n", id)),
		add("etc/ssh/ssh_host_ed25519_key", 0o600, keys.ed25519.private),
		add("etc/ssh/ssh_host_ed25519_key.pub", 0o644, keys.ed25519.public),
		add("etc/ssh/ssh_host_ecdsa_key", 0o600, keys.ecdsa.private),
		add("etc/ssh/ssh_host_ecdsa_key.pub", 0o644, keys.ecdsa.public),
		add("etc/lab/authorized_keys", 0o644, keys.client),
		add("etc/lab/routes", 0o644, r.routes(h)),
		add("etc/cni/net.d/99-lab.conflist", 0o644, fmt.Appendf(nil, conflist, podSubnet(r.index(h)))),
	)
	if h.Private {
		err = errors.Join(err, add("etc/lab/private", 0o644, fmt.Appendln(nil, r.gateway())))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("packing the files of host %s: %w", h.Name, err)
	}
	return out.Bytes(), nil
}

func (r record) index(h hostRecord) int {
	for i := range r.Hosts {
		if r.Hosts[i].Name == h.Name {
			return i
		}
	}
	return -1
}

// routes lists the pods' subnets of the other hosts, each with the host's address.
func (r record) routes(h hostRecord) []byte {
	var out []byte
	for i, other := range r.Hosts {
		if other.Name != h.Name {
			out = fmt.Appendf(out, "%s %s\n", podSubnet(i), other.Address)
		}
	}
	return out
}

// conflist is a pod network for hosts whose cluster brings none; a real network add-on's file sorts before it.
const conflist = `{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
