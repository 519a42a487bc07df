package syncer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// network answers at the addresses that are up.
type network struct {
	up      map[string]bool
	dialled []string
}

func (n *network) dial(_ context.Context, _, address string) (net.Conn, error) {
	n.dialled = append(n.dialled, address)
	if !n.up[address] {
		return nil, errors.New(address + " is down")
	}
	near, far := net.Pipe()
	go io.Copy(io.Discard, far) //nolint:errcheck // until it is closed
	return near, nil
}

func TestAPIServersAreReachedByTheirOwnAddressesFirst(t *testing.T) {
	n := &network{up: map[string]bool{"10.0.0.2:6443": true, "10.96.0.1:443": true}}
	a := newAPIServers(6443, "10.96.0.1:443", []netip.Addr{ip("10.0.0.1")})
	a.dial = n.dial
	a.learn(ip("10.0.0.2"), ip("10.0.0.1"), ip("10.0.0.3"))
	conn, err := a.DialContext(t.Context(), "tcp", "kubernetes:443")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"10.0.0.1:6443", "10.0.0.2:6443"}; !slices.Equal(n.dialled, want) {
		t.Errorf("dialled %v", n.dialled)
	}
	// The one that was reached comes first from now on.
	n.dialled = nil
	if _, err := a.DialContext(t.Context(), "tcp", ""); err != nil || !slices.Equal(n.dialled, []string{"10.0.0.2:6443"}) {
		t.Errorf("dialled %v, %v", n.dialled, err)
	}
	// Two failures in a row end its connections.
	a.note(true)
	a.note(false)
	a.note(true)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("a single failure ended it: %v", err)
	}
	a.note(true)
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("the connection is still open")
	}
	if got := a.targets(); !slices.Equal(got, []string{"10.0.0.3:6443", "10.0.0.1:6443", "10.0.0.2:6443", "10.96.0.1:443"}) {
		t.Errorf("%v", got)
	}
	if len(a.open) != 0 {
		t.Errorf("%d connections are still known", len(a.open))
	}
	// The load balancer is the last resort.
	n.up, n.dialled = map[string]bool{"10.96.0.1:443": true}, nil
	if _, err := a.DialContext(t.Context(), "tcp", ""); err != nil || len(n.dialled) != 4 {
		t.Errorf("dialled %v, %v", n.dialled, err)
	}
	a.keep([]netip.Addr{ip("10.0.0.9")})
	if got := a.targets(); !slices.Equal(got, []string{"10.0.0.9:6443", "10.96.0.1:443"}) {
		t.Errorf("%v", got)
	}
	a.keep(nil)
	if len(a.targets()) != 2 {
		t.Error("forgot everybody")
	}
	n.up = nil
	if _, err := a.DialContext(t.Context(), "tcp", ""); err == nil || !strings.Contains(err.Error(), "10.0.0.9:6443 is down") {
		t.Errorf("%v", err)
	}
}

func TestTheFirstAPIServerThatIsLearnedIsWaitedFor(t *testing.T) {
	a := newAPIServers(6443, "", nil)
	a.dial = (&network{up: map[string]bool{"10.0.0.1:6443": true}}).dial
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.DialContext(cancelled, "tcp", ""); err == nil || !strings.Contains(err.Error(), "no API server is known") {
		t.Errorf("%v", err)
	}
	reached := make(chan error)
	go func() {
		_, err := a.DialContext(t.Context(), "tcp", "")
		reached <- err
	}()
	a.learn()
	a.learn(ip("10.0.0.1"))
	if err := <-reached; err != nil {
		t.Error(err)
	}
}

func TestFailedRequestsAreCounted(t *testing.T) {
	status := http.StatusOK
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer web.Close()
	a := newAPIServers(6443, "", []netip.Addr{ip("10.0.0.1"), ip("10.0.0.2")})
	client := &http.Client{Transport: a.wrap(http.DefaultTransport)}
	get := func(ctx context.Context) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, web.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
		}
	}
	first := func() string { return a.targets()[0] }
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 {
		get(cancelled) // a caller that changed its mind
		status = http.StatusForbidden
		get(t.Context())
	}
	if first() != "10.0.0.1:6443" {
		t.Error("left an API server that answers")
	}
	status = http.StatusServiceUnavailable
	get(t.Context())
	get(t.Context())
	if first() != "10.0.0.2:6443" {
		t.Error("stayed at an API server that fails")
	}
}
