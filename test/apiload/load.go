// Package apiload asks a Kubernetes API at a steady rate, as clients of all kinds do, and reports every request that
// failed. Requests start by the clock, not when the one before is answered, so that a slow answer hides no other.
package apiload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Config says who asks, and how often.
type Config struct {
	API *rest.Config

	NewConnections float64 // requests a second, each on a connection of its own
	FarConnections float64 // more of them, by clients whose TLS handshake comes Far after they have connected
	Far            time.Duration
	Clients        int           // clients that keep one HTTP/2 connection
	ClientRate     float64       // requests a second of each of them
	Watches        int           // watches that are open at any time
	Timeout        time.Duration // after which a request has failed
}

// Defaults are the load that the measurements in the project's documentation were made with.
func Defaults(api *rest.Config) Config {
	return Config{API: api, NewConnections: 30, FarConnections: 10, Far: 500 * time.Millisecond, Clients: 4, ClientRate: 10, Watches: 4, Timeout: 10 * time.Second}
}

// Load is a load that runs.
type Load struct {
	cfg     Config
	stop    context.CancelFunc
	done    sync.WaitGroup
	journal journal
}

// Start starts the load; it goes on until Stop, or until ctx ends.
func Start(ctx context.Context, cfg Config) (*Load, error) {
	if cfg.API == nil || cfg.NewConnections < 0 || cfg.FarConnections < 0 || cfg.Clients < 0 || cfg.Watches < 0 || cfg.Timeout <= 0 || cfg.Clients > 0 && cfg.ClientRate <= 0 {
		return nil, errors.New("starting the load: an API, a positive timeout and rates are needed")
	}
	ctx, stop := context.WithCancel(ctx)
	l := &Load{cfg: cfg, stop: stop}
	l.journal.start = time.Now()
	if err := l.startAll(ctx); err != nil {
		stop()
		l.done.Wait()
		return nil, fmt.Errorf("starting the load: %w", err)
	}
	return l, nil
}

func (l *Load) startAll(ctx context.Context) error {
	if l.cfg.NewConnections > 0 {
		l.every(ctx, l.cfg.NewConnections, func() { l.ask(ctx, KindNew, l.askOnce(0)) })
	}
	if l.cfg.FarConnections > 0 {
		l.every(ctx, l.cfg.FarConnections, func() { l.ask(ctx, KindFar, l.askOnce(l.cfg.Far)) })
	}
	for range l.cfg.Clients {
		c, err := newClient(l.cfg.API, true, 0)
		if err != nil {
			return err
		}
		l.every(ctx, l.cfg.ClientRate, func() { l.ask(ctx, KindKept, l.patiently(c)) })
	}
	for range l.cfg.Watches {
		c, err := newClient(l.cfg.API, true, 0)
		if err != nil {
			return err
		}
		l.done.Go(func() { l.watch(ctx, c) })
	}
	return nil
}

// every calls f at a rate, each time in a goroutine of its own.
func (l *Load) every(ctx context.Context, perSecond float64, f func()) {
	l.done.Go(func() {
		ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				l.done.Go(f)
			}
		}
	})
}

// ask makes one request. One that has begun is finished when the load is stopped.
func (l *Load) ask(ctx context.Context, kind Kind, request func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.Timeout)
	defer cancel()
	began := time.Now()
	err := request(ctx)
	l.journal.add(entry{kind, began, time.Since(began), err})
}

// patiently asks as client-go does, which keeps connections and comes again when it is told to.
func (l *Load) patiently(c *client) func(context.Context) error {
	return func(ctx context.Context) error {
		told, err := c.getPatiently(ctx)
		l.journal.tell(told)
		return err
	}
}

// askOnce asks on a connection of its own.
func (l *Load) askOnce(far time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := newClient(l.cfg.API, false, far)
		if err != nil {
			return err
		}
		defer c.close()
		return c.get(ctx)
	}
}

// watch keeps a watch open. A server that shuts down ends its watches, after which the client asks again: only a watch
// that cannot be opened, or that breaks off in the middle, has failed. One that is told to come again comes again.
func (l *Load) watch(ctx context.Context, c *client) {
	defer c.close()
	for ctx.Err() == nil {
		began := time.Now()
		err := c.watch(ctx, l.cfg.Timeout)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if later := (*retryLater)(nil); errors.As(err, &later) && later.after <= l.cfg.Timeout {
			l.journal.tell(1)
			wait(ctx, later.after)
			continue
		}
		l.journal.add(entry{KindWatch, began, time.Since(began), err})
		if err != nil {
			wait(ctx, retryWatch)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// retryWatch keeps a watch that cannot be opened from asking all the time.
const retryWatch = 100 * time.Millisecond

// Stop ends the load, waits for what is under way, and says what came of it.
func (l *Load) Stop() Report {
	l.stop()
	l.done.Wait()
	return l.journal.report(time.Now())
}
