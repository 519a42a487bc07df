package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/node"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// Removal says which controller is to leave, and how.
type Removal struct {
	Controller  string // its name, an address of it, or its member's ID in etcd
	Drain       node.Options
	SkipDrain   bool
	Snapshot    string // file of this machine; empty for none
	AllowSingle bool   // one controller may be left
	// Force is for a host that runs and cannot be reached, and for a member that is down while others are, too.
	Force      bool
	KeepData   bool         // k0s is stopped, and everything of it stays on the host
	EditFile   bool         // the host's entry goes from the cluster file
	ReplacedBy *Replacement // joins in its place; nil when nobody does
}

// leaver is the controller that leaves, and how far that has come. What it was called, and what is left of it, is known
// from whatever has not gone yet.
type leaver struct {
	Removal
	names       []string     // in lower case
	addresses   []netip.Addr // as HAProxy may know it; the one to show first
	machine     *machine     // connected; nil when it cannot be reached
	entry       *config.Host // in the cluster file; nil when it has none
	trouble     error        // why it cannot be reached
	alive       bool         // though it cannot be reached, its API server answers
	member      etcd.Member  // ID 0 when etcd has no such member (any more)
	node        *kube.Node   // nil when there is none (any more)
	controlNode string
	etcdMember  string
	down        []etcd.Member // further members that do not answer either, and that Force bears with

	first bool // it leaves before the one that replaces it joins

	removed  bool // etcd was told to forget the member: there is no way back
	saved    bool // the snapshot, by this run
	cordoned bool // by this run
	stopped  bool // k0s, by this run

	mu      sync.Mutex
	drained []*balancer // by this run
}

// name is the host's for people.
func (l *leaver) name() string {
	switch {
	case l.machine != nil:
		return l.machine.name()
	case l.node != nil:
		return l.node.Name
	case l.member.Name != "":
		return strings.ToLower(l.member.Name)
	case l.etcdMember != "":
		return l.etcdMember
	case l.controlNode != "":
		return l.controlNode
	}
	return l.Controller
}

// Leaving names the controller that leaves.
func (c *Cluster) Leaving() string { return c.leaving.name() }

