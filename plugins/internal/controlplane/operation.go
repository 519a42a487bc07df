package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// Operation is one command's work on a control plane: look at all hosts, see what stands against the work, ask, keep
// others away, take the steps, sum up.
type Operation struct {
	*Options
	Command string // as the user knows it, "kubectl ha-init"

	// Check, a method of Cluster, says what stands against the work; it changes nothing.
	Check func(*Cluster, context.Context) error
	// Confirm, a method of Cluster, asks what the user did not spell out; nil asks nothing.
	Confirm func(*Cluster, context.Context, *cli.Confirmer) error
	// Steps is the runbook.
	Steps func(c *Cluster) []step.Step
	// Summary says what has come of it.
	Summary func(out io.Writer, c *Cluster, result step.Result)
}

// Run does it.
func (o Operation) Run(ctx context.Context) error {
	reporter := report.New(o.ErrOut, report.Options{Mode: o.Progress})
	defer func() { _ = reporter.Close() }()
	confirmer := &cli.Confirmer{In: o.In, Out: o.ErrOut, Terminal: report.IsTerminal(o.In), Yes: o.Yes}
	for _, warning := range o.Cluster.Warnings {
		reporter.Warn(warning)
	}

	connector := &host.Connector{}
	if o.Discovery != nil {
		connector.SSHConfig = o.Discovery.SSHConfig
	}
	confirmer.Attend(connector, reporter.Prompt)
	c, err := survey(ctx, o.Cluster, o.Settings, connectBy(connector), reporter)
	defer c.close()
	if err != nil {
		return err
	}
	c.borrowAddress()
	if err := c.checkKubeconfigsCluster(ctx); err != nil {
		return err
	}
	if err := o.Check(c, ctx); err != nil {
		return err
	}
	c.lookAtSyncer(ctx)
	if o.DryRun == "client" {
		return printPlan(ctx, o.Out, os.Getenv, o.Command, o.Steps(c))
	}
	if o.Confirm != nil {
		if err := o.Confirm(c, ctx, confirmer); err != nil {
			return err
		}
	}
	locked, release, err := c.lock(ctx, o.Command)
	if err != nil {
		return err
	}
	unlock := sync.OnceFunc(release)
	defer unlock()
	result, err := step.Run(locked, o.Steps(c), reporter)
	if err != nil {
		if cause := context.Cause(locked); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	c.awaitObjects(locked)
	unlock()
	c.awaitSyncer(ctx)
	if err := reporter.Close(); err != nil {
		return err
	}
	o.Summary(o.Out, c, untold(result, o.Progress))
	return nil
}

// untold is a result without what the progress has told a program already: how long each step took.
func untold(result step.Result, mode report.Mode) step.Result {
	if mode == report.ModeJSON {
		result.Took = nil
	}
	return result
}

// lock keeps others off the control plane: other commands by a file on controllers, which are there before there is a
// control plane, and by a Lease in a cluster that runs; and the syncer, which the Lease tells, by a file on load balancers,
// so that what it was about to do is done before. The context that it returns ends when the Lease is lost.
func (c *Cluster) lock(ctx context.Context, command string) (locked context.Context, unlock func(), err error) {
	unlockHosts, err := lockAll(ctx, connectionsOf(c.locking()), cli.LockPath, cli.LockTimeout)
	if err != nil {
		return nil, nil, err
	}
	locked, release := ctx, func() {}
	if c.api != nil && (c.leaving != nil || c.seed.deputy || c.api.kube.Ready(ctx) == nil) {
		locked, release, err = c.api.kube.LockOperation(ctx, cli.Holder(command), cli.Abandoned)
		if err != nil {
			unlockHosts()
			var held *kube.OperationHeldError
			if errors.As(err, &held) || errors.Is(err, kube.ErrAlarm) {
				return nil, nil, cli.Refuse("%w", err)
			}
			return nil, nil, err
		}
	}
	balancers := make([]remote, len(c.balancers))
	for i, b := range c.balancers {
		balancers[i] = b.conn
	}
	unlockBalancers, err := lockAll(ctx, balancers, haproxy.OperationLock, balancerTimeout)
	if err != nil {
		release()
		unlockHosts()
		return nil, nil, err
	}
	return locked, func() {
		unlockBalancers()
		release()
		unlockHosts()
	}, nil
}

// balancerTimeout is how long a load balancer's lock is waited for: what the syncer has begun there may include a reload, and
// waiting for a health check.
const balancerTimeout = time.Minute

// diffLines shows what becomes of a cluster file or a k0s.yaml, without what may be secret in it.
func diffLines(path string, before, after []byte) []string {
	if bytes.Equal(before, after) {
		return nil
	}
	shownBefore, errBefore := config.Redact(before)
	shownAfter, errAfter := config.Redact(after)
	diff := haproxy.Diff(path, shownBefore, shownAfter)
	if diff == "" || errBefore != nil || errAfter != nil {
		return []string{path + " changes in what may be secret and is not shown"}
	}
	return strings.Split(strings.TrimRight(diff, "\n"), "\n")
}
