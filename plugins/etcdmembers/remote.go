package etcdmembers

import (
	"context"
	"io"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// remote is a connected host, as this command uses it: a *host.Host, or a test's.
type remote interface {
	k0s.Machine
	etcd.Host
	Name() string
	Lock(ctx context.Context, path string) (unlock func() error, err error)
	Close() error
}

// client talks to one member of etcd: an *etcd.Client, or a test's.
type client interface {
	View(ctx context.Context) (etcd.View, error)
	Members(ctx context.Context) ([]etcd.Member, error)
	Remove(ctx context.Context, member etcd.Member) error
	Promote(ctx context.Context, member etcd.Member) error
	MoveLeader(ctx context.Context, to etcd.Member) error
	Defragment(ctx context.Context) error
	Disarm(ctx context.Context, alarm etcd.Alarm) error
	Snapshot(ctx context.Context, out io.Writer) (etcd.Snapshot, error)
	Close() error
}

// api is the Kubernetes API, as this command uses it: a *kube.Cluster, or a test's.
type api interface {
	EtcdMembers(ctx context.Context) ([]kube.EtcdMember, error)
	UpgradeInProgress(ctx context.Context) (state string, err error)
}

// world is how everything outside this process is reached.
type world struct {
	host     func(ctx context.Context, conn config.Connection) (remote, error)
	etcd     func(ctx context.Context, host remote, dataDir string) (client, error)
	kube     func() (api, error)                                                 // by the user's kubeconfig
	kubeFrom func(ctx context.Context, host remote, dataDir string) (api, error) // by k0s's own, from a controller
}

// realWorld reaches hosts by SSH.
func (o *Options) realWorld() world {
	connector := &host.Connector{Timeout: o.Timeout, SSHConfig: o.SSHConfig}
	o.confirmer().Attend(connector, func(ask func()) {
		o.asking.Add(1)
		defer o.asking.Add(-1)
		ask()
	})
	return world{
		host: func(ctx context.Context, conn config.Connection) (remote, error) {
			h, err := connector.Connect(ctx, conn)
			if err != nil {
				return nil, err
			}
			return h, nil
		},
		etcd: func(ctx context.Context, host remote, dataDir string) (client, error) {
			c, err := etcd.Connect(ctx, host, dataDir)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		kube: func() (api, error) {
			config, err := o.RESTConfig()
			if err != nil {
				return nil, err
			}
			return kube.ConnectTo(config)
		},
		kubeFrom: func(ctx context.Context, host remote, dataDir string) (api, error) {
			kubeconfig, err := (&k0s.Node{Machine: host, DataDir: dataDir}).AdminKubeconfig(ctx)
			if err != nil {
				return nil, err
			}
			return kube.Connect(kubeconfig, host.DialContext)
		},
	}
}

func (o *Options) confirmer() *cli.Confirmer {
	return &cli.Confirmer{In: o.In, Out: o.ErrOut, Terminal: report.IsTerminal(o.In), Yes: o.Yes}
}
