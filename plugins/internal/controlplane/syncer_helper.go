package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper"
	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// helperPath is where ha-lb-helper lies on a load balancer.
const helperPath = "/usr/local/lib/kubectl-ha/ha-lb-helper"

// policyOf is what the syncer may do with an HAProxy that is to be as the file says, with these servers. How many they may be
// is what the policy says that is there.
func policyOf(lb *config.LoadBalancer, before lbhelper.Policy, servers []haproxy.Server) lbhelper.Policy {
	spec := specOf(lb)
	p := lbhelper.Policy{
		Name: spec.Name, Bind: spec.Bind, Ports: lbhelper.Ports(spec.Ports), Balance: spec.Balance, Check: spec.Check,
		StatsListen: spec.StatsListen, Spares: spec.Spares, ConfigPath: spec.ConfigPath, SocketPath: spec.SocketPath,
		CAFile: spec.CAFile, ClientFile: spec.ClientFile, Networks: lb.Syncer.Networks,
		MaxServers: before.MaxServers, MaxRemovalPercent: lb.Syncer.MaxRemovalPercent,
	}
	if len(p.Networks) == 0 {
		p.Networks = networksOf(servers)
	}
	return p
}

// networksOf are the smallest networks that the servers are in: their addresses.
func networksOf(servers []haproxy.Server) []netip.Prefix {
	var networks []netip.Prefix
	for _, s := range servers {
		networks = append(networks, netip.PrefixFrom(s.Address, s.Address.BitLen()))
	}
	slices.SortFunc(networks, netip.Prefix.Compare)
	return slices.Compact(networks)
}

// outside lists the servers that are in none of the networks.
func outside(networks []netip.Prefix, servers []haproxy.Server) []haproxy.Server {
	var others []haproxy.Server
	for _, s := range servers {
		if !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(s.Address) }) {
			others = append(others, s)
		}
	}
	return others
}

// readPolicy reads the policy that is on a load balancer, and its text; nil when there is none.
func (b *balancer) readPolicy(ctx context.Context) (*lbhelper.Policy, []byte, error) {
	text, err := b.conn.ReadFile(ctx, lbhelper.DefaultPolicyPath)
	if err != nil {
		return nil, nil, unlessAbsent(err)
	}
	policy, err := lbhelper.ParsePolicy(text)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w: correct it, or remove it and run kubectl ha-init", lbhelper.DefaultPolicyPath, err)
	}
	return policy, text, nil
}

// textOf writes a policy as it lies on a load balancer.
func textOf(policy lbhelper.Policy) ([]byte, error) {
	text, err := json.MarshalIndent(policy, "", "  ")
	if err == nil {
		text = append(text, '\n')
		_, err = lbhelper.ParsePolicy(text)
	}
	if err != nil {
		return nil, fmt.Errorf("making the policy of ha-lb-helper: %w", err)
	}
	return text, nil
}

// helperWork is what a load balancer lacks of the syncer's helper.
type helperWork struct {
	upload *upload // nil when the helper is there
	policy []byte  // nil when it is as it should be
	lines  []string
}

func (c *Cluster) helperWork(ctx context.Context, b *balancer) (w helperWork, err error) {
	u := c.helpers[b.facts.Arch]
	there, err := digestOf(ctx, b.conn, helperPath)
	if err != nil {
		return w, err
	}
	if there != u.digest {
		w.upload = &u
		w.lines = append(w.lines, fmt.Sprintf("%s: upload %s to %s", b.conn.Name(), u.path, helperPath))
	}
	before, text, err := b.readPolicy(ctx)
	if err != nil {
		return w, err
	}
	if before == nil {
		before = &lbhelper.Policy{MaxServers: lbhelper.DefaultMaxServers}
	}
	policy := policyOf(c.file.LoadBalancer, *before, c.servers(c.all))
	after, err := textOf(policy)
	if err == nil && !bytes.Equal(text, after) {
		w.policy = after
		w.lines = append(w.lines, fmt.Sprintf("%s: %s, servers in %s", b.conn.Name(), lbhelper.DefaultPolicyPath, list(policy.Networks)))
	}
	return w, err
}

// list writes what is to be listed for people.
func list[T fmt.Stringer](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, ", ")
}

// digestOf is the SHA-256, in hexadecimal, of a file on a host; empty when there is none.
func digestOf(ctx context.Context, conn remote, file string) (string, error) {
	out, err := conn.Output(ctx, "[ ! -f "+shell.Quote(file)+" ] || sha256sum <"+shell.Quote(file), nil)
	if err != nil {
		return "", fmt.Errorf("looking at %s: %w", file, err)
	}
	digest, _, _ := strings.Cut(out, " ")
	return digest, nil
}

const noSyncer = "the file does not ask for the syncer"

func (c *Cluster) skipHelper(ctx context.Context) (string, error) {
	if !c.file.LoadBalancer.Syncer.Enabled {
		return noSyncer, nil
	}
	lines, err := c.detailHelper(ctx)
	if err != nil || len(lines) > 0 {
		return "", err
	}
	return "it is on every load balancer", nil
}

