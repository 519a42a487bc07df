package controlplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// Preflight gathers everything that stands against the run and reports it at once. It changes nothing.
func (c *Cluster) Preflight(ctx context.Context) error {
	problems := c.problems
	problems = append(problems, c.checkHosts()...)
	problems = append(problems, c.checkPorts()...)
	problems = append(problems, c.checkFiles()...)
	if c.seed != nil {
		problems = append(problems, c.checkK0s()...)
		problems = append(problems, c.checkBinaries(ctx)...)
		problems = append(problems, c.checkControlPlane(ctx)...)
	}
	problems = append(problems, c.checkHAProxy(ctx)...)
	problems = append(problems, c.checkRoutes(ctx)...)
	problems = append(problems, c.checkKubeconfig()...)
	problems = append(problems, c.checkSyncer(ctx)...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return refusal(problems)
}

// refusal reports all problems at once; nil when there are none.
func refusal(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = "  - " + strings.ReplaceAll(p.Error(), "\n", "\n    ")
	}
	noun := "problems"
	if len(problems) == 1 {
		noun = "problem"
	}
	return cli.Refuse("preflight found %d %s, nothing was changed:\n%s", len(problems), noun, strings.Join(lines, "\n"))
}

// maxClockOffset is how far two hosts' clocks may be apart: etcd warns above 1 s, tokens and certificates that one
// host makes are not yet valid on another.
const maxClockOffset = 5 * time.Second

// checkHosts looks for hosts that cannot be members of one cluster.
func (c *Cluster) checkHosts() []error {
	var problems []error
	machines := c.machines()
	for i, m := range machines {
		if !slices.Contains(m.facts.Addresses, m.address) {
			problems = append(problems, fmt.Errorf("%s: it does not have the address %s, which the other hosts would use: "+
				"correct privateAddress", m.conn.Name(), m.address))
		}
		for _, other := range machines[:i] {
			problems = append(problems, comparePair(other, m)...)
		}
	}
	return append(problems, c.checkClocks()...)
}

func comparePair(a, b *machine) []error {
	for _, address := range []netip.Addr{a.address, b.address} {
		if slices.Contains(a.facts.Addresses, address) && slices.Contains(b.facts.Addresses, address) {
			return []error{fmt.Errorf("%s and %s are the same host (%s is on both): remove one entry from the file",
				a.conn.Name(), b.conn.Name(), address)}
		}
	}
	if a.name() == b.name() {
		return []error{fmt.Errorf("%s and %s are both named %q: set hostname to different names",
			a.conn.Name(), b.conn.Name(), a.name())}
	}
	// The ID of a konnectivity server is made of it, and an agent connects to each ID once (k0s,
	// pkg/component/controller/konnectivity.go). What runs already is not held up.
	if id := a.facts.MachineID; id != "" && id == b.facts.MachineID && a.host.IsController() && b.host.IsController() &&
		(a.fresh || b.fresh) {
		return []error{fmt.Errorf("%s and %s have the same /etc/machine-id, by which k0s tells controllers apart: give one a "+
			"new one (rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot)", a.conn.Name(), b.conn.Name())}
	}
	return nil
}

// checkClocks compares every host with the one whose clock is in the middle.
func (c *Cluster) checkClocks() []error {
	type clock struct {
		name           string
		offset, within time.Duration
	}
	var clocks []clock
	for _, m := range c.machines() {
		clocks = append(clocks, clock{m.conn.Name(), m.facts.ClockOffset, m.facts.ClockOffsetError})
	}
	for _, b := range c.balancers {
		clocks = append(clocks, clock{b.conn.Name(), b.facts.ClockOffset, b.facts.ClockOffsetError})
	}
	slices.SortStableFunc(clocks, func(a, b clock) int { return cmp.Compare(a.offset, b.offset) })
	if len(clocks) == 0 {
		return nil
	}
	middle := clocks[len(clocks)/2]
	var problems []error
	for _, k := range clocks {
		apart := (k.offset - middle.offset).Abs()
		if apart-k.within-middle.within > maxClockOffset {
			problems = append(problems, fmt.Errorf("%s: its clock is %s apart from that of %s: synchronise the hosts' clocks "+
				"(chrony, systemd-timesyncd)", k.name, apart.Round(time.Second), middle.name))
		}
	}
	return problems
}

