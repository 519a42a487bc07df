package host

import (
	"context"
	"errors"
	"sync"
)

// Each calls f for every item, at most limit at a time, waits for all of them and joins their errors in the order
// of the items. A limit below 1 means no limit. One failure does not keep the others from running; items that have
// not begun when ctx ends are not begun.
func Each[T any](ctx context.Context, items []T, limit int, f func(context.Context, T) error) error {
	if limit < 1 || limit > len(items) {
		limit = len(items)
	}
	slots := make(chan struct{}, limit)
	errs := make([]error, len(items))
	var running sync.WaitGroup
	for i, item := range items {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			errs[i] = ctx.Err()
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(ctx, item)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
