package haeject

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/node"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/controlplane"
)

// Options is what the command line says.
type Options struct {
	controlplane.Options
	controlplane.Removal
	SkipSnapshot bool
	ReplaceWith  string // [USER@]HOST[:PORT]; empty for nobody

	now func() time.Time
}

func newOptions(streams genericiooptions.IOStreams) *Options {
	return &Options{
		Options: controlplane.NewOptions(streams),
		Removal: controlplane.Removal{Drain: node.Options{GracePeriod: -1, IgnoreDaemonSets: true}, EditFile: true},
		now:     time.Now,
	}
}

func (o *Options) addFlags(flags *pflag.FlagSet) {
	o.AddFlags(flags)
	o.AddDiscovery(flags)
	o.AddK0sBinary(flags)
	flags.StringVar(&o.ReplaceWith, "replace-with", "",
		"a host that joins in NODE's place, as [USER@]HOST[:PORT]: before NODE leaves, or, when NODE is dead, after that")
	flags.Lookup("timeout").Usage = "how long to wait for one condition, as for the drain of the Node"
	flags.BoolVar(&o.AllowSingle, "allow-single", false, "also where one controller would be left, and with it the only copy of the data")
	flags.BoolVar(&o.Force, "force", false,
		"also pods that no controller would make anew; also a host that runs and cannot be reached by SSH: reset it yourself then; "+
			"also a controller that is down while others are, as long as those that are up are a quorum of those that remain")
	flags.BoolVar(&o.KeepData, "keep-data", false, "stop and disable k0s on the host, and leave everything of it there")
	flags.BoolVar(&o.EditFile, "edit-file", o.EditFile, "remove the host's entry from the cluster file, and add that of --replace-with")
	flags.StringVar(&o.Snapshot, "snapshot", "",
		"file for the copy of etcd's database that is taken before (default etcd-CLUSTER-TIME.db in the present directory)")
	flags.BoolVar(&o.SkipSnapshot, "skip-snapshot", false, "take no copy of etcd's database")
	flags.BoolVar(&o.SkipDrain, "skip-drain", false, "do not drain the Node")
	flags.IntVar(&o.Drain.GracePeriod, "grace-period", o.Drain.GracePeriod,
		"seconds that each pod has to end; negative for what the pod itself says")
	flags.BoolVar(&o.Drain.IgnoreDaemonSets, "ignore-daemonsets", o.Drain.IgnoreDaemonSets, "leave pods of DaemonSets where they are")
	flags.BoolVar(&o.Drain.DeleteEmptyDirData, "delete-emptydir-data", false, "also pods that use emptyDir volumes, whose data is lost")
	flags.BoolVar(&o.Drain.DisableEviction, "disable-eviction", false, "delete pods, whatever PodDisruptionBudgets say")
	flags.StringVar(&o.Drain.PodSelector, "pod-selector", "", "drain only pods with these labels, as KEY=VALUE,...; the others end with the host")
	flags.IntVar(&o.Drain.SkipWait, "skip-wait-for-delete-timeout", 0,
		"above 0: do not wait for pods that were to be deleted more than so many seconds ago")
}

// Complete reads the cluster file and names the snapshot.
func (o *Options) Complete() error {
	if err := o.Options.Complete(); err != nil {
		return err
	}
	if o.ReplaceWith != "" {
		growth, entries, err := o.LetIn("", o.ReplaceWith)
		if err != nil {
			return err
		}
		if !o.EditFile {
			entries = entries.Kept()
		}
		o.ReplacedBy = &controlplane.Replacement{Growth: growth, Entries: entries}
	}
	o.Drain.Force = o.Force
	if o.Snapshot == "" && !o.SkipSnapshot {
		name := strings.ReplaceAll(o.Cluster.Cluster.Name, "/", "-")
		o.Snapshot = fmt.Sprintf("etcd-%s-%s.db", name, o.now().UTC().Format("20060102T150405Z"))
	}
	return nil
}

// Validate judges the flags against each other.
func (o *Options) Validate() error {
	err := o.Options.Validate()
	if o.Controller == "" {
		err = errors.Join(err, errors.New("the controller's name is empty"))
	}
	if o.ReplaceWith != "" {
		err = errors.Join(err, config.CheckTarget(o.ReplaceWith))
	}
	if _, wrong := labels.Parse(o.Drain.PodSelector); wrong != nil {
		err = errors.Join(err, fmt.Errorf("--pod-selector: %w: write KEY=VALUE, or several of them with commas", wrong))
	}
	if o.Snapshot != "" && o.SkipSnapshot {
		err = errors.Join(err, errors.New("--snapshot names a file, and --skip-snapshot wants none: give one of the two"))
	}
	return err
}

// Run does it.
func (o *Options) Run(ctx context.Context) error {
	operation := controlplane.Operation{
		Options: &o.Options,
		Command: commandName,
		Check: func(c *controlplane.Cluster, ctx context.Context) error {
			return c.PreflightRemoval(ctx, o.Removal)
		},
		Confirm: (*controlplane.Cluster).ConfirmRemoval,
		Steps:   steps,
		Summary: o.summary,
	}
	if o.ReplacedBy != nil {
		operation.Check = func(c *controlplane.Cluster, ctx context.Context) error {
			return c.PreflightReplacement(ctx, o.Removal)
		}
		operation.Confirm = (*controlplane.Cluster).ConfirmReplacement
		operation.Steps = func(c *controlplane.Cluster) []step.Step {
			return replacement(c, o.ReplacedBy.Entries, c.LeavesFirst())
		}
		operation.Summary = func(out io.Writer, c *controlplane.Cluster, result step.Result) {
			o.say(out, c.ReplacementAftermath(), result)
		}
	}
	return operation.Run(ctx)
}

// summary says what has come of a run, and what is left to do.
func (o *Options) summary(out io.Writer, c *controlplane.Cluster, result step.Result) {
	o.say(out, c.Aftermath(), result)
}

func (o *Options) say(out io.Writer, lines []string, result step.Result) {
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "%s.\n", result)
	result.WriteTimes(out)
	fmt.Fprintf(out, "Next: %s shows how the others are.\n", o.AskMembers())
}
