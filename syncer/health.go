package syncer

import (
	"fmt"
	"sync"
	"time"
)

// stuckAfter is when a look at a load balancer will never end: all that it waits for is bounded by less.
const stuckAfter = 2 * syncTimeout

// health knows which load balancers are being looked at, and since when. The zero value is ready to be used.
type health struct {
	mu    sync.Mutex
	since map[string]time.Time // by load balancer
}

// begin notes a look at a load balancer, until end is called.
func (h *health) begin(balancer string, now time.Time) (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since == nil {
		h.since = map[string]time.Time{}
	}
	h.since[balancer] = now
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.since, balancer)
	}
}

// alive is an error when a look hangs: a program that was started anew goes on where this one does not.
func (h *health) alive(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for balancer, since := range h.since {
		if took := now.Sub(since); took > stuckAfter {
			return fmt.Errorf("looking at %s: it has not ended for %s", balancer, took.Round(time.Second))
		}
	}
	return nil
}
