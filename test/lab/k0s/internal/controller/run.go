package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/component"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/joinapi"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/kube"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lifecycle"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/pki"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/worker"
)

// controller is one running controller.
type controller struct {
	vars    *vars.Vars
	config  *clusterconfig.Config
	options *Options
	log     *slog.Logger

	node string
	join *joinapi.Client
	kube kube.Clients
	// leaveOnStop says that this host's member is to be removed before etcd stops.
	leaveOnStop atomic.Bool
	shutdown    context.CancelCauseFunc
}

// Run runs a controller until ctx ends. A controller that has left the cluster
// stops its components, but not itself: its unit stays active.
func Run(ctx context.Context, v *vars.Vars, options *Options, log *slog.Logger) error {
	if err := options.Validate(); err != nil {
		return err
	}
	config, err := clusterconfig.Load(v)
	if err != nil {
		return err
	}
	if err := config.Validate(); err != nil {
		return err
	}
	hold, err := vars.Hold(v, config)
	if err != nil {
		return fmt.Errorf("failed to initialize runtime config: %w", err)
	}
	defer func() { _ = hold.Release() }()
	c := &controller{vars: v, config: config, options: options, log: log}
	if err := c.run(ctx); err != nil {
		return err
	}
	if ctx.Err() == nil {
		log.Info("awaiting process shutdown")
		<-ctx.Done()
	}
	return nil
}

func (c *controller) run(ctx context.Context) error {
	ctx, c.shutdown = context.WithCancelCause(ctx)
	defer c.shutdown(nil)
	if err := c.makeDirectories(); err != nil {
		return err
	}
	var err error
	if c.node, err = worker.NodeName(c.options.Worker.KubeletExtraArgs); err != nil {
		return err
	}
	if c.join, err = joinCluster(ctx, c.vars, c.options, c.log); err != nil {
		return err
	}
	if err := pki.EnsureController(ctx, c.vars, c.config); err != nil {
		return err
	}
	if c.kube, err = kube.FromFile(c.vars.AdminKubeConfigPath); err != nil {
		return err
	}
	return lifecycle.Run(ctx, c.log, c.parts())
}

func (c *controller) makeDirectories() error {
	var errs []error
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{
		{c.vars.DataDir, 0o755},
		{c.vars.RunDir, 0o755},
		{c.vars.BinDir, 0o755},
		{c.vars.CertRootDir, 0o751},
		{c.vars.EtcdCertDir, 0o711},
		{c.vars.EtcdDataDir, 0o700},
		{c.vars.ManifestsDir, 0o755},
		{c.vars.OCIBundleDir, 0o755},
		{filepath.Dir(c.vars.AdminKubeConfigPath), 0o751},
	} {
		errs = append(errs, os.MkdirAll(dir.path, dir.mode), os.Chmod(dir.path, dir.mode))
	}
	return errors.Join(errs...)
}

// parts is a controller from first to last; it stops from last to first.
func (c *controller) parts() []lifecycle.Part {
	parts := []lifecycle.Part{c.etcd()}
	if !c.options.Single && c.options.enabled("konnectivity-server") {
		parts = append(parts, c.konnectivity())
	}
	parts = append(parts, c.apiServer())
	elector := c.elector()
	if !c.options.Single {
		parts = append(parts, c.ownLease(), lifecycle.Part{
			Name:  "leader election",
			Start: func(context.Context) error { elector.Start(); return nil },
			Stop:  func() error { elector.Stop(); return nil },
		})
		if c.options.enabled("control-api") {
			parts = append(parts, c.joinAPI())
		}
	}
	parts = append(parts, c.status())
	if c.reconcilesEndpoints() {
		parts = append(parts, c.endpoints(elector))
	}
	parts = append(parts, c.objects())
	if c.options.enabled("node-role") {
		parts = append(parts, c.nodeRoles())
	}
	if c.options.enabled("kube-scheduler") {
		parts = append(parts, c.process(component.SchedulerName, component.Scheduler(c.vars, c.config, !c.options.Single), 0))
	}
	if c.options.enabled("kube-controller-manager") {
		parts = append(parts, c.process(component.ControllerManagerName,
			component.ControllerManager(c.vars, c.config, !c.options.Single), 0))
	}
	if !c.options.Single {
		parts = append(parts, c.members(elector))
	}
	if c.options.enabled("autopilot") {
		parts = append(parts, c.controlNode())
	}
	if c.options.Workloads() {
		parts = append(parts, c.kubelet())
	}
	return parts
}

// reconcilesEndpoints reports whether k0s, and not the API server, keeps the
// Endpoints of default/kubernetes.
func (c *controller) reconcilesEndpoints() bool {
	lb := c.config.Spec.Network.ControlPlaneLoadBalancing
	return c.config.Spec.API.ExternalAddress != "" && c.options.enabled("endpoint-reconciler") && (lb == nil || !lb.Enabled)
}
