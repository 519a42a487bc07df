package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// Where no member of the control plane can be reached by SSH, a deputy is the seed: a machine without a host, of which the
// API and the cluster file say all that others have to know. It is the seed until the first host that joins votes.

// errNoController says why something cannot be done that only a controller's host can do.
var errNoController = errors.New("no controller can be reached by SSH")

// deputy is its connection: other hosts are reached from a load balancer, and nothing is done on any.
type deputy struct {
	remote
	name string
}

func (d deputy) Name() string { return d.name }

func (d deputy) Output(context.Context, string, io.Reader) (string, error) {
	return "", errNoController
}

func (d deputy) ReadFile(context.Context, string) ([]byte, error) { return nil, errNoController }

func (d deputy) WriteFile(context.Context, string, []byte, fs.FileMode) error { return errNoController }

// appointDeputy makes a deputy the seed where the API knows controllers that cannot be reached, and none of those that can
// is a member.
func (c *Cluster) appointDeputy(ctx context.Context) error {
	out := func(m *machine) bool { return m.host.IsController() }
	if c.seed.belongs() && c.seed.running() && c.seed.etcdData && !c.seed.leftover || !slices.ContainsFunc(c.unseen, out) {
		return nil
	}
	user, objects, err := c.askKubeconfig(ctx)
	if err != nil {
		return fmt.Errorf("%w, nor is the control plane known by the kubeconfig: %w", errNoController, err)
	}
	isMember := func(m *machine) bool {
		return slices.ContainsFunc(objects, func(o kube.EtcdMember) bool { return identityOf(m).related(identityOfEtcdMember(o)) })
	}
	for _, m := range c.controllers {
		if m.belongs() && isMember(m) || m.votes(ctx) {
			c.seed = m
			return nil
		}
	}
	if !slices.ContainsFunc(c.unseen, isMember) {
		return nil // it is the API of another cluster, or these are nobody's
	}
	if c.settings.Fileless || len(c.file.Cluster.K0s.Config) == 0 {
		return fmt.Errorf("%w to read its k0s.yaml, which new controllers get: name a cluster file that has it in "+
			"spec.k0s.config with -f FILE, or make a controller reachable", errNoController)
	}
	if len(c.balancers) == 0 {
		return fmt.Errorf("%w, nor a load balancer, from which they could be asked", errNoController)
	}
	return c.appoint(ctx, user, objects)
}

func (c *Cluster) appoint(ctx context.Context, user *kube.Cluster, objects []kube.EtcdMember) error {
	version, err := versionByAPI(ctx, user, objects)
	if err != nil {
		return err
	}
	authority, err := user.RootCA(ctx)
	if err != nil {
		return err
	}
	ca, err := kube.Fingerprint(authority)
	if err != nil {
		return err
	}
	from := c.balancers[0]
	conn := deputy{from.conn, c.apiURL()}
	c.seed = &machine{
		deputy: true,
		host:   &config.Host{Role: config.RoleController, Conn: config.Connection{OpenSSH: &config.OpenSSH{Address: c.apiURL()}}},
		conn:   conn,
		node:   &k0s.Node{Machine: conn},
		facts:  &host.Facts{Hostname: c.apiURL(), K0sVersion: version, ClockOffset: from.facts.ClockOffset},
		answer: &k0s.Status{}, // it runs: its API has answered
		config: c.file.Cluster.K0s.Config,
		ca:     ca,
	}
	c.settings.UserAPI = user
	c.api = &api{kube: user, etcd: hearsay{c}}
	c.report.Warn(fmt.Sprintf("%v: new ones get the k0s.yaml that %s has, and etcd itself is not asked: that its members are well "+
		"is taken from their API servers; it takes no join token while an alarm is raised, and no member while another one is on "+
		"its way in", errNoController, c.file.Name))
	return nil
}

// askKubeconfig lists the members as the API by the user's kubeconfig knows them: by the one that he names, else by his
// present context.
func (c *Cluster) askKubeconfig(ctx context.Context) (user *kube.Cluster, members []kube.EtcdMember, err error) {
	user = c.settings.UserAPI
	if user == nil && c.settings.PresentAPI != nil {
		user, err = c.settings.PresentAPI()
	}
	if user == nil || err != nil {
		return nil, nil, err
	}
	members, err = user.EtcdMembers(ctx)
	return user, slices.DeleteFunc(members, func(o kube.EtcdMember) bool { return !o.Joined }), err
}

// versionByAPI is the k0s that all members run, as their ControlNodes say.
func versionByAPI(ctx context.Context, api *kube.Cluster, members []kube.EtcdMember) (string, error) {
	nodes, err := api.ControlNodes(ctx)
	if err != nil {
		return "", err
	}
	var version string
	for _, m := range members {
		i := slices.IndexFunc(nodes, func(n kube.ControlNode) bool {
			return n.Name == m.Name || slices.Contains(n.Addresses, m.PeerAddress.Unmap())
		})
		switch {
		case i < 0 || nodes[i].Version == "":
			return "", fmt.Errorf("%w, and no ControlNode says which k0s %s runs: make one reachable", errNoController, m.Name)
		case version != "" && !sameVersion(version, nodes[i].Version):
			return "", fmt.Errorf("%s runs k0s %s, and %s runs %s: finish the upgrade first", m.Name, nodes[i].Version,
				members[0].Name, version)
		}
		version = nodes[i].Version
	}
	v, err := k0s.ParseVersion(version)
	if err == nil && !v.JoinsAsLearner() {
		err = fmt.Errorf("%w, and by k0s %s new members vote at once, which could cost the quorum unseen: make one reachable",
			errNoController, v)
	}
	return version, err
}

