package kube

import (
	"context"
	"fmt"
	"time"
)

// Wait looks at a condition every interval until it is met (nil) or ctx ends; the error then carries what the last
// look said.
func Wait(ctx context.Context, interval time.Duration, condition func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