// checkK0s looks at what is on the hosts already and at what they are to get.
func (c *Cluster) checkK0s() []error {
	var problems []error
	problem := func(m *machine, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: "+format, append([]any{m.conn.Name()}, args...)...))
	}
	for _, m := range c.machines() {
		if m.facts.InitSystem == "" {
			problem(m, "it has no service manager that k0s can use: systemd or OpenRC is needed")
		}
	}
	for _, m := range c.controllers {
		switch {
		case m.running() && m.status().SingleNode:
			problem(m, "k0s runs with --single, which no controller can join: reinstall it as a controller first")
		case m.running() && !strings.HasPrefix(m.status().Role, "controller"):
			problem(m, "k0s runs as %s, not as a controller: reset it, or correct the host's role", m.status().Role)
		case m.facts.Services[k0s.WorkerService] == "active":
			problem(m, "k0s runs as a worker, not as a controller: reset it, or correct the host's role")
		case m.ca != "" && c.seed.ca != m.ca:
			problem(m, "it belongs to another cluster than %s: run `k0s reset` on the host that is to join the other",
				c.seed.conn.Name())
		case m.running() && m.ca == "":
			problem(m, "k0s runs, but its data is not in %s: correct dataDir%s", m.host.DataDirOrDefault(), insteadOf(m.status().Vars.DataDir))
		case m.running() && m.status().Vars.StartupConfigPath != "" && m.status().Vars.StartupConfigPath != k0s.ConfigPath:
			problem(m, "k0s runs with the configuration %s: move it to %s, where all of k0s's commands look for it, and reinstall "+
				"the service", m.status().Vars.StartupConfigPath, k0s.ConfigPath)
		case m.ca == "" && m.etcdData:
			problem(m, "there is data of an earlier etcd membership in %s: run `k0s reset` on it", m.host.DataDirOrDefault())
		}
	}
	for _, m := range c.workers {
		if m.facts.Services[k0s.ControllerService] == "active" {
			problem(m, "k0s runs as a controller, not as a worker: reset it, or correct the host's role")
		}
		if !m.fresh && (!c.exists() || m.ca != "" && m.ca != c.seed.ca) {
			problem(m, "it belongs to another cluster, whose API is at %s: run `k0s stop` and `k0s reset` on it", m.apiServer)
		}
	}
	if c.exists() {
		problems = append(problems, c.checkRunningConfig()...)
	}
	return problems
}

func (c *Cluster) checkRunningConfig() []error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s: "+format, append([]any{c.seed.conn.Name(), k0s.ConfigPath}, args...)...))
	}
	running := c.seed.config
	if storage := running.StorageType(); storage != "etcd" {
		problem("its storage is %s, which cannot be shared by several controllers: move to etcd first (k0s backup and restore)",
			storage)
	}
	if running.NodeLocalLB() {
		problem("node-local load balancing is on, which excludes an external load balancer: turn " +
			"spec.network.nodeLocalLoadBalancing off first")
	}
	address := c.file.LoadBalancer.Address
	if external := running.ExternalAddress(); external != "" && !sameAddress(external, address) {
		problem("its externalAddress is %s, but the load balancer's is %s: correct one of them", external, address)
	}
	ports := c.file.LoadBalancer.Ports
	for _, port := range []struct {
		field         string
		running, file int
	}{
		{"spec.api.port", running.APIPort(), ports.KubeAPI},
		{"spec.konnectivity.agentPort", running.KonnectivityPort(), ports.Konnectivity},
		{"spec.api.k0sApiPort", running.K0sAPIPort(), ports.ControllerJoin},
	} {
		if port.running != port.file {
			problem("its %s is %d, but the file's is %d: write %d in spec.k0s.config.%s of the file",
				port.field, port.running, port.file, port.running, port.field)
		}
	}
	if len(problems) == 0 {
		c.warnOfDifferences()
	}
	return problems
}

// warnOfDifferences names what the file says of k0s's configuration and a running cluster does not have: only the load
// balancer's address is added to it.
func (c *Cluster) warnOfDifferences() {
	running, _ := c.withAddresses(c.seed.config, c.seed)
	desired, _ := c.withAddresses(c.file.Cluster.K0s.Config, c.seed)
	if paths := desired.Differences(running); len(paths) > 0 {
		c.report.Warn(fmt.Sprintf("%s: %s differs from the file in %s: it stays as it is; where that is not intended, change it "+
			"on every controller and restart k0s there, one after another", c.seed.conn.Name(), k0s.ConfigPath,
			strings.Join(paths, ", ")))
	}
}

// insteadOf says what a running k0s has, where it tells.
func insteadOf(value string) string {
	if value == "" {
		return ""
	}
	return " to " + value
}

// sameAddress compares addresses and names however they are written.
func sameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX == nil && errY == nil {
		return x.Unmap() == y.Unmap()
	}
	return strings.EqualFold(a, b)
}

// checkFiles looks for the files on this machine that new hosts are to get.
func (c *Cluster) checkFiles() []error {
	var problems []error
	for _, m := range c.fresh() {
		for _, f := range m.host.Files {
			if _, err := destinations(f); err != nil {
				problems = append(problems, at(m.host.Conn, err))
			}
		}
	}
	return problems
}