// PreflightRemoval finds the controller that is to leave and gathers everything that stands against it. It changes
// nothing. From here on the cluster is that of the controllers that stay: one of them is the seed.
func (c *Cluster) PreflightRemoval(ctx context.Context, r Removal) error {
	if len(c.controllers) == 0 {
		return fmt.Errorf("no controller of %s could be looked at:\n%w", c.file.Name, errors.Join(c.problems...))
	}
	if err := c.findLeaver(ctx, r); err != nil {
		return err
	}
	s, _ := c.poll(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.bearWithDown(s)
	problems := append(c.judge(ctx, s), c.checkRemoval(ctx, s)...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return refusal(problems)
}

// checkRemoval gathers what stands against the removal apart from what etcd says of it.
func (c *Cluster) checkRemoval(ctx context.Context, s etcd.State) []error {
	problems := append(c.checkStaying(ctx, s), c.checkLeaver(ctx)...)
	return append(problems, c.checkBalancers(ctx)...)
}

// findLeaver finds out whom the argument names, and takes it out of the cluster that is worked on.
func (c *Cluster) findLeaver(ctx context.Context, r Removal) error {
	s, _, err := c.ask(ctx, c.askable())
	if len(s.Members) == 0 {
		return fmt.Errorf("no member of etcd could be asked:\n%w", errors.Join(append(slices.Clone(c.problems), err)...))
	}
	known := c.identities(s)
	found, err := identify(r.Controller, known)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	c.takeOut(found, r)
	if err := c.connectSurvivor(ctx, s); err != nil {
		return err
	}
	objects, err := c.objects(ctx)
	if err != nil {
		return at(c.seed.host.Conn, err)
	}
	if found, err = identify(r.Controller, append(known, objects...)); err != nil {
		return &cli.UsageError{Err: err}
	}
	if len(found) == 0 && c.replaced(s) {
		return nil
	}
	if len(found) == 0 {
		return c.unknown(r.Controller, s)
	}
	c.takeOut(found, r)
	if c.leaving.machine == c.seed && c.chooseSurvivor(s) != nil { // an object alone has told
		_ = errors.Join(c.api.etcd.Close()) // nothing was asked of it
		c.api = nil
		return c.connectSurvivor(ctx, s)
	}
	return nil
}

// connectSurvivor makes a controller that stays the seed.
func (c *Cluster) connectSurvivor(ctx context.Context, s etcd.State) error {
	if c.seed = c.chooseSurvivor(s); c.seed == nil && c.leaving.ReplacedBy != nil {
		c.seed = c.leaving.alone(s)
	}
	switch {
	case c.seed != nil:
		return at(c.seed.host.Conn, c.connectAPI(ctx))
	case c.leaving.member.ID != 0 && etcd.CanRemove(s, c.leaving.member.ID) != nil:
		return refusal(unjoin(etcd.CanRemove(s, c.leaving.member.ID)))
	}
	return cli.Refuse("no controller that would stay is healthy: bring one up first")
}

// unknown says that nobody knows whom the argument names.
func (c *Cluster) unknown(argument string, s etcd.State) error {
	for _, m := range c.workers {
		if i := identityOf(m); i.is(argument) {
			return &cli.UsageError{Err: fmt.Errorf("%s is a worker: drain it with kubectl drain, run `k0s stop` and `k0s reset` on it, "+
				"and delete its Node", argument)}
		}
	}
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = m.String()
	}
	return fmt.Errorf("%q is no controller of %s, of etcd (%s) or of the cluster's objects: it has been ejected already, or never "+
		"was one%s", argument, c.file.Name, strings.Join(names, ", "), c.leaving.hint())
}

// identities is what the file and etcd know of controllers.
func (c *Cluster) identities(s etcd.State) []identity {
	var known []identity
	for _, m := range slices.Concat(c.controllers, c.unseen) {
		if m.host.IsController() {
			known = append(known, identityOf(m))
		}
	}
	for _, member := range s.Members {
		known = append(known, identityOfMember(member))
	}
	return known
}

// objects is what the API knows of controllers.
func (c *Cluster) objects(ctx context.Context) ([]identity, error) {
	var known []identity
	nodes, err := c.api.kube.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if n.ControlPlane {
			known = append(known, identityOfNode(n))
		}
	}
	controlNodes, err := c.api.kube.ControlNodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range controlNodes {
		known = append(known, identityOfControlNode(n))
	}
	members, err := c.api.kube.EtcdMembers(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		known = append(known, identityOfEtcdMember(m))
	}
	return known, nil
}

// takeOut makes the host that was found the one that leaves.
func (c *Cluster) takeOut(found []identity, r Removal) {
	l := newLeaver(found, r)
	c.leaving = l
	if l.entry == nil {
		return
	}
	ours := func(m *machine) bool { return m.host == l.entry }
	c.controllers = slices.DeleteFunc(c.controllers, ours)
	c.unseen = slices.DeleteFunc(c.unseen, ours)
}

// newLeaver puts together what was found.
func newLeaver(found []identity, r Removal) *leaver {
	l := &leaver{Removal: r, names: namesOf(found)}
	for _, i := range found {
		switch {
		case i.machine != nil:
			l.entry, l.trouble = i.machine.host, i.machine.trouble
			if i.machine.seen {
				l.machine = i.machine
			}
		case i.voter != nil:
			l.member = *i.voter
		case i.node != nil:
			l.node = i.node
		case i.controlNode != "":
			l.controlNode = i.controlNode
		case i.etcdMember != "":
			l.etcdMember = i.etcdMember
		}
		for _, address := range i.addresses {
			if !slices.Contains(l.addresses, address) {
				l.addresses = append(l.addresses, address)
			}
		}
	}
	return l
}

