package etcdmembers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// action is one thing that is done to the cluster. Every command but the list is one.
type action struct {
	verb string // "removing cp3"
	// judge says why it must not be done to the cluster as it is; it is asked before the user is, and once more when
	// other commands are locked out.
	judge func(picture) error
	// question is put to the user; empty when nothing that matters is changed.
	question string
	note     string // said before the question
	// membership tells that members come or go, which k0s's own upgrades do not bear.
	membership bool
	// plan says what run would do, one thing a line.
	plan func(p picture) []string
	run  func(ctx context.Context, p picture) error
	// done says what has come of it.
	done string
}

// open connects to the members, one of which must answer.
func (o *Options) open(ctx context.Context) (*fleet, picture, error) {
	f, err := newFleet(o, o.world)
	if err != nil {
		return nil, picture{}, err
	}
	p := f.look(ctx, 0)
	if len(p.state.Members) > 0 {
		return f, p, nil
	}
	defer f.close()
	switch unseen := errors.Join(p.failures...); {
	case ctx.Err() != nil:
		return nil, p, ctx.Err()
	case unseen != nil:
		return nil, p, fmt.Errorf("no member of etcd could be reached:\n%w", unseen)
	case p.objectsErr != nil:
		return nil, p, fmt.Errorf("finding the members: %w: name the hosts with -f cluster.yaml", p.objectsErr)
	}
	return nil, p, errors.New("finding the members: the cluster has no EtcdMember objects: name the hosts with -f cluster.yaml")
}

// carryOut judges, asks, locks, judges again by a new look, and does it. A dry run ends when it has judged.
func (o *Options) carryOut(ctx context.Context, f *fleet, p picture, a action) error {
	if err := f.permits(ctx, p, a); err != nil {
		return err
	}
	if a.note != "" {
		fmt.Fprintln(o.ErrOut, a.note)
	}
	if o.DryRun == "client" {
		o.printPlan(a.plan(p)...)
		return nil
	}
	if a.question != "" {
		if err := o.confirmer().Confirm(ctx, a.question, "use --yes when you mean it"); err != nil {
			return err
		}
	}
	unlock, err := f.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	p = f.look(ctx, 0)
	if err := f.permits(ctx, p, a); err != nil {
		return err
	}
	err = a.run(ctx, p)
	switch {
	case errors.Is(err, etcd.ErrUnsafe):
		return cli.Refuse("%w", err)
	case err == nil:
		fmt.Fprint(o.Out, a.done)
	}
	return err
}

// printPlan prints what would be done, in its order.
func (o *Options) printPlan(lines ...string) {
	for i, line := range lines {
		fmt.Fprintf(o.Out, "%2d. %s\n", i+1, line)
	}
	fmt.Fprintln(o.Out, "Nothing was changed (dry run).")
}

// permits refuses what would be unsafe.
func (f *fleet) permits(ctx context.Context, p picture, a action) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := a.judge(p); err != nil {
		return cli.Refuse("%s is refused:\n  %s", a.verb, indented(err.Error()))
	}
	if !a.membership {
		return nil
	}
	if f.api == nil {
		return fmt.Errorf("%s: whether k0s is being upgraded is not known: %w", a.verb, p.objectsErr)
	}
	state, err := f.api.UpgradeInProgress(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", a.verb, err)
	}
	if state != "" {
		return cli.Refuse("%s is refused:\n  a k0s upgrade is in progress (%s): wait until it is done, or delete its Plan", a.verb, state)
	}
	return nil
}

// lock keeps other commands off the control plane, on every host that answers: each command locks at least one of them.
// The order is the same for everybody.
func (f *fleet) lock(ctx context.Context, p picture) (unlock func(), err error) {
	var hosts []remote
	for _, t := range p.tunnels {
		hosts = append(hosts, t.host)
	}
	slices.SortFunc(hosts, func(a, b remote) int { return strings.Compare(a.Name(), b.Name()) })
	ctx, cancel := context.WithTimeout(ctx, cli.LockTimeout)
	defer cancel()
	var held []func() error
	unlock = func() {
		for _, release := range held {
			_ = release() // a lock ends with the connection, too
		}
	}
	for _, h := range hosts {
		release, err := h.Lock(ctx, cli.LockPath)
		var locked *host.LockedError
		switch {
		case errors.As(err, &locked):
			unlock()
			return nil, cli.Refuse("another command is changing the control plane: %w", err)
		case err != nil:
			unlock()
			return nil, err
		}
		held = append(held, release)
	}
	return unlock, nil
}

// through returns the client to a member that answered.
func (p picture) through(m etcd.Member) client { return p.tunnels[m.ID].etcd }
