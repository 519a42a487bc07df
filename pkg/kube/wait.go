package kube

import (
	"context"
	"fmt"
	"time"
)

// Wait looks at a condition every interval until it is met (nil) or ctx ends; the error then carries what the last
// look said that was not cut off by that end.
func Wait(ctx context.Context, interval time.Duration, condition func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last error
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", last, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
