package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// dialTimeout bounds an attempt to reach one API server; the next one is tried after it.
const dialTimeout = time.Second

// patience is how many requests may fail in a row before another API server is used.
const patience = 2

// apiServers leads every connection to the Kubernetes API to one of the API servers, by its own address. The address of
// kubernetes.default leads through the load balancer, which is what the syncer is there to repair; it is the last resort.
// Whoever answers has to prove by its certificate that it is one.
type apiServers struct {
	port   int
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	last   string        // the last resort, "host:port"; empty for none
	some   chan struct{} // closed by found once there is one to dial
	found  func()
	mu     sync.Mutex
	known  []netip.Addr // the one in use first
	open   map[net.Conn]struct{}
	failed int
}

func newAPIServers(port int, last string, first []netip.Addr) *apiServers {
	dialer := &net.Dialer{Timeout: dialTimeout}
	a := &apiServers{port: port, dial: dialer.DialContext, last: last, some: make(chan struct{}), open: map[net.Conn]struct{}{}}
	a.found = sync.OnceFunc(func() { close(a.some) })
	if last != "" {
		a.found()
	}
	a.learn(first...)
	return a
}

// learn adds API servers. Those that are known already keep their order: a connection that works is left alone.
func (a *apiServers) learn(addresses ...netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, address := range addresses {
		if !slices.Contains(a.known, address) {
			a.known = append(a.known, address)
		}
		a.found()
	}
}

// keep forgets all API servers but these, unless these are none.
func (a *apiServers) keep(addresses []netip.Addr) {
	if len(addresses) == 0 {
		return
	}
	a.learn(addresses...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = slices.DeleteFunc(a.known, func(k netip.Addr) bool { return !slices.Contains(addresses, k) })
}

// targets lists what may be dialled, in order.
func (a *apiServers) targets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	targets := make([]string, 0, len(a.known)+1)
	for _, address := range a.known {
		targets = append(targets, netip.AddrPortFrom(address, uint16(a.port)).String())
	}
	if a.last != "" {
		targets = append(targets, a.last)
	}
	return targets
}

// DialContext connects to the first API server that can be reached, whatever address is asked for. While none is known,
// it waits for the first one that is learned.
func (a *apiServers) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	select {
	case <-a.some:
	case <-ctx.Done():
		return nil, fmt.Errorf("no API server is known: %w", context.Cause(ctx))
	}
	var errs []error
	for _, target := range a.targets() {
		conn, err := a.dial(ctx, network, target)
		if err == nil {
			a.prefer(target)
			return a.track(conn), nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("reaching an API server: %w", errors.Join(errs...))
}

// prefer puts the API server that was reached first: those before it cost their time once.
func (a *apiServers) prefer(target string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.known, func(k netip.Addr) bool { return netip.AddrPortFrom(k, uint16(a.port)).String() == target })
	if i > 0 {
		a.known = slices.Concat(a.known[i:], a.known[:i])
	}
}

// trackedConn is forgotten when it is closed.
type trackedConn struct {
	net.Conn
	closed func()
}

func (c *trackedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

func (a *apiServers) track(conn net.Conn) net.Conn {
	tracked := &trackedConn{Conn: conn}
	tracked.closed = func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.open, tracked)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[tracked] = struct{}{}
	return tracked
}

// note counts how requests end, and goes to another API server when several fail in a row.
func (a *apiServers) note(failed bool) {
	a.mu.Lock()
	if !failed {
		a.failed = 0
	} else if a.failed++; a.failed < patience {
		failed = false
	}
	a.mu.Unlock()
	if failed {
		a.rotate()
	}
}

// rotate puts the first API server last and ends all connections: one that hangs, or has lost its etcd, accepts them
// all the same.
func (a *apiServers) rotate() {
	a.mu.Lock()
	a.failed = 0
	if len(a.known) > 1 {
		a.known = append(a.known[1:], a.known[0])
	}
	var open []net.Conn
	for conn := range a.open {
		open = append(open, conn)
	}
	a.mu.Unlock()
	for _, conn := range open {
		conn.Close()
	}
}

// wrap watches the requests of a client.
func (a *apiServers) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		// A request that the caller has given up says something only when it was given time.
		cancelled := err != nil && errors.Is(context.Cause(request.Context()), context.Canceled)
		if !cancelled {
			a.note(err != nil || response.StatusCode >= http.StatusInternalServerError)
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