// chooseSurvivor picks a controller whose etcd and k0s run, among those that stay.
func (c *Cluster) chooseSurvivor(s etcd.State) *machine {
	i := slices.IndexFunc(c.controllers, func(m *machine) bool {
		member, found := etcd.ByAddress(s.Members, m.address)
		return found && !member.Idle() && s.Healthy(member) && m.running()
	})
	if i < 0 {
		return nil
	}
	return c.controllers[i]
}

// judge says why etcd does not bear the removal, by what its members say now.
func (c *Cluster) judge(ctx context.Context, s etcd.State) []error {
	l := c.leaving
	member, there := s.Member(l.member.ID)
	if !there {
		return nil // it is done
	}
	problems := c.judgeMember(s, member)
	state, err := c.api.kube.UpgradeInProgress(ctx)
	switch {
	case err != nil:
		problems = append(problems, at(c.seed.host.Conn, err))
	case state != "":
		problems = append(problems, fmt.Errorf("a k0s upgrade is in progress (%s): wait until it is done, or delete its Plan", state))
	}
	return problems
}

// judgeMember says why etcd does not bear the removal. While one that replaces it has yet to join, it does not come to that.
func (c *Cluster) judgeMember(s etcd.State, member etcd.Member) []error {
	var problems []error
	if c.expected() == 0 {
		problems = unjoin(etcd.CanRemove(s, member.ID, c.leaving.down...))
	}
	if len(problems) > 0 && c.leaving.ReplacedBy == nil && etcd.CanRemove(s, member.ID, etcd.Down(s, member.ID)...) == nil {
		problems = append(problems, fmt.Errorf("%s is down, too: bring the others back first, or use --force to remove the members "+
			"that are down one after another, which the quorum bears", member))
	}
	if left := etcd.Voters(s.Members) + c.expected() - 1; left == 1 && !member.Learner && !c.leaving.AllowSingle {
		problems = append(problems, errors.New("one controller would be left, and the cluster's data would be on that host alone: "+
			"use --allow-single when you mean it"))
	}
	return problems
}

// checkStaying looks at the controllers that stay.
func (c *Cluster) checkStaying(ctx context.Context, s etcd.State) []error {
	members := slices.DeleteFunc(slices.Clone(s.Members), func(m etcd.Member) bool { return m.ID == c.leaving.member.ID })
	c.problems = nil
	var problems []error
	for _, m := range c.unseen {
		if !m.host.IsController() || c.leaving.bears(identityOf(m)) { // who is down keeps its place, as one that the file does not name does
			continue
		}
		c.problems = append(c.problems, m.trouble)
		related := func(member etcd.Member) bool { return identityOf(m).related(identityOfMember(member)) }
		if !slices.ContainsFunc(members, related) { // of members, etcd's rules say it
			problems = append(problems, m.trouble)
		}
	}
	problems = append(problems, c.meet(members)...)
	return append(problems, unjoin(c.each(ctx, c.controllers, func(ctx context.Context, m *machine) error {
		if !m.voter || c.leaving.bears(identityOf(m)) {
			return nil
		}
		return m.readyz(ctx)
	}))...)
}

// bearWithDown notes who else is down, once for the whole run: one that dies meanwhile is a reason to stop.
func (c *Cluster) bearWithDown(s etcd.State) {
	if c.leaving.Force {
		c.leaving.down = etcd.Down(s, c.leaving.member.ID)
	}
}

// bears tells whether a host is that of a member that is down, which --force bears with.
func (l *leaver) bears(i identity) bool {
	return slices.ContainsFunc(l.down, func(member etcd.Member) bool { return i.related(identityOfMember(member)) })
}