func (c *Cluster) detailHelper(ctx context.Context) ([]string, error) {
	var lines []string
	for _, b := range c.balancers {
		w, err := c.helperWork(ctx, b)
		if err != nil {
			return nil, at(b.host.Conn, err)
		}
		lines = append(lines, w.lines...)
	}
	return lines, nil
}

// putHelper puts the helper and its policy on every load balancer. They are there before HAProxy's file is changed, so
// that no syncer takes the change back, and those that run by the old ones are ended: the syncer starts them anew.
func (c *Cluster) putHelper(ctx context.Context) error {
	return c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		w, err := c.helperWork(ctx, b)
		if err != nil || len(w.lines) == 0 {
			return err
		}
		_, err = b.conn.Output(ctx, "mkdir -p -m 0755 "+path.Dir(helperPath)+" "+path.Dir(lbhelper.DefaultPolicyPath), nil)
		if err == nil && w.upload != nil {
			_, err = c.uploadTo(ctx, b.conn, b.conn.Name(), *w.upload, helperPath, 0o755)
		}
		if err == nil && w.policy != nil {
			err = b.writePolicy(ctx, w.policy)
		}
		if err == nil {
			_, err = b.conn.Output(ctx, helperPath+" -check", nil)
		}
		if err == nil {
			_, err = b.conn.Output(ctx, endHelpers, nil)
		}
		if err != nil {
			return fmt.Errorf("putting ha-lb-helper on it: %w", err)
		}
		c.report.Host(b.conn.Name()).Done("done")
		return nil
	})
}

func (b *balancer) writePolicy(ctx context.Context, text []byte) error {
	return b.conn.WriteFile(ctx, lbhelper.DefaultPolicyPath, text, 0o644)
}

// endHelpers ends the sessions of the syncer, which know the policy that they began with.
const endHelpers = `for p in /proc/[0-9]*; do
	{ read -r name <"$p/comm"; } 2>/dev/null && [ "$name" = ha-lb-helper ] && kill -HUP "${p#/proc/}"
done
:`

// changePolicy lets the syncer begin anew with another policy.
func (b *balancer) changePolicy(ctx context.Context, text []byte) error {
	if err := b.writePolicy(ctx, text); err != nil {
		return err
	}
	_, err := b.conn.Output(ctx, endHelpers, nil)
	return err
}

// policyToFollow is the policy that a load balancer needs where the cluster file asks for another block than the policy that is
// there: the syncer would take back what is changed. It is nil when there is none, or both ask for the same.
func (c *Cluster) policyToFollow(ctx context.Context, b *balancer) ([]byte, error) {
	before, _, err := b.readPolicy(ctx)
	if err != nil || before == nil || before.Spec() == specOf(c.file.LoadBalancer) {
		return nil, err
	}
	after := policyOf(c.file.LoadBalancer, *before, nil)
	after.Networks, after.MaxRemovalPercent = before.Networks, before.MaxRemovalPercent
	return textOf(after)
}

// allowWork is what is to be done so that the syncer may send connections to all servers, and run on the new hosts.
type allowWork struct {
	policies map[*balancer][]byte
	hosts    []*machine // that lack the syncer's image
	lines    []string
}

// allowWork looks at what is there, whatever the file says of the syncer: what it needs is on the hosts themselves. A
// policy that somebody has made wider stays as wide.
func (c *Cluster) allowWork(ctx context.Context) (*allowWork, error) {
	w := &allowWork{policies: map[*balancer][]byte{}}
	for _, b := range c.balancers {
		policy, _, err := b.readPolicy(ctx)
		if err != nil {
			return nil, at(b.host.Conn, err)
		}
		if policy == nil {
			continue
		}
		added := networksOf(outside(policy.Networks, c.servers(c.all)))
		if len(added) == 0 {
			continue
		}
		policy.Networks = append(policy.Networks, added...)
		if w.policies[b], err = textOf(*policy); err != nil {
			return nil, at(b.host.Conn, err)
		}
		w.lines = append(w.lines, fmt.Sprintf("%s: %s, servers in %s, too", b.conn.Name(), lbhelper.DefaultPolicyPath, list(added)))
	}
	var err error
	w.hosts, err = c.imageless(ctx)
	for _, m := range w.hosts {
		w.lines = append(w.lines, m.name()+": the syncer's image, from another controller")
	}
	return w, err
}

func (c *Cluster) skipAllow(ctx context.Context) (string, error) {
	w, err := c.allowWork(ctx)
	if err != nil || len(w.lines) > 0 {
		return "", err
	}
	return "there is none, or it may already", nil
}

func (c *Cluster) detailAllow(ctx context.Context) ([]string, error) {
	w, err := c.allowWork(ctx)
	if err != nil {
		return nil, err
	}
	return w.lines, nil
}

func (c *Cluster) allow(ctx context.Context) error {
	w, err := c.allowWork(ctx)
	if err != nil {
		return err
	}
	err = c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		text := w.policies[b]
		if text == nil {
			return nil
		}
		return b.changePolicy(ctx, text)
	})
	return errors.Join(err, c.copyImage(ctx, w.hosts))
}
