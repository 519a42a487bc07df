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
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
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
	api *clientv3.Client
}

// Connect reads the client certificate of the API server below dataDir (k0s's --data-dir) and opens a client to the
// member on that host. TLS is verified against etcd's own CA. The caller closes the client.
func Connect(ctx context.Context, host Host, dataDir string) (*Client, error) {
	tlsConfig, err := clientTLS(ctx, host, dataDir)
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	api, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{clientURL},
		TLS:         tlsConfig,
		DialTimeout: 10 * time.Second,
		Logger:      zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return host.DialContext(ctx, "tcp", "127.0.0.1:2379")
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	return &Client{api: api}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.api.Close() }

func clientTLS(ctx context.Context, host Host, dataDir string) (*tls.Config, error) {
	pki := path.Join(dataDir, "pki")
	ca, err := host.ReadFile(ctx, path.Join(pki, "etcd", "ca.crt"))
	if err != nil {
		return nil, err
	}
	cert, err := host.ReadFile(ctx, path.Join(pki, "apiserver-etcd-client.crt"))
	if err != nil {
		return nil, err
	}
	key, err := host.ReadFile(ctx, path.Join(pki, "apiserver-etcd-client.key"))
	if err != nil {
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

// Members lists the members as this member knows them, sorted by name and ID, by a linearizable read: it fails
// without quorum.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	response, err := c.api.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing etcd members: %w", err)
	}
	members := make([]Member, 0, len(response.Members))
	for _, m := range response.Members {
		members = append(members, Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, Learner: m.IsLearner})
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

// Status is what one member says of itself.
type Status struct {
	Leader  uint64 // member ID; 0 when the member knows none
	Learner bool
	Version string
	Errors  []string
}

// Status asks the member for its own state; it needs no quorum.
func (c *Client) Status(ctx context.Context) (Status, error) {
	response, err := c.api.Status(ctx, clientURL)
	if err != nil {
		return Status{}, fmt.Errorf("asking etcd for its status: %w", err)
	}
	return Status{
		Leader:  response.Leader,
		Learner: response.IsLearner,
		Version: response.Version,
		Errors:  response.Errors,
	}, nil
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
