package controlplane

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/discover"
)

// Options is what the command line of every command that works on a control plane says.
type Options struct {
	genericiooptions.IOStreams

	File          string
	LoadBalancers []string // [USER@]HOST[:PORT]
	Yes           bool
	DryRun        string // "none" or "client"
	Progress      report.Mode
	Settings

	// K0sBinary is k0s's executable on this machine for new hosts, where no file says where they have it from.
	K0sBinary string

	// Discovery says how a control plane is found that no file names; nil where a command needs a file.
	Discovery *discover.Flags

	Cluster *config.File // after Complete

	found []byte         // a cluster file, after Discover without a file
	named *pflag.FlagSet // the flags of Discovery; nil where there are none
}

// Settings is what flags say about the work on hosts.
type Settings struct {
	Parallel     int           // how many hosts to work on at once
	Timeout      time.Duration // how long to wait for one condition on a host
	AdoptHAProxy bool          // take over HAProxy sections made by hand, without asking

	WriteKubeconfig string // path of the kubeconfig to write; empty for none
	MergeKubeconfig bool   // add the cluster to the user's own kubeconfig instead
	Kubeconfig      string // the file for that; empty for kubectl's default

	Web *http.Client // for versions, releases and their checksums

	// UserAPI is the cluster's API by the user's own kubeconfig; nil where a file alone says which cluster is meant.
	UserAPI *kube.Cluster
	// PresentAPI makes a client of the user's present context, where nothing says that this is the file's cluster; nil
	// where it is not to be used.
	PresentAPI func() (*kube.Cluster, error)
	// Fileless says that no file names the hosts: they were found by the kubeconfig.
	Fileless bool
}

// NewOptions are those of a command line without flags.
func NewOptions(streams genericiooptions.IOStreams) Options {
	return Options{IOStreams: streams, DryRun: "none", Progress: report.ModeAuto, Settings: DefaultSettings()}
}

// DefaultSettings are those of a command line without flags.
func DefaultSettings() Settings {
	return Settings{Parallel: 10, Timeout: 5 * time.Minute, Web: http.DefaultClient}
}

// AddFlags adds the flags that every command has.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.File, "filename", "f", o.File, "the cluster file")
	flags.StringArrayVar(&o.LoadBalancers, "lb", nil,
		"a host for HAProxy, as [USER@]HOST[:PORT], where the file has no LoadBalancer; may be given more than once")
	flags.BoolVarP(&o.Yes, "yes", "y", false, "answer yes to every question, save those about unknown host keys")
	flags.StringVar(&o.DryRun, "dry-run", o.DryRun, `"none", or "client" to print what would be done`)
	flags.Var(&o.Progress, "progress", "how to show progress: auto, tty, plain or json")
	flags.IntVar(&o.Parallel, "parallel", o.Parallel, "how many hosts to work on at once")
	flags.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long to wait for one condition on a host, as a controller to be ready")
}

// AddDiscovery adds the flags of commands that find the hosts by the kubeconfig where there is no file.
func (o *Options) AddDiscovery(flags *pflag.FlagSet) {
	found := discover.NewFlags()
	o.Discovery, o.named = &found, pflag.NewFlagSet("", pflag.ContinueOnError)
	found.AddFlags(o.named)
	flags.AddFlagSet(o.named)
	flags.Lookup("filename").Usage = "the cluster file; without one, the hosts are found by the kubeconfig"
	flags.Lookup("lb").Usage = "a host of HAProxy, as [USER@]HOST[:PORT], where neither the file nor the cluster says where it is; " +
		"may be given more than once"
}

// AskMembers is the command that shows the members of etcd of the same cluster: with the file, and the flags of Discovery,
// that were given to this one.
func (o *Options) AskMembers() string {
	var command strings.Builder
	command.WriteString("kubectl etcd-members")
	if o.File != "" {
		command.WriteString(" -f " + shell.Word(o.File))
	}
	if o.named != nil {
		o.named.VisitAll(func(flag *pflag.Flag) {
			if flag.Changed {
				command.WriteString(" --" + flag.Name + " " + shell.Word(flag.Value.String()))
			}
		})
	}
	return command.String()
}

// AddK0sBinary adds the flag of commands that let hosts in, with a file or without.
func (o *Options) AddK0sBinary(flags *pflag.FlagSet) {
	flags.StringVar(&o.K0sBinary, "k0s-binary", "",
		"without a file: k0s's executable on this machine, which new hosts get; they download the cluster's version when empty")
}

// Complete reads the cluster file, or what was found in its place.
func (o *Options) Complete() error {
	if o.Fileless {
		return o.CompleteText(o.found)
	}
	if o.File == "" {
		return &cli.UsageError{Err: errors.New("no cluster file: name it with -f FILE")}
	}
	file, err := config.Load(o.File, o.LoadBalancers...)
	if err != nil {
		return err
	}
	o.Cluster = file
	return nil
}

// Validate judges the flags.
func (o *Options) Validate() error {
	var errs []error
	if o.Discovery != nil {
		errs = append(errs, o.Discovery.Validate())
	}
	if o.File != "" && o.K0sBinary != "" {
		errs = append(errs, errors.New("--k0s-binary is for a call without a file: write k0sBinaryPath into the file"))
	}
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
	return errors.Join(errs...)
}