// checkLeaver looks at the host that leaves, at its Node, and at this machine's files.
func (c *Cluster) checkLeaver(ctx context.Context) []error {
	l := c.leaving
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if m := l.machine; m != nil {
		switch {
		case m.ca != "" && m.ca != c.seed.ca:
			problem("%s belongs to another cluster than %s: correct the file", m.conn.Name(), c.seed.conn.Name())
		case m.facts.Services[k0s.WorkerService] == "active":
			problem("%s runs k0s as a worker, not as a controller: correct the host's role in the file", m.conn.Name())
		case m.hasK0s() && m.facts.K0sPath == "" && !l.KeepData:
			problem("%s has data of k0s, and not the k0s executable that takes them off: put it to %s", m.conn.Name(), k0s.DefaultBinary)
		}
	} else if address := c.answersAt(ctx); address != "" {
		l.alive = true
		why := "it is not in the file"
		if l.trouble != nil {
			why = l.trouble.Error()
		}
		if !l.Force {
			problem("%s cannot be reached by SSH (%s), but its API server at %s answers, so k0s could not be stopped there: make it "+
				"reachable, or use --force, and run `k0s stop` and `k0s reset` on it yourself", l.name(), why, address)
		}
	}
	if reason, _ := c.skipDrain(ctx); reason == "" {
		if _, err := c.drainer().Pods(ctx); err != nil {
			problem("%w", err)
		}
	}
	if dir := filepath.Dir(l.Snapshot); l.Snapshot != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			problem("there is no directory %s for the snapshot of etcd: name another file with --snapshot", dir)
		}
	}
	if l.entry != nil && l.EditFile && !c.settings.Fileless {
		if _, _, err := c.edited(); err != nil {
			problem("%w, and use --edit-file=false", err)
		}
	}
	return problems
}

// hasK0s tells whether k0s, or something of it, was on the host when it was looked at.
func (m *machine) hasK0s() bool { return m.installed() || m.ca != "" || m.etcdData }

// answersAt returns the address at which the API server of a host that cannot be reached answers all the same; nothing when
// it does not.
func (c *Cluster) answersAt(ctx context.Context) string {
	for _, address := range c.leaving.addresses {
		if to := netip.AddrPortFrom(address, uint16(c.file.LoadBalancer.Ports.KubeAPI)).String(); c.greets(ctx, to) {
			return to
		}
	}
	return ""
}

// greets tells whether a process completes a TLS handshake: the kernel of a host that hangs accepts connections, too.
func (c *Cluster) greets(ctx context.Context, to string) bool {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	conn, err := c.seed.conn.DialContext(ctx, "tcp", to)
	if err != nil {
		return false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // connections through SSH know no deadlines
	defer stop()
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil // nothing is sent
}

// checkBalancers makes sure that every HAProxy is this project's to change, runs, and has other servers than the one
// that leaves.
func (c *Cluster) checkBalancers(ctx context.Context) []error {
	var problems []error
	for _, b := range c.unseenBalancers {
		problems = append(problems, fmt.Errorf("%w: bring the load balancer back, or take it out of the file", b.trouble))
	}
	return append(problems, unjoin(c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		if err := c.lookAtCertificate(ctx, b); err != nil {
			return err
		}
		current, err := c.balancer(b).Current(ctx)
		switch {
		case err != nil:
			return err
		case !current.HasBlock:
			return fmt.Errorf("%s has no part that kubectl-ha manages: run kubectl ha-init, which takes over what is there", current.Path)
		case current.Runtime == nil:
			return errors.New("HAProxy does not run, or not with its file: run kubectl ha-init, which repairs that")
		}
		_, err = c.planFrom(current, b, c.running)
		return err
	}))...)
}

// ConfirmRemoval says what will be done, and asks.
func (c *Cluster) ConfirmRemoval(ctx context.Context, confirmer *cli.Confirmer) error {
	return c.confirm(ctx, confirmer, c.consequences(ctx), "Eject "+c.leaving.name()+"?")
}

