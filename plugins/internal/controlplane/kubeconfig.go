package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// contextName is what the cluster is called in a kubeconfig.
func (c *Cluster) contextName() string {
	if c.file.Cluster.Name == "" {
		return "k0s"
	}
	return c.file.Cluster.Name
}

// kubeconfigPath is the file that the cluster is written into; empty when the user wants none.
func (c *Cluster) kubeconfigPath() string {
	o := c.settings
	if !o.MergeKubeconfig {
		return o.WriteKubeconfig
	}
	if o.Kubeconfig != "" {
		return o.Kubeconfig
	}
	return clientcmd.NewDefaultPathOptions().GetDefaultFilename()
}

// KubectlFlags are the flags by which kubectl reaches the cluster with the kubeconfig that was written; empty when none
// was.
func (c *Cluster) KubectlFlags() string {
	switch path := c.kubeconfigPath(); {
	case c.settings.MergeKubeconfig && c.settings.Kubeconfig == "":
		return "--context " + c.contextName()
	case c.settings.MergeKubeconfig:
		return "--kubeconfig " + path + " --context " + c.contextName()
	case path != "":
		return "--kubeconfig " + path
	}
	return ""
}

// presentKubeconfig reads the user's file; an absent one is an empty configuration.
func (c *Cluster) presentKubeconfig() (*clientcmdapi.Config, error) {
	config, err := clientcmd.LoadFromFile(c.kubeconfigPath())
	if errors.Is(err, fs.ErrNotExist) {
		return clientcmdapi.NewConfig(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", c.kubeconfigPath(), err)
	}
	return config, nil
}

// checkKubeconfig makes sure that nothing of the user's would be overwritten.
func (c *Cluster) checkKubeconfig() []error {
	path := c.kubeconfigPath()
	if path == "" {
		return nil
	}
	present, err := c.presentKubeconfig()
	if err != nil {
		return []error{err}
	}
	name := c.contextName()
	there := present.Clusters[name]
	switch {
	case there == nil && len(present.Clusters) > 0 && !c.settings.MergeKubeconfig:
		return []error{fmt.Errorf("%s is the kubeconfig of something else: name another file with --write-kubeconfig, or use "+
			"--merge-kubeconfig", path)}
	case there != nil && !c.isAPI(there.Server):
		return []error{fmt.Errorf("%s: its cluster %q is at %s, not at %s: rename one of them, or move the file away", path, name,
			there.Server, c.apiURL())}
	}
	if info, err := os.Stat(filepath.Dir(path)); !c.settings.MergeKubeconfig && (err != nil || !info.IsDir()) {
		return []error{fmt.Errorf("%s: there is no such directory: name another file with --write-kubeconfig", filepath.Dir(path))}
	}
	return nil
}

// isAPI tells whether a kubeconfig's server is the load balancer.
func (c *Cluster) isAPI(server string) bool {
	host, port := kube.ServerHost(server)
	return sameAddress(host, c.file.LoadBalancer.Address) && port == strconv.Itoa(c.file.LoadBalancer.Ports.KubeAPI)
}

func (c *Cluster) newKubeconfig(ctx context.Context) (*clientcmdapi.Config, error) {
	text, err := c.seed.node.ExternalKubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	return kube.Named(text, c.contextName())
}

func (c *Cluster) skipKubeconfig(ctx context.Context) (string, error) {
	path := c.kubeconfigPath()
	if path == "" {
		return "not wanted", nil
	}
	if !c.seed.running() {
		return "", nil
	}
	present, err := c.presentKubeconfig()
	if err != nil {
		return "", err
	}
	wanted, err := c.newKubeconfig(ctx)
	if err != nil {
		return "", err
	}
	if kube.SameCluster(present, wanted, c.contextName()) {
		return path + " leads to the cluster", nil
	}
	return "", nil
}

func (c *Cluster) detailKubeconfig(context.Context) ([]string, error) {
	return []string{fmt.Sprintf("%s: context %s, %s", c.kubeconfigPath(), c.contextName(), c.apiURL())}, nil
}

// writeKubeconfig adds the cluster to the user's file, which stays readable for him alone. The new context becomes the
// current one only where there was none.
func (c *Cluster) writeKubeconfig(ctx context.Context) error {
	wanted, err := c.newKubeconfig(ctx)
	if err != nil {
		return err
	}
	config, err := c.presentKubeconfig()
	if err != nil {
		return err
	}
	name := c.contextName()
	config.Clusters[name] = wanted.Clusters[name]
	config.Contexts[name] = wanted.Contexts[name]
	user := wanted.Contexts[name].AuthInfo
	config.AuthInfos[user] = wanted.AuthInfos[user]
	if config.CurrentContext == "" {
		config.CurrentContext = name
	}
	if err := writePrivate(c.kubeconfigPath(), config); err != nil {
		return fmt.Errorf("writing %s: %w", c.kubeconfigPath(), err)
	}
	return nil
}

// writePrivate replaces a file in one step; only its owner can read it, at any moment. A symbolic link stays one.
func writePrivate(path string, config *clientcmdapi.Config) error {
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // ~/.kube of somebody who has none yet
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part.Name()) }() // it is gone once it has its name
	_, err = part.Write(text)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}
