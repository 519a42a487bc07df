package etcdmembers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/discover"
)

// Options is what the command line says.
type Options struct {
	genericiooptions.IOStreams

	discover.Flags
	File string
	SSH  bool

	Timeout  time.Duration
	Output   string
	Watch    bool
	Interval time.Duration
	Yes      bool
	DryRun   string // "none" or "client"

	file   *config.File // after Complete; nil without one
	world  world        // after Complete
	asking atomic.Int32 // questions that the user is being asked
}

func newOptions(streams genericiooptions.IOStreams) *Options {
	return &Options{
		IOStreams: streams,
		Flags:     discover.NewFlags(),
		SSH:       true,
		Timeout:   5 * time.Second,
		Output:    "table",
		Interval:  2 * time.Second,
		DryRun:    "none",
	}
}

func outputs() []string { return []string{"table", "wide", "json", "yaml", "name"} }

// Validate judges the flags.
func (o *Options) Validate() error {
	var errs []error
	if !slices.Contains(outputs(), o.Output) {
		errs = append(errs, fmt.Errorf("--output=%s: want one of %s", o.Output, strings.Join(outputs(), ", ")))
	}
	if o.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout=%s: want a positive duration", o.Timeout))
	}
	if o.Interval <= 0 {
		errs = append(errs, fmt.Errorf("--interval=%s: want a positive duration", o.Interval))
	}
	if o.DryRun != "none" && o.DryRun != "client" {
		errs = append(errs, fmt.Errorf("--dry-run=%s: want none or client", o.DryRun))
	}
	errs = append(errs, o.Flags.Validate())
	if !o.SSH && o.File != "" {
		errs = append(errs, errors.New("-f names hosts to reach by SSH, and --ssh=false forbids it: give one of the two"))
	}
	return errors.Join(errs...)
}

// Complete reads the cluster file, if there is one. It need not name a load balancer.
func (o *Options) Complete() error {
	o.world = o.realWorld()
	if o.File == "" {
		return nil
	}
	file, err := config.LoadHosts(o.File)
	if err != nil {
		return err
	}
	for _, warning := range file.Warnings {
		fmt.Fprintf(o.ErrOut, "warning: %s\n", warning)
	}
	o.file = file
	return nil
}
