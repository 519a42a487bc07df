package controller

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/joinapi"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/konnectivity"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lease"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lifecycle"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/objects"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/reconcile"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/status"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/worker"
)

func (c *controller) konnectivity() lifecycle.Part {
	listener := &konnectivity.Listener{Vars: c.vars, Config: c.config.Spec.Konnectivity, Log: c.log}
	return lifecycle.Part{
		Name:  "konnectivity listener",
		Start: func(context.Context) error { return listener.Start() },
		Stop:  listener.Stop,
	}
}

// ownLease proves that this controller lives.
func (c *controller) ownLease() lifecycle.Part {
	elector := lease.NewElector(c.kube.Typed, lease.OfController(c.node), c.vars.InvocationID, c.log)
	return lifecycle.Part{
		Name:  "controller lease",
		Start: func(context.Context) error { elector.Start(); return nil },
		Stop:  func() error { elector.Stop(); return nil },
	}
}

func (c *controller) elector() *lease.Elector {
	return lease.NewElector(c.kube.Typed, lease.Leader, c.vars.InvocationID, c.log)
}

func (c *controller) joinAPI() lifecycle.Part {
	server := &joinapi.Server{Vars: c.vars, Config: c.config, Client: c.kube.Typed, Log: c.log.With("component", "k0s-control-api")}
	return lifecycle.Part{
		Name:  "controller join API",
		Start: func(context.Context) error { return server.Start() },
		Stop:  server.Stop,
	}
}

func (c *controller) status() lifecycle.Part {
	server := &status.Server{Info: status.Info{
		Version: vars.Version, Pid: os.Getpid(), Role: "controller", Args: c.options.Args,
		Workloads: c.options.Workloads(), SingleNode: c.options.Single, ClusterConfig: c.config, K0sVars: c.vars,
	}}
	if c.options.Workloads() {
		server.Probe = worker.Probe(c.vars)
	}
	return lifecycle.Part{
		Name:  "status socket",
		Start: func(context.Context) error { return server.Start() },
		Stop:  server.Stop,
	}
}

// objects creates what a cluster of k0s holds from the beginning.
func (c *controller) objects() lifecycle.Part {
	return lifecycle.Part{
		Name:  "custom resources and roles",
		Start: func(ctx context.Context) error { return objects.Apply(ctx, c.kube.Dynamic) },
	}
}

func (c *controller) endpoints(elector *lease.Elector) lifecycle.Part {
	return c.periodic("endpoint reconciler", 10*time.Second, func(ctx context.Context) error {
		if leading, _ := elector.Leading(); !leading {
			return nil
		}
		return reconcile.Endpoints(ctx, c.kube.Typed, c.config.Spec.API)
	})
}

func (c *controller) nodeRoles() lifecycle.Part {
	return c.periodic("node roles", time.Minute, func(ctx context.Context) error {
		return reconcile.NodeRoles(ctx, c.kube.Typed)
	})
}

func (c *controller) periodic(name string, interval time.Duration, f func(context.Context) error) lifecycle.Part {
	var cancel context.CancelFunc
	done := make(chan struct{})
	return lifecycle.Part{
		Name: name,
		Start: func(context.Context) error {
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			go func() {
				defer close(done)
				reconcile.Every(ctx, interval, func(ctx context.Context) {
					if err := f(ctx); err != nil && ctx.Err() == nil {
						c.log.Warn("periodic work failed", "part", name, "err", err)
					}
				})
			}()
			return nil
		},
		Stop: func() error {
			cancel()
			<-done
			return nil
		},
	}
}

func (c *controller) members(elector *lease.Elector) lifecycle.Part {
	var members *reconcile.Members
	return lifecycle.Part{
		Name: "etcd members",
		Start: func(ctx context.Context) error {
			name, err := c.memberName()
			if err != nil {
				return err
			}
			members = &reconcile.Members{
				Vars: c.vars, Name: strings.ToLower(name), Node: c.node, PeerAddress: c.config.Spec.Storage.Etcd.PeerAddress,
				Kube: c.kube.Typed, Objects: objects.NewEtcdMembers(c.kube.Dynamic), Elector: elector,
				Log: c.log.With("component", "etcd-members"),
				Leave: func(removeMember bool) {
					c.leaveOnStop.Store(removeMember)
					c.shutdown(errors.New("etcd member marked for shutdown"))
				},
			}
			return members.Start(ctx)
		},
		Stop: func() error { return members.Stop() },
	}
}

func (c *controller) controlNode() lifecycle.Part {
	return lifecycle.Part{
		Name: "ControlNode",
		Start: func(ctx context.Context) error {
			hostname, err := worker.NodeName("")
			if err != nil {
				return err
			}
			return objects.EnsureControlNode(ctx, c.kube.Dynamic, objects.ControlNode{
				Name: hostname, NodeName: c.node, Address: c.config.Spec.API.Address, Worker: c.options.Workloads(),
			})
		},
	}
}

// kubelet makes a controller a node too. Its kubelet talks to the API server
// on this host.
func (c *controller) kubelet() lifecycle.Part {
	return worker.Embedded(c.vars, c.config.Spec.API, c.options.Worker, !c.options.NoTaints && !c.options.Single, c.log)
}
