package etcdmembers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// Options is what the command line says.
type Options struct {
	genericiooptions.IOStreams

	Kube *genericclioptions.ConfigFlags
	File string

	SSH       bool
	SSHUser   string
	SSHKey    string
	SSHPort   int // 0 leaves it to ssh_config
	SSHConfig string
	DataDir   string

	Timeout  time.Duration
	Output   string
	Watch    bool
	Interval time.Duration
	Yes      bool

	file   *config.File // after Complete; nil without one
	world  world        // after Complete
	asking atomic.Int32 // questions that the user is being asked
}

func newOptions(streams genericiooptions.IOStreams) *Options {
	return &Options{
		IOStreams: streams,
		Kube:      kubeFlags(),
		SSH:       true,
		DataDir:   config.DefaultDataDir,
		Timeout:   5 * time.Second,
		Output:    "table",
		Interval:  2 * time.Second,
	}
}

// kubeFlags are those of kubectl's flags that say which cluster is meant, and as whom.
func kubeFlags() *genericclioptions.ConfigFlags {
	all := genericclioptions.NewConfigFlags(true)
	return &genericclioptions.ConfigFlags{
		KubeConfig: all.KubeConfig, Context: all.Context, ClusterName: all.ClusterName, AuthInfoName: all.AuthInfoName,
	}
}

// namesKubeconfig tells whether the command line says which kubeconfig to use. Without that, a cluster file is asked
// for its own cluster: the user's present context may be another one's.
func (o *Options) namesKubeconfig() bool {
	return *o.Kube.KubeConfig != "" || *o.Kube.Context != "" || *o.Kube.ClusterName != "" || *o.Kube.AuthInfoName != ""
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
	if o.SSHPort < 0 || o.SSHPort > 65535 {
		errs = append(errs, fmt.Errorf("--ssh-port=%d: want a port number", o.SSHPort))
	}
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
