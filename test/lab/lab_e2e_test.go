//go:build e2e

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// up makes a lab for a test and takes it down afterwards.
func up(t *testing.T, config Config) *Lab {
	t.Helper()
	config.Log = t.Output()
	start := time.Now()
	l, err := Up(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Logf("lab %s: %d hosts on %s after %.1f s, %s", l.Name(), len(l.Hosts()), l.Subnet(), time.Since(start).Seconds(), l.Privileges())
	return l
}

func host(t *testing.T, l *Lab, name string) *Host {
	t.Helper()
	h, err := l.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func output(t *testing.T, h *Host, command string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), command, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// login opens an SSH connection, from this machine or from the host that via is connected to.
func login(l *Lab, h *Host, user string, via *ssh.Client) (*ssh.Client, error) {
	key, err := os.ReadFile(l.KeyPath())
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, err
	}
	check, err := knownhosts.New(l.KnownHosts())
	if err != nil {
		return nil, err
	}
	address := netip.AddrPortFrom(h.Address(), 22).String()
	dial := func() (net.Conn, error) { return net.DialTimeout("tcp", address, 3*time.Second) }
	if via != nil {
		dial = func() (net.Conn, error) { return via.Dial("tcp", address) }
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: check,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 5 * time.Second,
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return ssh.NewClient(c, channels, requests), nil
}

// run runs a command over SSH.
func run(t *testing.T, l *Lab, h *Host, user, command string, via *ssh.Client) (string, error) {
	t.Helper()
	client, err := login(l, h, user, via)
	if err != nil {
		return "", fmt.Errorf("as %s: %w", user, err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.Output(command)
	return strings.TrimSpace(string(out)), err
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// addPod makes a pod's network on a host as a container runtime does and returns the pod's address.
func addPod(t *testing.T, h *Host) string {
	t.Helper()
	data, err := h.ReadFile(t.Context(), "/etc/cni/net.d/99-lab.conflist")
	do(t, err)
	var list struct {
		CNIVersion string           `json:"cniVersion"`
		Name       string           `json:"name"`
		Plugins    []map[string]any `json:"plugins"`
	}
	do(t, json.Unmarshal(data, &list))
	plugin := list.Plugins[0]
	plugin["cniVersion"], plugin["name"] = list.CNIVersion, list.Name
	config, err := json.Marshal(plugin)
	do(t, err)
	out, err := h.Exec(t.Context(), "ip netns add pod && ip -n pod link set lo up && CNI_COMMAND=ADD CNI_CONTAINERID=pod "+
		"CNI_NETNS=/run/netns/pod CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin /opt/cni/bin/"+plugin["type"].(string), bytes.NewReader(config))
	do(t, err)
	var result struct {
		IPs []struct{ Address netip.Prefix }
	}
	do(t, json.Unmarshal([]byte(out), &result))
	return result.IPs[0].Address.Addr().String()
}

// connects says whether host a reaches sshd of host b.
func connects(t *testing.T, a, b *Host) bool {
	t.Helper()
	_, err := a.Exec(t.Context(), "timeout 2 bash -c '</dev/tcp/"+b.Address().String()+"/22'", nil)
	return err == nil
}

func TestLab(t *testing.T) {
	l := up(t, Config{Name: "e2e-lab", Hosts: []HostSpec{
		{Name: "one", Octets: [2]byte{0, 2}},
		{Name: "two", Octets: [2]byte{1, 2}, Flavour: HAProxy},
		{Name: "hidden", Octets: [2]byte{2, 2}, Private: true},
	}})
	one, two, hidden := host(t, l, "one"), host(t, l, "two"), host(t, l, "hidden")

	t.Run("systemd runs with nothing failed", func(t *testing.T) {
		for _, h := range l.Hosts() {
			eventually(t, h.Name()+" has booted", func() bool {
				state, _ := h.Exec(t.Context(), "systemctl is-system-running", nil)
				return state != "starting" && state != "initializing"
			})
			if state := output(t, h, "systemctl is-system-running || systemctl --failed"); state != "running" {
				t.Errorf("%s: %s", h.Name(), state)
			}
			if name := output(t, h, "hostname"); name != h.Name() {
				t.Errorf("hostname %s on %s", name, h.Name())
			}
		}
	})

	t.Run("users log in with the key, sudo or not", func(t *testing.T) {
		for user, sudo := range map[string]string{"root": "root", "ops": "root", "nosudo": ""} {
			got, _ := run(t, l, one, user, "sudo -n id -un 2>/dev/null || true", nil)
			if who, err := run(t, l, one, user, "id -un", nil); err != nil || who != user || got != sudo {
				t.Errorf("%s is %q, with sudo %q, %v", user, who, got, err)
			}
		}
	})

	t.Run("sshd forwards to sockets", func(t *testing.T) {
		client, err := login(l, two, "root", nil)
		do(t, err)
		defer client.Close()
		for network, address := range map[string]string{"tcp": "127.0.0.1:22", "unix": "/run/systemd/private"} {
			conn, err := client.Dial(network, address)
			if err != nil {
				t.Errorf("%s %s: %v", network, address, err)
				continue
			}
			conn.Close()
		}
	})

	t.Run("a private host is reached through another", func(t *testing.T) {
		if hidden.Reachable(t.Context()) == nil {
			t.Error("this machine reaches it")
		}
		bastion, err := login(l, one, "ops", nil)
		do(t, err)
		defer bastion.Close()
		if name, err := run(t, l, hidden, "root", "hostname", bastion); err != nil || name != "hidden" {
			t.Errorf("got %q, %v", name, err)
		}
	})

	t.Run("HAProxy can be installed offline", func(t *testing.T) {
		if _, err := one.Exec(t.Context(), "command -v haproxy", nil); err == nil {
			t.Error("a bare host has haproxy")
		}
		output(t, one, "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y haproxy")
		for _, h := range []*Host{one, two} {
			if state := output(t, h, "systemctl is-active haproxy; haproxy -v | head -1"); !strings.HasPrefix(state, "active\nHAProxy version 2.6") {
				t.Errorf("%s: %s", h.Name(), state)
			}
		}
	})

	t.Run("services may ask for more open files than the machine gives", func(t *testing.T) {
		do(t, two.WriteFile(t.Context(), "/etc/systemd/system/k0scontroller.service",
			[]byte("[Service]\nExecStart=/bin/sleep infinity\nLimitNOFILE=999999\n"), 0o644))
		output(t, two, "systemctl daemon-reload && systemctl start k0scontroller && systemctl is-active k0scontroller")
	})

	t.Run("a kubelet finds what it needs", func(t *testing.T) {
		output(t, one, "test -x /opt/cni/bin/bridge -a -x /opt/cni/bin/loopback -a -c /dev/kmsg && findmnt -no PROPAGATION / | grep shared && "+
			"for dir in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/self/mounts); do mkdir $dir/lab-test && rmdir $dir/lab-test; done")
		if got := output(t, one, "ip route get 10.244.1.7"); !strings.Contains(got, "via "+two.Address().String()) {
			t.Errorf("pods of the second host: %s", got)
		}
		output(t, one, "mountpoint /var/lib/k0s")
	})

	t.Run("pods on two hosts reach each other", func(t *testing.T) {
		for _, address := range []string{addPod(t, one), addPod(t, two), two.Address().String()} {
			if out, err := one.Exec(t.Context(), "ip netns exec pod ping -c 1 -W 5 "+address, nil); err != nil {
				t.Errorf("%s: %s, %v", address, out, err)
			}
		}
	})

	t.Run("a cut host vanishes until it is healed, over a reboot too", func(t *testing.T) {
		do(t, two.Cut(t.Context()))
		if two.Reachable(t.Context()) == nil || connects(t, one, two) || connects(t, two, one) {
			t.Error("a cut host is reached")
		}
		if !connects(t, two, two) {
			t.Error("a cut host does not reach itself")
		}
		do(t, two.Kill(t.Context()))
		do(t, two.Start(t.Context()))
		if two.Reachable(t.Context()) == nil {
			t.Error("a cut did not outlive a restart")
		}
		do(t, two.Heal(t.Context()))
		do(t, two.Reachable(t.Context()))
		if !connects(t, one, two) {
			t.Error("a healed host is not reached")
		}
	})

	t.Run("a host can be cut off one peer only", func(t *testing.T) {
		do(t, two.Cut(t.Context(), one))
		if connects(t, one, two) || !connects(t, hidden, two) || two.Reachable(t.Context()) != nil {
			t.Error("the cut is not between the two alone")
		}
		do(t, two.Heal(t.Context()))
	})

	t.Run("a frozen host does not answer until it is thawed", func(t *testing.T) {
		do(t, two.Freeze(t.Context()))
		if two.Reachable(t.Context()) == nil {
			t.Error("a frozen host answers")
		}
		all, err := l.Status(t.Context())
		if err != nil || all[0].State != "running" || all[1].State != "paused" {
			t.Errorf("status %+v, %v", all, err)
		}
		do(t, two.Thaw(t.Context()))
		do(t, two.Reachable(t.Context()))
	})

	t.Run("a killed host keeps its disk and its address, a reset one only its address and keys", func(t *testing.T) {
		do(t, one.WriteFile(t.Context(), "/var/lib/k0s/state", []byte("kept"), 0o600))
		do(t, one.WriteFile(t.Context(), "/etc/k0s/k0s.yaml", []byte("kept"), 0o600))
		id := output(t, one, "cat /etc/machine-id")
		do(t, one.Kill(t.Context()))
		if one.Reachable(t.Context()) == nil {
			t.Error("a killed host answers")
		}
		do(t, one.Start(t.Context()))
		if got := output(t, one, "cat /var/lib/k0s/state /etc/k0s/k0s.yaml"); got != "keptkept" {
			t.Errorf("after the restart: %q", got)
		}
		start := time.Now()
		do(t, one.Reset(t.Context()))
		t.Logf("reset took %.1f s", time.Since(start).Seconds())
		if _, err := one.ReadFile(t.Context(), "/var/lib/k0s/state"); err == nil {
			t.Error("a reset host has its old data")
		}
		if _, err := run(t, l, one, "root", "true", nil); err != nil {
			t.Errorf("login after the reset: %v", err)
		}
		if output(t, one, "cat /etc/machine-id") == id {
			t.Error("a reset host is the old machine")
		}
	})

	t.Run("a clock can be wrong", func(t *testing.T) {
		do(t, two.ShiftClock(t.Context(), -time.Minute))
		var there int64
		_, err := fmt.Sscan(output(t, two, "date +%s"), &there)
		if off := time.Now().Unix() - there; err != nil || off < 58 || off > 62 {
			t.Errorf("the clock is %d s behind, %v", off, err)
		}
		do(t, two.ShiftClock(t.Context(), 0))
	})

	t.Run("a failing command says how", func(t *testing.T) {
		_, err := one.Exec(t.Context(), "cat >&2; exit 7", strings.NewReader("trouble"))
		var exit *ExecError
		if !errors.As(err, &exit) || exit.ExitCode != 7 || exit.Stderr != "trouble" {
			t.Errorf("got %v", err)
		}
	})

	t.Run("another lab stands beside it, and going down leaves this one alone", func(t *testing.T) {
		other := up(t, Config{Name: "e2e-lab-2", Hosts: []HostSpec{{Name: "one", Octets: [2]byte{0, 2}}}})
		if other.Subnet() == l.Subnet() {
			t.Fatalf("both on %s", l.Subnet())
		}
		if _, err := Up(t.Context(), Config{Name: "e2e-lab-2", Hosts: GuideHosts()}); err == nil {
			t.Error("a lab was made over another one")
		}
		if _, err := run(t, other, host(t, other, "one"), "root", "true", nil); err != nil {
			t.Error(err)
		}
		do(t, other.Down(t.Context()))
		nothingLeft(t, other)
		do(t, one.Reachable(t.Context()))
	})

	// With a frozen and a cut host in it.
	do(t, two.Freeze(t.Context()))
	do(t, one.Cut(t.Context()))
	volume, err := docker(t.Context(), nil, "inspect", "--format", `{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}}{{end}}{{end}}`, hidden.Container())
	do(t, err)
	do(t, l.Down(t.Context()))
	nothingLeft(t, l)
	if _, err := docker(t.Context(), nil, "volume", "inspect", volume); err == nil || !strings.Contains(err.Error(), "o such volume") {
		t.Errorf("volume %s is still there: %v", volume, err)
	}
}

// nothingLeft checks that Docker and the state folder have nothing of a lab.
func nothingLeft(t *testing.T, l *Lab) {
	t.Helper()
	label := "label=" + labelLab + "=" + l.Name()
	for _, args := range [][]string{
		{"ps", "--all", "--quiet", "--filter", label},
		{"network", "ls", "--quiet", "--filter", label},
	} {
		if out, err := docker(t.Context(), nil, args...); err != nil || out != "" {
			t.Errorf("docker %s: %q, %v", args[0], out, err)
		}
	}
	if _, err := os.Stat(l.Dir()); err == nil {
		t.Errorf("%s is still there", l.Dir())
	}
}

func TestInterruptedUpLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	config := Config{Name: "e2e-lab-3", Hosts: GuideHosts()}
	stateDir, err := stateDirOr("")
	do(t, err)
	_, err = Image(ctx, stateDir, t.Output())
	do(t, err)
	stop := errors.New("interrupted")
	go func() {
		for ctx.Err() == nil {
			if containers, err := containersOf(ctx, config.Name); err == nil && len(containers) > 0 {
				cancel(stop)
			}
		}
	}()
	if _, err := Up(ctx, config); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	nothingLeft(t, &Lab{record: record{Name: config.Name}, dir: labDir(stateDir, config.Name)})
}
