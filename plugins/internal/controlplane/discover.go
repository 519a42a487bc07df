package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/discover"
)

// Discover finds the control plane by the kubeconfig where no file names it. It comes before Complete.
func (o *Options) Discover(ctx context.Context) error {
	if o.Discovery == nil {
		return nil
	}
	if o.File != "" && !o.Discovery.NamesKubeconfig() {
		o.PresentAPI = o.Discovery.API
		return nil
	}
	var err error
	if o.UserAPI, err = o.Discovery.API(); err != nil || o.File != "" {
		return err
	}
	o.Fileless = true
	o.found, err = o.Discovery.Text(ctx, o.UserAPI, o.UserAPI.Server(), len(o.LoadBalancers) > 0)
	switch {
	case errors.Is(err, discover.ErrNoLoadBalancer):
		return err
	case err != nil:
		return fmt.Errorf("finding the control plane by the kubeconfig (%s): %w: correct that, or name the cluster file with -f FILE",
			o.UserAPI.Server(), err)
	}
	return nil
}

// CompleteText reads a cluster file that was found in the cluster, or that was made of it.
func (o *Options) CompleteText(text []byte) error {
	balancers := make([]string, len(o.LoadBalancers))
	for i, target := range o.LoadBalancers {
		balancers[i] = o.Discovery.Balancer(target)
	}
	file, err := config.LoadText(discover.Source, text, balancers...)
	if err != nil {
		return err
	}
	for _, h := range file.LoadBalancer.Hosts {
		if len(balancers) > 0 && h.Conn.SSH != nil {
			h.Conn.SSH.KeyPath = o.Discovery.Key()
		}
	}
	o.Cluster = file
	return nil
}

// borrowAddress takes the load balancer's address and ports over from the running control plane, where nothing but the
// command line says where the load balancer is.
func (c *Cluster) borrowAddress() {
	lb := c.file.LoadBalancer
	named := slices.ContainsFunc(lb.Hosts, func(h *config.LBHost) bool { return h.Line > 0 })
	if !c.settings.Fileless || named || c.seed == nil || c.seed.config.ExternalAddress() == "" {
		return
	}
	running := c.seed.config
	lb.Address = running.ExternalAddress()
	lb.Ports = config.Ports{KubeAPI: running.APIPort(), Konnectivity: running.KonnectivityPort(), ControllerJoin: running.K0sAPIPort()}
}

// checkKubeconfigsCluster makes sure that the kubeconfig leads to the cluster of the hosts. In two networks, hosts may have
// the same addresses.
func (c *Cluster) checkKubeconfigsCluster(ctx context.Context) error {
	if c.settings.UserAPI == nil || c.seed == nil || !c.exists() {
		return nil
	}
	ca, err := c.settings.UserAPI.RootCA(ctx)
	if err != nil {
		return err
	}
	fingerprint, err := kube.Fingerprint(ca)
	if err != nil {
		return err
	}
	if fingerprint != c.seed.ca {
		return cli.Refuse("%s belongs to another cluster than the one of the kubeconfig: choose the right one with --kubeconfig or "+
			"--context, or see whether this machine is in the right network", c.seed.conn.Name())
	}
	return nil
}
