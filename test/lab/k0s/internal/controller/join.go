package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/joinapi"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/pki"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// isMember reports whether this host is, or was, an etcd member: its database
// exists. Such a host never joins again, whatever token it is given.
func isMember(v *vars.Vars) (bool, error) {
	_, err := os.Stat(v.EtcdDB())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// joinCluster fetches the cluster's authority and service account keys. It
// returns nil without a token: this host then starts a cluster of its own.
func joinCluster(ctx context.Context, v *vars.Vars, options *Options, log *slog.Logger) (*joinapi.Client, error) {
	already, err := isMember(v)
	if err != nil || already {
		return nil, err
	}
	token, err := options.Token()
	if err != nil || token == "" {
		return nil, err
	}
	client, err := joinapi.NewClient(token)
	if err != nil {
		return nil, fmt.Errorf("failed to join controller: %w", err)
	}
	log.Info("joining existing cluster", "via", client.Address)
	var ca joinapi.CAResponse
	err = joinapi.Retry(ctx, 100*time.Millisecond,
		func(attempt int, err error) {
			log.Warn("asking for the cluster's authority", "attempt", attempt, "err", err)
		},
		func() error {
			var err error
			ca, err = client.CA(ctx)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("failed to join controller: failed to join existing cluster via %s: %w", client.Address, err)
	}
	for _, file := range []struct {
		path string
		data []byte
		mode fs.FileMode
	}{
		{v.Key("ca"), ca.Key, 0o640},
		{v.Cert("ca"), ca.Cert, 0o644},
		{v.Key("sa"), ca.SAKey, 0o640},
		{filepath.Join(v.CertRootDir, "sa.pub"), ca.SAPub, 0o644},
	} {
		if err := pki.WriteFile(file.path, file.data, file.mode); err != nil {
			return nil, err
		}
	}
	return client, nil
}

// joinEtcd asks for a place in the etcd cluster and stores etcd's authority.
// It goes on asking for about four minutes, in which the one place for a
// learner may become free.
func joinEtcd(ctx context.Context, v *vars.Vars, client *joinapi.Client, name, peerURL string,
	log *slog.Logger,
) ([]string, error) {
	var answer joinapi.MemberResponse
	err := joinapi.Retry(ctx, time.Second,
		func(attempt int, err error) { log.Warn("asking for a place in etcd", "attempt", attempt, "err", err) },
		func() error {
			var err error
			answer, err = client.AddMember(ctx, joinapi.MemberRequest{Node: name, PeerAddress: peerURL})
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("failed to sync etcd config: failed to synchronize etcd config with existing cluster via %s: %w",
			client.Address, err)
	}
	if err := pki.WriteFile(v.Key("etcd/ca"), answer.CA.Key, 0o640); err != nil {
		return nil, err
	}
	return answer.InitialCluster, pki.WriteFile(v.Cert("etcd/ca"), answer.CA.Cert, 0o640)
}
