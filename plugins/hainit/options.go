package hainit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// Options is what the command line says.
type Options struct {
	genericiooptions.IOStreams

	File            string
	LoadBalancers   []string // [USER@]HOST[:PORT]
	Yes             bool
	AdoptHAProxy    bool
	DryRun          string // "none" or "client"
	Progress        report.Mode
	WriteKubeconfig string
	MergeKubeconfig bool
	Kubeconfig      string
	Parallel        int
	Timeout         time.Duration

	file *config.File // after Complete
	web  *http.Client // for versions, releases and their checksums
}

func newOptions(streams genericiooptions.IOStreams) *Options {
	return &Options{
		IOStreams:       streams,
		DryRun:          "none",
		Progress:        report.ModeAuto,
		WriteKubeconfig: "kubeconfig",
		Parallel:        10,
		Timeout:         5 * time.Minute,
		web:             http.DefaultClient,
	}
}

// Complete reads the cluster file.
func (o *Options) Complete() error {
	if o.File == "" {
		return &cli.UsageError{Err: errors.New("no cluster file: name it with -f FILE")}
	}
	file, err := config.Load(o.File, o.LoadBalancers...)
	if err != nil {
		return err
	}
	o.file = file
	return nil
}

// Validate judges the flags against each other.
func (o *Options) Validate() error {
	var errs []error
	for _, lb := range o.LoadBalancers {
		if err := config.CheckLoadBalancer(lb); err != nil {
			errs = append(errs, fmt.Errorf("--lb: %w", err))
		}
	}
	if o.DryRun != "none" && o.DryRun != "client" {
		errs = append(errs, fmt.Errorf("--dry-run=%s: want none or client", o.DryRun))
	}
	if o.Parallel < 1 {
		errs = append(errs, fmt.Errorf("--parallel=%d: want 1 or more", o.Parallel))
	}
	if o.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout=%s: want a positive duration", o.Timeout))
	}
	if o.Kubeconfig != "" && !o.MergeKubeconfig {
		errs = append(errs, errors.New("--kubeconfig names the file for --merge-kubeconfig, which is not given; "+
			"to write a new file, use --write-kubeconfig"))
	}
	return errors.Join(errs...)
}

// Run does it.
func (o *Options) Run(ctx context.Context) error {
	reporter := report.New(o.ErrOut, report.Options{Mode: o.Progress})
	defer func() { _ = reporter.Close() }()
	terminal := report.IsTerminal(o.In)
	confirmer := &cli.Confirmer{In: o.In, Out: o.ErrOut, Terminal: terminal, Yes: o.Yes}
	for _, warning := range o.file.Warnings {
		reporter.Warn(warning)
	}

	connector := &host.Connector{}
	if terminal {
		connector.Confirm = func(ctx context.Context, key host.UnknownKey) (yes bool, err error) {
			question := fmt.Sprintf("The %s key of %s is not known: %s. Trust it?", key.KeyType, key.Host, key.Fingerprint)
			reporter.Prompt(func() { yes, err = confirmer.Ask(ctx, question) })
			return yes, err
		}
	}
	c, err := survey(ctx, o, connectBy(connector), reporter)
	defer c.close()
	if err != nil {
		return err
	}
	if err := c.preflight(ctx); err != nil {
		return err
	}
	if o.DryRun == "client" {
		return o.printPlan(ctx, c)
	}
	if err := c.confirmAdoption(ctx, confirmer); err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the lock ends with the connection, too
	result, err := step.Run(ctx, c.steps(), reporter)
	if err != nil {
		return err
	}
	if err := reporter.Close(); err != nil {
		return err
	}
	o.printSummary(c, result)
	return nil
}

// lock keeps other commands off the control plane, by the first controller.
func (c *cluster) lock(ctx context.Context) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, cli.LockTimeout)
	defer cancel()
	unlock, err = c.seed.conn.Lock(ctx, cli.LockPath)
	var held *host.LockedError
	if errors.As(err, &held) {
		return nil, cli.Refuse("another command is changing the control plane: %w", err)
	}
	return unlock, err
}

func (o *Options) printPlan(ctx context.Context, c *cluster) error {
	planned, err := step.Plan(ctx, c.steps())
	if err != nil {
		return err
	}
	for i, p := range planned {
		if p.Reason != "" {
			fmt.Fprintf(o.Out, "%2d. skip  %s: %s\n", i+1, p.Title, p.Reason)
			continue
		}
		fmt.Fprintf(o.Out, "%2d. run   %s\n", i+1, p.Title)
		for _, line := range p.Detail {
			fmt.Fprintf(o.Out, "            %s\n", strings.TrimRight(line, "\n"))
		}
	}
	fmt.Fprintln(o.Out, "Nothing was changed (dry run).")
	return nil
}

func (o *Options) printSummary(c *cluster, result step.Result) {
	address := c.file.LoadBalancer.Address
	if result.Changed == 0 {
		fmt.Fprintf(o.Out, "The control plane at %s is highly available already: %d controllers. Nothing was changed.\n",
			address, len(c.controllers))
		return
	}
	fmt.Fprintf(o.Out, "The control plane at %s is highly available: %d controllers, %d steps run, %d not needed.\n",
		address, len(c.controllers), result.Changed, result.Skipped)
	switch path := c.kubeconfigPath(); {
	case o.MergeKubeconfig && o.Kubeconfig == "":
		fmt.Fprintf(o.Out, "Next: kubectl --context %s get nodes\n", c.contextName())
	case o.MergeKubeconfig:
		fmt.Fprintf(o.Out, "Next: kubectl --kubeconfig %s --context %s get nodes\n", path, c.contextName())
	case path != "":
		fmt.Fprintf(o.Out, "Next: kubectl --kubeconfig %s get nodes\n", path)
	}
}