// checkPorts looks for processes in the way of k0s and of HAProxy.
func (c *Cluster) checkPorts() []error {
	var problems []error
	ports := c.file.LoadBalancer.Ports
	for _, m := range c.machines() {
		if m.installed() {
			continue // its own
		}
		var needed []int
		if m.host.IsController() {
			needed = []int{2379, 2380, ports.KubeAPI, ports.Konnectivity, ports.ControllerJoin}
		}
		if m.host.RunsKubelet() {
			needed = append(needed, 10250)
		}
		for _, port := range needed {
			if process, taken := m.facts.ListeningTCP[port]; taken {
				problems = append(problems, portTaken(m.conn.Name(), port, process, "k0s"))
			}
		}
	}
	for _, b := range c.balancers {
		if m := c.machineAt(b.facts.Addresses); m != nil && m.host.IsController() {
			problems = append(problems, fmt.Errorf("%s: it is a controller (%s) and a load balancer on the same ports (%d, %d, "+
				"%d): use another host, or other ports in the LoadBalancer", b.conn.Name(), m.conn.Name(), ports.KubeAPI,
				ports.Konnectivity, ports.ControllerJoin))
			continue
		}
		for _, port := range []int{ports.KubeAPI, ports.Konnectivity, ports.ControllerJoin} {
			if process, taken := b.facts.ListeningTCP[port]; taken && process != "haproxy" {
				problems = append(problems, portTaken(b.conn.Name(), port, process, "HAProxy"))
			}
		}
		if port := statsPort(c.file.LoadBalancer.Stats); port != 0 {
			if process, taken := b.facts.ListeningTCP[port]; taken && process != "haproxy" {
				problems = append(problems, fmt.Errorf("%w, or set spec.stats.listen or spec.stats.disabled in the LoadBalancer",
					portTaken(b.conn.Name(), port, process, "HAProxy's statistics page")))
			}
		}
	}
	return problems
}

// statsPort is where HAProxy shows its statistics; 0 when it does not.
func statsPort(stats config.Stats) int {
	_, text, err := net.SplitHostPort(stats.Listen)
	if err != nil || stats.Disabled {
		return 0
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return 0 // nothing that the file's reader lets through
	}
	return port
}

func portTaken(where string, port int, process, by string) error {
	if process == "" {
		process = "another process"
	}
	return fmt.Errorf("%s: port %d, which %s needs, is taken by %s: stop it", where, port, by, process)
}

func (c *Cluster) machineAt(addresses []netip.Addr) *machine {
	for _, m := range c.machines() {
		if slices.Contains(addresses, m.address) {
			return m
		}
	}
	return nil
}

// routeTimeout bounds one attempt to reach a port of another host.
const routeTimeout = 3 * time.Second

// checkRoutes tries the ports that hosts need of each other: a refused connection is as good as an accepted one,
// since it shows that no firewall is between them.
func (c *Cluster) checkRoutes(ctx context.Context) []error {
	type route struct {
		from remote
		to   string
	}
	var routes []route
	for _, a := range c.controllers {
		for _, b := range c.controllers {
			if a != b && !(a.voter && b.voter) {
				routes = append(routes, route{a.conn, netip.AddrPortFrom(b.address, 2380).String()})
			}
		}
	}
	for _, m := range c.controllers {
		for _, s := range c.outsiders {
			if !m.voter {
				routes = append(routes, route{m.conn, netip.AddrPortFrom(s.Address, 2380).String()})
			}
		}
	}
	ports := c.file.LoadBalancer.Ports
	all := []int{ports.KubeAPI, ports.Konnectivity, ports.ControllerJoin}
	for _, b := range c.balancers {
		for _, m := range c.controllers {
			for _, port := range all {
				routes = append(routes, route{b.conn, netip.AddrPortFrom(m.address, uint16(port)).String()})
			}
		}
		// An address that moves between hosts may come up with HAProxy alone, and firewalld is opened later.
		if address, err := netip.ParseAddr(c.file.LoadBalancer.Address); err == nil && !b.facts.Firewalld &&
			slices.Contains(b.facts.Addresses, address.Unmap()) {
			for _, m := range c.fresh() {
				needed := all
				if !m.host.IsController() {
					needed = []int{ports.KubeAPI, ports.Konnectivity}
				}
				for _, port := range needed {
					routes = append(routes, route{m.conn, netip.AddrPortFrom(address, uint16(port)).String()})
				}
			}
		}
	}
	return unjoin(host.Each(ctx, routes, 4*c.settings.Parallel, func(ctx context.Context, r route) error {
		ctx, cancel := context.WithTimeout(ctx, routeTimeout)
		defer cancel()
		conn, err := r.from.DialContext(ctx, "tcp", r.to)
		if err == nil {
			return conn.Close()
		}
		if refused(err) {
			return nil
		}
		return fmt.Errorf("%s: it cannot reach %s: open the way in the firewalls between them (%w)", r.from.Name(), r.to, err)
	}))
}

// refused tells a closed port from one that cannot be reached. Through SSH only the text of the error comes back.
func refused(err error) bool {
	var op *net.OpError
	return strings.Contains(strings.ToLower(err.Error()), "connection refused") ||
		errors.As(err, &op) && strings.Contains(op.Err.Error(), "refused")
}
