package etcd

import (
	"context"
	"fmt"
	"time"
)

// Viewer is the client of one member, as far as asking for its view needs it: a *Client, or a test's.
type Viewer interface {
	View(ctx context.Context) (View, error)
}

// Ask asks one member by itself, and no longer than within. Its client stays in *client for the next time; connect makes
// it where there is none yet.
func Ask[C Viewer](ctx context.Context, within time.Duration, client *C, connect func(context.Context) (C, error)) (View, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %s", within))
	defer cancel()
	var err error
	if any(*client) == nil {
		*client, err = connect(ctx)
	}
	var view View
	if err == nil {
		view, err = (*client).View(ctx)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return view, err
}
