package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// Leave removes this host's own member, retrying until ctx ends or ten
// attempts have failed. After it etcd ends by itself.
func (c *Client) Leave(ctx context.Context, log *slog.Logger) error {
	var last error
	for attempt := range 10 {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return fmt.Errorf("leaving the etcd cluster: %w", errors.Join(context.Cause(ctx), last))
			case <-time.After(3 * time.Second):
			}
		}
		last = c.leaveOnce()
		if last == nil {
			log.Info("left the etcd cluster")
			return nil
		}
		log.Error("leaving the etcd cluster", "err", last)
	}
	return fmt.Errorf("leaving the etcd cluster: %w", last)
}

// leaveOnce is not bound to the caller's context: a request that is under way
// must be allowed to end.
func (c *Client) leaveOnce() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	id, err := c.ID(ctx)
	if err != nil {
		return err
	}
	err = c.Remove(ctx, id)
	// The removed member may stop before it has answered.
	if errors.Is(err, rpctypes.ErrStopped) {
		return nil
	}
	return err
}
