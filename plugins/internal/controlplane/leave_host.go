package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// remains lists what there is of k0s on the host.
func (c *Cluster) remains(ctx context.Context) (data bool, leftovers []string, err error) {
	m := c.leaving.machine
	if data, err = m.node.HasData(ctx); err != nil {
		return false, nil, at(m.host.Conn, err)
	}
	leftovers, err = m.node.Leftovers(ctx)
	return data || m.installed(), leftovers, at(m.host.Conn, err)
}

func (c *Cluster) skipWipe(ctx context.Context) (string, error) {
	switch {
	case c.leaving.machine == nil:
		return "the host cannot be reached", nil
	case c.leaving.KeepData:
		return "not wanted (--keep-data)", nil
	}
	data, leftovers, err := c.remains(ctx)
	if err != nil || data || len(leftovers) > 0 {
		return "", err
	}
	return "nothing of k0s is on the host", nil
}

func (c *Cluster) detailWipe(ctx context.Context) ([]string, error) {
	data, leftovers, err := c.remains(ctx)
	if err != nil {
		return nil, err
	}
	m := c.leaving.machine
	var lines []string
	if data {
		lines = append(lines, fmt.Sprintf("%s: k0s reset, which deletes %s", m.conn.Name(), m.host.DataDirOrDefault()))
	}
	if len(leftovers) > 0 {
		lines = append(lines, fmt.Sprintf("%s: remove %s", m.conn.Name(), strings.Join(leftovers, ", ")))
	}
	return lines, nil
}

// wipe takes k0s's data and configuration off the host, so that it can join again, this cluster or another one. The
// configuration goes last: k0s reset reads it.
func (c *Cluster) wipe(ctx context.Context) error {
	data, _, err := c.remains(ctx)
	if err != nil {
		return err
	}
	m := c.leaving.machine
	line := c.report.Host(m.name())
	if data {
		line.Update("resetting k0s")
		if err := m.node.Reset(ctx); err != nil {
			return fmt.Errorf("%w: reset it by hand and run the command again, or use --keep-data", at(m.host.Conn, err))
		}
		m.facts.Services[m.service()] = "absent"
	}
	line.Update("removing what k0s left")
	if err := m.node.Wipe(ctx); err != nil {
		return at(m.host.Conn, err)
	}
	line.Done("nothing of k0s is left but the executable")
	return nil
}

func (c *Cluster) skipEdit(context.Context) (string, error) {
	l := c.leaving
	switch {
	case c.settings.Fileless:
		return "no file was given", nil
	case l.entry == nil:
		return "the file does not name the host", nil
	}
	if !l.EditFile {
		return "not wanted (--edit-file=false): remove the entry of " + l.entry.Conn.String() + " yourself", nil
	}
	_, after, err := c.edited()
	if err != nil || after != nil {
		return "", err
	}
	return "the file does not name the host any more", nil
}

// edited is the file before its entry is taken out, and after that: nil when the file does not name the host. The error
// says why its entry cannot be taken out. The only entry can once the one of its replacement is there.
func (c *Cluster) edited() (before, after []byte, err error) {
	l := c.leaving
	if l.ReplacedBy != nil {
		file, err := l.ReplacedBy.Entries.added()
		if err != nil {
			return nil, nil, err
		}
		before = file.data
	} else if before, err = os.ReadFile(c.file.Name); err != nil {
		return nil, nil, fmt.Errorf("reading cluster file: %w", err)
	}
	after, err = config.TextWithoutHost(c.file.Name, before, l.entry.Conn)
	return before, after, err
}

func (c *Cluster) detailEdit(context.Context) ([]string, error) {
	before, after, err := c.edited()
	if err != nil {
		return nil, err
	}
	return append([]string{fmt.Sprintf("%s: remove the entry of %s", c.file.Name, c.leaving.entry.Conn)},
		diffLines(c.file.Name, before, after)...), nil
}

func (c *Cluster) edit(context.Context) error {
	_, err := config.RemoveHost(c.file.Name, c.leaving.entry.Conn)
	return err
}

// verifyRemoval awaits that nothing of the controller is left, and that the others serve.
func (c *Cluster) verifyRemoval(ctx context.Context) error {
	return c.verifyAll(ctx, []verification{
		{"etcd", c.verifyGone},
		{"objects", c.verifyForgotten},
		{"load balancer", c.verifyAPI},
		{"HAProxy", c.verifyLeft},
	})
}

func (c *Cluster) verifyGone(ctx context.Context) (string, error) {
	s, _, there, err := c.present(ctx)
	if err == nil && there {
		err = fmt.Errorf("etcd still lists %s", c.leaving.member)
	}
	if err != nil {
		return "", err
	}
	var errs []error
	for _, m := range s.Members {
		if ailment := s.Ailment(m); ailment != "" && !c.leaving.bears(identityOfMember(m)) {
			errs = append(errs, errors.New(ailment))
		}
	}
	return voters(s.Members), errors.Join(errs...)
}

func (c *Cluster) verifyForgotten(ctx context.Context) (string, error) {
	left, err := c.traces(ctx)
	if err == nil && left != (traces{}) {
		err = fmt.Errorf("there is still %s", left)
	}
	return "none is left of " + c.leaving.name(), err
}

func (c *Cluster) verifyLeft(ctx context.Context) (string, error) {
	servers := slices.DeleteFunc(c.servers(c.running), func(s haproxy.Server) bool {
		return c.leaving.bears(identity{addresses: []netip.Addr{s.Address}})
	})
	err := c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		current, err := c.balancer(b).Current(ctx)
		switch {
		case err != nil:
			return err
		case current.Runtime == nil:
			return errors.New("HAProxy does not answer")
		}
		for _, server := range c.leaving.places() {
			if len(current.Servers(server)) > 0 {
				return fmt.Errorf("HAProxy still has servers at %s", server.Address)
			}
		}
		if lines := current.NotUp(servers); len(lines) > 0 {
			return &haproxy.NotUpError{Lines: lines}
		}
		return nil
	})
	return fmt.Sprintf("the servers of %s are up", cli.Count(c.voting()-len(c.leaving.down), "controller")), err
}

// Aftermath is what the user is to know and to do now.
func (c *Cluster) Aftermath() []string {
	l := c.leaving
	lines := []string{fmt.Sprintf("%s is no part of the control plane at %s any more: %s%s.", l.name(),
		c.Address(), vote(c.voting(), "controller"), c.remaining())}
	if l.saved {
		lines = append(lines, "etcd's database from before is in "+l.Snapshot+": it holds every Secret of the cluster.")
	}
	clean := "k0s stop; k0s reset; rm -rf /etc/cni /opt/cni /etc/k0s/k0s.yaml"
	switch {
	case l.unknown():
	case l.machine == nil:
		lines = append(lines, fmt.Sprintf("Its host could not be reached. If it ever comes back, run on it: %s", clean))
	case l.KeepData:
		lines = append(lines, fmt.Sprintf("Its data is still on %s; before it joins again, run on it: %s", l.machine.conn.Name(), clean))
	}
	return lines
}