// confirm says what the user is to know, and asks.
func (c *Cluster) confirm(ctx context.Context, confirmer *cli.Confirmer, lines []string, question string) error {
	var asked error
	c.report.Prompt(func() {
		for _, line := range lines {
			fmt.Fprintln(confirmer.Out, line)
		}
		asked = confirmer.Confirm(ctx, question, "use --yes when you mean it")
	})
	return asked
}

// consequences are what the user is to know before.
func (c *Cluster) consequences(ctx context.Context) []string {
	l := c.leaving
	who := l.name()
	if len(l.addresses) > 0 {
		who += " (" + l.addresses[0].String() + ")"
	}
	lines := []string{who + " leaves the control plane at " + c.Address() + "."}
	if l.member.ID != 0 {
		lines = append(lines, fmt.Sprintf("  etcd: %s is removed; voters that remain: %d%s", l.member, c.voting()+c.coming(), c.remaining()))
	}
	switch reason, _ := c.skipDrain(ctx); {
	case reason == "":
		lines = append(lines, "  Node "+l.node.Name+": drained and deleted")
	case l.node != nil:
		lines = append(lines, "  Node "+l.node.Name+": deleted, not drained ("+reason+")")
	}
	switch {
	case l.machine == nil:
		lines = append(lines, "  its host cannot be reached and is left as it is")
	case l.KeepData:
		lines = append(lines, "  "+l.machine.conn.Name()+": k0s is stopped and disabled; its data stays")
	default:
		lines = append(lines, fmt.Sprintf("  %s: k0s is stopped, and all its data is deleted (%s, /etc/cni, /opt/cni)", l.machine.conn.Name(),
			l.machine.host.DataDirOrDefault()))
	}
	if _, err := os.Stat(l.Snapshot); l.Snapshot != "" && err == nil {
		lines = append(lines, "  "+l.Snapshot+": overwritten by a new snapshot of etcd")
	}
	return lines
}

// remaining says who of the voters that stay is down, and how many may fail.
func (c *Cluster) remaining() string {
	left, down := c.voting()+c.coming(), c.leaving.down
	text := ""
	for _, m := range down {
		text += fmt.Sprintf(", %s is down", m)
	}
	return text + fmt.Sprintf(", of which %d may fail", max(0, etcd.Strength{Voters: left, Healthy: left - len(down)}.MayFail()))
}

// voting counts the voters that stay.
func (c *Cluster) voting() int {
	n := len(c.outsiders)
	for _, m := range c.controllers {
		if m.voter {
			n++
		}
	}
	return n
}

// locking lists the hosts whose lock keeps other commands off the control plane: the seed, and, for a removal, every
// controller, since another command may have another seed. The order is the same for everybody.
func (c *Cluster) locking() []*machine {
	if c.leaving == nil {
		return []*machine{c.seed}
	}
	hosts := slices.Clone(c.controllers)
	if c.leaving.machine != nil {
		hosts = append(hosts, c.leaving.machine)
	}
	slices.SortFunc(hosts, func(a, b *machine) int { return strings.Compare(a.conn.Name(), b.conn.Name()) })
	return hosts
}

// connectionsOf are the machines as what locks are taken on.
func connectionsOf(machines []*machine) []remote {
	hosts := make([]remote, len(machines))
	for i, m := range machines {
		hosts[i] = m.conn
	}
	return hosts
}

// lockAll takes the lock of that path on every host.
func lockAll(ctx context.Context, hosts []remote, path string, timeout time.Duration) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var held []func() error
	unlock = func() {
		for _, release := range held {
			_ = release() // the lock ends with the connection, too
		}
	}
	for _, h := range hosts {
		release, err := h.Lock(ctx, path)
		var locked *host.LockedError
		if errors.As(err, &locked) {
			err = cli.Refuse("another command is changing the control plane: %w", err)
		}
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, release)
	}
	return unlock, nil
}