// checkDeputy looks at what nobody else does where a deputy is the seed. Whatever it asks, the API servers that answer at
// the members' addresses, as a load balancer sees them, have to be of the kubeconfig's cluster.
func (c *Cluster) checkDeputy(ctx context.Context) []error {
	if !c.seed.deputy {
		return nil
	}
	problems := unjoin(host.Each(ctx, c.outsiders, c.settings.Parallel, func(ctx context.Context, s haproxy.Server) error {
		if slices.Contains(c.vouched, s.Address) {
			return nil
		}
		if err := c.vouch(ctx, s.Address); err != nil {
			return fmt.Errorf("the controller %s (%s) is not known to be well: %w", s.Name, s.Address, err)
		}
		return nil
	}))
	if err := c.api.kube.MayCreateControllerTokens(ctx); err != nil {
		problems = append(problems, fmt.Errorf("%w that could make the join token: %w", errNoController, err))
	}
	return append(problems, c.checkIssuing(ctx)...)
}

// checkIssuing sees whether the kubeconfig's user may make the certificates of the health checks that are to be made. One
// that is still valid stays where he may not.
func (c *Cluster) checkIssuing(ctx context.Context) []error {
	if c.file.LoadBalancer.Check != config.CheckReadyz || !slices.ContainsFunc(c.balancers, (*balancer).needsCertificate) {
		return nil
	}
	err := c.api.kube.MayIssueClientCertificates(ctx)
	if err == nil {
		return nil
	}
	var problems []error
	for _, b := range c.balancers {
		switch {
		case !b.certified:
			problems = append(problems, fmt.Errorf("%s: it has no valid client certificate of this cluster for its health checks, "+
				"and %w: use the kubeconfig of an administrator", b.conn.Name(), err))
		case b.renew:
			b.renew = false
			c.report.Warn(fmt.Sprintf("%s: the client certificate of its health checks ends soon, and %v: a run with the "+
				"kubeconfig of an administrator renews it", b.conn.Name(), err))
		}
	}
	return problems
}

// votes asks the member on the machine itself.
func (m *machine) votes(ctx context.Context) bool {
	if !m.belongs() || !m.running() || !m.etcdData {
		return false
	}
	view, err := etcd.Ask(ctx, peerTimeout, &m.peer, m.openPeer)
	return err == nil && !view.Status.Learner
}

// hearsay is etcd as the API's objects tell of it, which know voters only, and the members on the hosts that join: a learner
// speaks of nobody but itself.
type hearsay struct{ c *Cluster }

// Members lists them. One whose host has etcd's certificates, and that does not say anything, counts as not started: whether
// it votes is not known then.
func (h hearsay) Members(ctx context.Context) ([]etcd.Member, error) {
	objects, err := h.c.api.kube.EtcdMembers(ctx)
	if err != nil {
		return nil, err
	}
	var members []etcd.Member
	for _, o := range objects {
		if o.Joined {
			member := memberAt(o.PeerAddress)
			member.ID, member.Name = identityOfEtcdMember(o).member, o.Name
			members = append(members, member)
		}
	}
	for _, m := range h.c.controllers {
		if _, found := etcd.ByAddress(members, m.address); found {
			continue
		}
		_, err := m.conn.ReadFile(ctx, m.node.PKI("etcd", "ca.crt"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, at(m.host.Conn, err)
		}
		member := memberAt(m.address)
		if view, err := etcd.Ask(ctx, peerTimeout, &m.peer, m.openPeer); err == nil {
			member.ID, member.Name, member.Learner = view.Status.ID, m.name(), view.Status.Learner
		}
		members = append(members, member)
	}
	return members, ctx.Err()
}

func memberAt(address netip.Addr) etcd.Member {
	return etcd.Member{PeerURLs: []string{"https://" + netip.AddrPortFrom(address.Unmap(), 2380).String()}}
}

// Alarms lists none: they are seen when the API writes (kube.ErrAlarm).
func (h hearsay) Alarms(context.Context) ([]string, error) { return nil, nil }

// Promote leaves that to k0s, which looks for learners every ten seconds.
func (h hearsay) Promote(_ context.Context, member etcd.Member) error {
	return fmt.Errorf("%s is still a learner", member)
}

// RemoveIdle has k0s remove the member.
func (h hearsay) RemoveIdle(ctx context.Context, member etcd.Member) error {
	const remedy = "remove it with `kubectl etcd-members remove` where a controller can be reached"
	if member.ID == 0 {
		return fmt.Errorf("etcd may have a member at %s that has not started, and %w to see: %s", member.PeerHost(),
			errNoController, remedy)
	}
	address, err := peerAddress(member)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, abandonTimeout)
	defer cancel()
	if err := h.c.api.kube.RemoveLearner(ctx, member.Name, member.ID, address); err != nil {
		return fmt.Errorf("%w: %s", err, remedy)
	}
	return nil
}

// Close has nothing to close.
func (h hearsay) Close() error { return nil }
