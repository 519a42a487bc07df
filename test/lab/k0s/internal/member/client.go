// Package member reads and changes the membership of the etcd cluster through
// this host's own member.
package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// Endpoint is the client URL that every member advertises.
const Endpoint = "https://127.0.0.1:2379"

// Member is one member of the cluster.
type Member struct {
	ID      uint64
	Name    string
	PeerURL string
	Learner bool
}

// Client talks to this host's member.
type Client struct{ etcd *clientv3.Client }

// Connect prepares a client. It does not wait for the member to answer.
func Connect(v *vars.Vars) (*Client, error) {
	info := transport.TLSInfo{
		CertFile: v.Cert("apiserver-etcd-client"), KeyFile: v.Key("apiserver-etcd-client"),
		TrustedCAFile: v.Cert("etcd/ca"),
	}
	tls, err := info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the etcd client certificate: %w", err)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{Endpoint}, TLS: tls, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	return &Client{etcd: client}, nil
}

// Close ends the connection.
func (c *Client) Close() { _ = c.etcd.Close() }

// Members lists the members that etcd knows.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	response, err := c.etcd.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("etcd member list failed: %w", err)
	}
	members := make([]Member, 0, len(response.Members))
	for _, m := range response.Members {
		peer := ""
		if len(m.PeerURLs) > 0 {
			peer = m.PeerURLs[0]
		}
		members = append(members, Member{ID: m.ID, Name: m.Name, PeerURL: peer, Learner: m.IsLearner})
	}
	return members, nil
}

// AddLearner adds a learner and returns the initial cluster that its etcd must
// be started with.
func (c *Client) AddLearner(ctx context.Context, name, peerURL string) ([]string, error) {
	response, err := c.etcd.MemberAddAsLearner(ctx, []string{peerURL})
	if err != nil {
		return nil, fmt.Errorf("etcd member add as learner failed: %w", err)
	}
	var initial []string
	for _, m := range response.Members {
		memberName := m.Name
		if m.ID == response.Member.ID {
			memberName = name
		}
		initial = append(initial, memberName+"="+m.PeerURLs[0])
	}
	return initial, nil
}

// Promotion is the outcome of asking for a learner to become a voter.
type Promotion int

// Outcomes of Promote.
const (
	Promoted Promotion = iota
	NotReady
	Failed
)

// Promote makes a learner a voter.
func (c *Client) Promote(ctx context.Context, id uint64) (Promotion, error) {
	_, err := c.etcd.MemberPromote(ctx, id)
	switch {
	case err == nil, errors.Is(err, rpctypes.ErrMemberNotLearner):
		return Promoted, nil
	case errors.Is(err, rpctypes.ErrMemberLearnerNotReady):
		return NotReady, nil
	}
	return Failed, fmt.Errorf("promoting member %x: %w", id, err)
}

// Remove removes a member.
func (c *Client) Remove(ctx context.Context, id uint64) error {
	if _, err := c.etcd.MemberRemove(ctx, id); err != nil {
		return fmt.Errorf("removing member %x: %w", id, err)
	}
	return nil
}

// ID is the ID of this host's own member.
func (c *Client) ID(ctx context.Context) (uint64, error) {
	status, err := c.etcd.Status(ctx, Endpoint)
	if err != nil {
		return 0, fmt.Errorf("reading the status of this host's member: %w", err)
	}
	return status.Header.MemberId, nil
}

// Healthy fails unless this member can read through the quorum. A learner
// cannot.
func (c *Client) Healthy(ctx context.Context) error {
	if _, err := c.etcd.Get(ctx, "health"); err != nil && !errors.Is(err, rpctypes.ErrPermissionDenied) {
		return fmt.Errorf("reading from this host's member: %w", err)
	}
	return nil
}
