// Package etcd reads and judges the etcd cluster of a k0s control plane, one tunnel per member.
package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// clientURL is what every member of a k0s cluster advertises and listens on; it is never reachable from elsewhere
// (k0s v1.36.3, pkg/component/controller/etcd.go). Asking "the other endpoints" of a member would therefore ask
// the same member again: use one Client per member.
const clientURL = "https://127.0.0.1:2379"

// Host is the controller host that a member runs on.
type Host interface {
	ReadFile(ctx context.Context, path string) ([]byte, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Client talks to one etcd member, through its host.
type Client struct {
	api  *clientv3.Client
	dial *dialer
}

// Connect reads the client certificate of the API server below dataDir (k0s's --data-dir) and opens a client to the
// member on that host. TLS is verified against etcd's own CA. The caller closes the client.
func Connect(ctx context.Context, host Host, dataDir string) (*Client, error) {
	tlsConfig, err := clientTLS(ctx, host, dataDir)
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	dial := &dialer{host: host}
	api, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{clientURL},
		TLS:         tlsConfig,
		DialTimeout: 10 * time.Second,
		Logger:      zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(dial.dial)},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	return &Client{api: api, dial: dial}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.api.Close() }

func clientTLS(ctx context.Context, host Host, dataDir string) (*tls.Config, error) {
	pki := path.Join(dataDir, "pki")
	var ca, cert, key []byte
	reading, ctx := errgroup.WithContext(ctx) // each file is a round trip
	for name, content := range map[string]*[]byte{
		"etcd/ca.crt": &ca, "apiserver-etcd-client.crt": &cert, "apiserver-etcd-client.key": &key,
	} {
		reading.Go(func() (err error) {
			*content, err = host.ReadFile(ctx, path.Join(pki, name))
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate in %s: %w", pki, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("reading " + path.Join(pki, "etcd", "ca.crt") + ": no certificate in it")
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      roots,
		ServerName:   "127.0.0.1",
		MinVersion:   tls.VersionTLS12,
	}, nil
}

// dialer opens the tunnel, and remembers why it could not.
type dialer struct {
	host Host

	mu  sync.Mutex
	err error
}

func (d *dialer) dial(ctx context.Context, _ string) (net.Conn, error) {
	conn, err := d.host.DialContext(ctx, "tcp", "127.0.0.1:2379")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	return conn, err
}

// cause is the error of a request in plain words: why the tunnel could not be opened, where gRPC wraps that in others of
// its own.
func (c *Client) cause(err error) error {
	c.dial.mu.Lock()
	defer c.dial.mu.Unlock()
	said, ok := status.FromError(err)
	switch {
	case ok && said.Code() == codes.Unavailable && c.dial.err != nil:
		return c.dial.err
	case ok:
		return errors.New(said.Message())
	}
	return err
}

// Members lists the members as this member knows them, sorted by name and ID, by a linearizable read: it fails
// without quorum.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	return c.list(ctx)
}

func (c *Client) list(ctx context.Context, options ...clientv3.OpOption) ([]Member, error) {
	response, err := c.api.MemberList(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("listing etcd members: %w", err)
	}
	members := make([]Member, 0, len(response.Members))
	for _, m := range response.Members {
		members = append(members, Member{
			ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner,
		})
	}
	sortMembers(members)
	return members, nil
}

// Alarms lists the alarms raised in the cluster, as "NOSPACE on 8e9e05c52164694d".
func (c *Client) Alarms(ctx context.Context) ([]string, error) {
	response, err := c.api.AlarmList(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing etcd alarms: %w", err)
	}
	alarms := make([]string, 0, len(response.Alarms))
	for _, a := range response.Alarms {
		alarms = append(alarms, fmt.Sprintf("%s on %x", a.Alarm, a.MemberID))
	}
	return alarms, nil
}

// RemoveIdle removes a member that takes no part in votes; the others need it for nothing. A member that is gone is no
// error.
func (c *Client) RemoveIdle(ctx context.Context, member Member) error {
	if !member.Idle() {
		return fmt.Errorf("removing etcd member %s: it votes", member)
	}
	_, err := c.api.MemberRemove(ctx, member.ID)
	if err != nil && !errors.Is(err, rpctypes.ErrMemberNotFound) {
		return fmt.Errorf("removing etcd member %s: %w", member, err)
	}
	return nil
}
