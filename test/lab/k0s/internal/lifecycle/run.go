// Package lifecycle starts parts in order and stops them in reverse.
package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Part is one thing to start and stop.
type Part struct {
	Name  string
	Start func(ctx context.Context) error
	// Ready is asked until it succeeds before the next part starts; it may be nil.
	Ready func(ctx context.Context) error
	// Stop may be nil.
	Stop func() error
}

const (
	// readyTimeout is how long k0s waits for a component.
	readyTimeout  = 2 * time.Minute
	readyInterval = 100 * time.Millisecond
)

// Run starts the parts in order, waits until ctx ends, and stops what it has
// started in reverse. It returns what kept a part from starting.
func Run(ctx context.Context, log *slog.Logger, parts []Part) error {
	var started []Part
	defer func() {
		for i := len(started) - 1; i >= 0; i-- {
			stop(log, started[i])
		}
	}()
	for _, part := range parts {
		if ctx.Err() != nil {
			return nil
		}
		began := time.Now()
		if err := part.Start(ctx); err != nil {
			return fmt.Errorf("failed to start %s: %w", part.Name, err)
		}
		started = append(started, part)
		if err := waitReady(ctx, part); err != nil {
			return err
		}
		log.Info("part is ready", "part", part.Name, "after", time.Since(began).Round(time.Millisecond))
	}
	<-ctx.Done()
	log.Info("stopping", "cause", context.Cause(ctx))
	return nil
}

func stop(log *slog.Logger, part Part) {
	if part.Stop == nil {
		return
	}
	began := time.Now()
	if err := part.Stop(); err != nil {
		log.Error("stopping a part", "part", part.Name, "err", err)
		return
	}
	log.Info("part is stopped", "part", part.Name, "after", time.Since(began).Round(time.Millisecond))
}

func waitReady(ctx context.Context, part Part) error {
	if part.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for {
		err := part.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s health-check timed out: %w", part.Name, err)
		}
	}
}
