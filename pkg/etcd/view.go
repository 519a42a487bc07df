package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// View is what one member says of itself and of the cluster.
type View struct {
	Status  Status
	Members []Member // as this member knows them; a learner does not say
	// Latency is how long a read took that a quorum confirmed, as in "etcdctl endpoint health". A learner serves none.
	Latency time.Duration
	// ReadErr is why that read failed, although the member itself answers.
	ReadErr error
}

// View asks the member. Its error says that the member does not answer.
func (c *Client) View(ctx context.Context) (View, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return View{}, err
	}
	view := View{Status: status}
	if status.Learner {
		return view, nil // it serves nothing else ("rpc not supported for learner")
	}
	asking, ctx := errgroup.WithContext(ctx)
	asking.Go(func() (err error) {
		view.Members, err = c.list(ctx, clientv3.WithSerializable())
		return err
	})
	asking.Go(func() error {
		start := time.Now()
		if _, err := c.list(ctx); err != nil {
			view.ReadErr = fmt.Errorf("no quorum confirms a read: %w", err)
		}
		view.Latency = time.Since(start)
		return nil
	})
	return view, asking.Wait()
}
