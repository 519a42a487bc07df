package controlplane

import (
	"context"
	"io"
	"io/fs"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
)

// remote is a connected host, as this command uses it: a *host.Host, or a test's.
type remote interface {
	haproxy.Machine
	Name() string
	Facts(ctx context.Context) (*host.Facts, error)
	Upload(ctx context.Context, src io.ReaderAt, size int64, sha256hex, path string, mode fs.FileMode,
		progress func(done int64)) (skipped bool, err error)
	PackageAvailable(ctx context.Context, name string) (bool, error)
	InstallPackages(ctx context.Context, names ...string) error
	Service(name string) service
	Close() error
}

// service is a service of a host.
type service interface {
	haproxy.Service
	Stop(ctx context.Context) error
	Restart(ctx context.Context) error
	Disable(ctx context.Context) error
}

// connected is a *host.Host as a remote.
type connected struct{ *host.Host }

func (c connected) Service(name string) service { return c.Host.Service(name) }

// connectFunc opens the connection to a host.
type connectFunc func(ctx context.Context, conn config.Connection) (remote, error)

// connectBy connects by SSH, or however the cluster file says.
func connectBy(connector *host.Connector) connectFunc {
	return func(ctx context.Context, conn config.Connection) (remote, error) {
		h, err := connector.Connect(ctx, conn)
		if err != nil {
			return nil, err
		}
		return connected{h}, nil
	}
}

// members is etcd, as this command uses it: an *etcd.Client, or a test's.
type members interface {
	Members(ctx context.Context) ([]etcd.Member, error)
	Alarms(ctx context.Context) ([]string, error)
	Promote(ctx context.Context, member etcd.Member) error
	RemoveIdle(ctx context.Context, member etcd.Member) error
	Close() error
}
