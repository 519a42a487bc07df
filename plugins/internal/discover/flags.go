// Package discover finds the hosts of a control plane by the user's kubeconfig, where no cluster file names them.
package discover

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// Flags say which cluster is meant, and how hosts are reached that no cluster file names.
type Flags struct {
	Kube *genericclioptions.ConfigFlags

	SSHUser   string
	SSHKey    string
	SSHPort   int // 0 leaves it to ssh_config
	SSHConfig string
	DataDir   string
}

// NewFlags are those of a command line without flags.
func NewFlags() Flags { return Flags{Kube: kubeFlags(), DataDir: config.DefaultDataDir} }

// kubeFlags are those of kubectl's flags that say which cluster is meant, and as whom.
func kubeFlags() *genericclioptions.ConfigFlags {
	all := genericclioptions.NewConfigFlags(true)
	return &genericclioptions.ConfigFlags{
		KubeConfig: all.KubeConfig, Context: all.Context, ClusterName: all.ClusterName, AuthInfoName: all.AuthInfoName,
	}
}

// AddFlags adds them to a command.
func (f *Flags) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.SSHUser, "ssh-user", "", "user for hosts that no cluster file names")
	flags.StringVar(&f.SSHKey, "ssh-key", "", "private key file for hosts that no cluster file names")
	flags.IntVar(&f.SSHPort, "ssh-port", 0, "port for hosts that no cluster file names")
	flags.StringVar(&f.SSHConfig, "ssh-config", "", "read this file in place of ~/.ssh/config and /etc/ssh/ssh_config")
	flags.StringVar(&f.DataDir, "data-dir", f.DataDir, "k0s's data directory on hosts that no cluster file names")
	f.Kube.AddFlags(flags)
}

// Validate judges the flags.
func (f *Flags) Validate() error {
	if f.SSHPort < 0 || f.SSHPort > 65535 {
		return fmt.Errorf("--ssh-port=%d: want a port number", f.SSHPort)
	}
	return nil
}

// NamesKubeconfig tells whether the command line says which kubeconfig to use. Without that, a cluster file is asked
// for its own cluster: the user's present context may be another one's.
func (f *Flags) NamesKubeconfig() bool {
	return *f.Kube.KubeConfig != "" || *f.Kube.Context != "" || *f.Kube.ClusterName != "" || *f.Kube.AuthInfoName != ""
}

// RESTConfig is what the kubeconfig comes to.
func (f *Flags) RESTConfig() (*rest.Config, error) {
	config, err := f.Kube.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return config, nil
}

// API makes a client of it. Nothing is sent yet.
func (f *Flags) API() (*kube.Cluster, error) {
	config, err := f.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kube.ConnectTo(config)
}

// Connection is how a host is reached of which nothing is known but its address.
func (f *Flags) Connection(address string) config.Connection {
	return config.Connection{SSH: &config.SSH{Address: address, User: f.SSHUser, Port: f.SSHPort, KeyPath: f.SSHKey}}
}

// Override gives a connection that the cluster's own note knows what the command line says otherwise. A key that another
// user has had there and this one has not is left to ssh_config.
func (f *Flags) Override(c config.Connection) config.Connection {
	switch {
	case c.SSH != nil:
		s := *c.SSH
		s.User, s.Port = cmp.Or(f.SSHUser, s.User), cmp.Or(f.SSHPort, s.Port)
		s.KeyPath = cmp.Or(f.Key(), present(s.KeyPath))
		if s.Bastion != nil {
			bastion := *s.Bastion
			bastion.KeyPath = present(bastion.KeyPath)
			s.Bastion = &bastion
		}
		c.SSH = &s
	case c.OpenSSH != nil:
		o := *c.OpenSSH
		o.User, o.Port = cmp.Or(f.SSHUser, o.User), cmp.Or(f.SSHPort, o.Port)
		o.KeyPath = cmp.Or(f.Key(), present(o.KeyPath))
		c.OpenSSH = &o
	}
	return c
}

// Balancer gives a load balancer's host on the command line, [USER@]HOST[:PORT], what other flags say of hosts.
func (f *Flags) Balancer(target string) string {
	if f.SSHUser == "" || strings.Contains(target, "@") {
		return target
	}
	return f.SSHUser + "@" + target
}

// Key is the path of --ssh-key, which is relative to the present directory.
func (f *Flags) Key() string {
	if f.SSHKey == "" {
		return ""
	}
	path, err := filepath.Abs(f.SSHKey)
	if err != nil {
		return f.SSHKey // the present directory is gone: the path is reported where it is opened
	}
	return path
}

// present is the path where there is a file.
func present(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
