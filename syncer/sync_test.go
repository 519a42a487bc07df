package syncer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// fakeHAProxy is a helper whose HAProxy does at once as told.
type fakeHAProxy struct {
	mu     sync.Mutex
	states map[int]string
	pid    int
	// fail, when not nil, is what the helper answers to apply, and unreachable what comes of opening a session.
	fail, unreachable error
	// hang holds a state up until the session is closed.
	hang bool
	// ended are the sessions up to that one: their helpers were ended.
	ended           int
	certificate     *wire.Certificate
	networks        []netip.Prefix // that its policy allows; none when it does not say
	looks, applies  int
	opened, closed  int
	changes         []time.Time
	lastConnections []time.Time
}

func (f *fakeHAProxy) open(context.Context, LoadBalancer) (helper, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastConnections = append(f.lastConnections, time.Now())
	if f.unreachable != nil {
		return nil, f.unreachable
	}
	f.opened++
	return &fakeSession{f, f.opened}, nil
}

type fakeSession struct {
	*fakeHAProxy
	number int
}

func (s *fakeSession) State(ctx context.Context) (*wire.Report, error) {
	s.mu.Lock()
	hang := s.hang
	s.looks++
	defer s.mu.Unlock()
	if hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	if s.unreachable != nil {
		return nil, s.unreachable
	}
	if s.number <= s.ended {
		return nil, fmt.Errorf("the session is over: %w", io.EOF)
	}
	return s.report(), nil
}

func (s *fakeSession) Welcome() *wire.Welcome { return &wire.Welcome{Networks: s.networks} }

func (s *fakeSession) report() *wire.Report {
	report := haproxyWith(s.states)
	report.Process.PID, report.Certificate = s.pid, s.certificate
	return report
}

func (s *fakeSession) Renew(_ context.Context, renew *wire.Renew) (*wire.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	pair, err := tls.X509KeyPair([]byte(renew.Certificate), []byte(renew.Key))
	if err != nil {
		return nil, err
	}
	s.certificate = &wire.Certificate{NotBefore: pair.Leaf.NotBefore, NotAfter: pair.Leaf.NotAfter}
	return s.certificate, nil
}

func (s *fakeSession) Apply(_ context.Context, servers []wire.Server) (*wire.Applied, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applies++
	if s.fail != nil {
		return nil, s.fail
	}
	states := map[int]string{}
	for _, server := range servers {
		n := int(server.Address.As4()[3])
		states[n] = map[bool]string{true: "up", false: "maint"}[server.Active]
	}
	applied := &wire.Applied{}
	for n, state := range states {
		if s.states[n] != state {
			applied.Actions = append(applied.Actions, member(n).Name+" "+state)
		}
	}
	for n := range s.states {
		if states[n] == "" {
			applied.Actions = append(applied.Actions, member(n).Name+" gone")
		}
	}
	if len(applied.Actions) > 0 {
		s.changes = append(s.changes, time.Now())
	}
	s.states = states
	applied.Report = *s.report()
	return applied, nil
}

func (s *fakeSession) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

// count reads a counter while it may be counted.
func (f *fakeHAProxy) count(n *int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *n
}

func (f *fakeHAProxy) firstChange() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes[0]
}

// attempts is how often a session was asked for.
func (f *fakeHAProxy) attempts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lastConnections)
}

func (f *fakeHAProxy) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// world is a loop in front of fake load balancers.
type world struct {
	*loop
	mu       sync.Mutex
	members  []Controller
	unknown  bool
	holder   string
	notReady map[netip.Addr]bool
	issue    func() (*wire.Renew, error)
	haproxy  map[string]*fakeHAProxy
	outcomes map[string][]outcome
}

func newWorld(t *testing.T, numbers []int, haproxies ...*fakeHAProxy) *world {
	t.Helper()
	w := &world{members: members(numbers...), haproxy: map[string]*fakeHAProxy{}, outcomes: map[string][]outcome{}, notReady: map[netip.Addr]bool{}}
	o := Options{Resync: 10 * time.Second, Debounce: 20 * time.Millisecond}
	for i, f := range haproxies {
		lb := LoadBalancer{User: "root", Address: "lb" + string('1'+rune(i)) + ":22"}
		o.LoadBalancers = append(o.LoadBalancers, lb)
		w.haproxy[lb.key()] = f
	}
	w.loop = &loop{
		options: o, metrics: newMetrics(), health: &health{}, log: slog.New(slog.DiscardHandler),
		open: func(ctx context.Context, lb LoadBalancer) (helper, error) { return w.haproxy[lb.key()].open(ctx, lb) },
		controllers: func() ([]Controller, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.members, !w.unknown
		},
		held: func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.holder
		},
		ask: func(_ context.Context, address netip.Addr) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.notReady[address] {
				return errors.New("not ready")
			}
			return nil
		},
		issue: func(context.Context) (*wire.Renew, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for w.issue == nil { // the loop runs already, and the test has yet to say
				w.mu.Unlock()
				time.Sleep(time.Millisecond)
				w.mu.Lock()
			}
			return w.issue()
		},
		tell: func(_ context.Context, lb LoadBalancer, _ []Controller, o outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.outcomes[lb.key()] = append(w.outcomes[lb.key()], o)
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.start()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

func (w *world) set(change func()) {
	w.mu.Lock()
	change()
	w.mu.Unlock()
	w.wake()
}

// last is how the last sync of the first load balancer ended.
func (w *world) last(t *testing.T) outcome {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	outcomes := w.outcomes["lb1_22"]
	if len(outcomes) == 0 {
		t.Fatal("no sync ended")
	}
	return outcomes[len(outcomes)-1]
}

// in runs a test in a bubble, whose time passes when everybody waits.
func in(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func up(f *fakeHAProxy) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text []string
	for n := range 10 {
		if state, ok := f.states[n]; ok {
			text = append(text, member(n).Name+" "+state)
		}
	}
	return strings.Join(text, ", ")
}

func expect(t *testing.T, f *fakeHAProxy, want string) {
	t.Helper()
	if got := up(f); got != want {
		t.Errorf("HAProxy has %s, not %s", got, want)
	}
}

func TestLoopFollowsTheControlPlane(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up"}, pid: 1}
		w := newWorld(t, []int{1}, f)
		time.Sleep(5 * time.Second)
		expect(t, f, "cp1 up")
		start := time.Now()
		w.set(func() { w.members = members(1, 2) })
		time.Sleep(time.Second)
		expect(t, f, "cp1 up, cp2 up")
		if took := f.firstChange().Sub(start); took > 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		w.set(func() { w.members = []Controller{leaver(1), member(2)} })
		time.Sleep(time.Second)
		expect(t, f, "cp1 maint, cp2 up")
		w.set(func() { w.members = members(2) })
		time.Sleep(time.Second)
		expect(t, f, "cp2 up")
		if f.count(&f.opened) != 1 {
			t.Errorf("%d sessions were opened", f.count(&f.opened))
		}
	})
}

func TestLoopGathersEventsAndResyncs(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up"}}
		w := newWorld(t, []int{1}, f)
		time.Sleep(time.Second)
		before := f.count(&f.looks)
		for range 1000 {
			w.wake()
		}
		time.Sleep(time.Second)
		if looks := f.count(&f.looks) - before; looks != 1 {
			t.Errorf("1000 events at once made %d looks", looks)
		}
		// Drift that no event tells of.
		f.change(func() { f.states = map[int]string{1: "up", 9: "down"} })
		time.Sleep(11 * time.Second)
		expect(t, f, "cp1 up")
		before = f.count(&f.looks)
		time.Sleep(time.Minute)
		if looks := f.count(&f.looks) - before; looks < 5 || looks > 7 {
			t.Errorf("%d looks in a minute", looks)
		}
		if o := w.last(t); o.result != success {
			t.Errorf("%+v", o)
		}
	})
}

func TestLoopKeepsOneOutWhoIsNotAllowedAndFollowsTheOthers(t *testing.T) {
	in(t, func(t *testing.T) {
		allowed := netip.PrefixFrom(member(1).Address, 32)
		f := &fakeHAProxy{states: map[int]string{1: "up", 2: "up"}, networks: []netip.Prefix{allowed}}
		w := newWorld(t, []int{1, 2}, f)
		w.set(func() { w.members = append([]Controller{leaver(2)}, members(1, 3)...) })
		time.Sleep(time.Second)
		expect(t, f, "cp1 up, cp2 maint")
		o := w.last(t)
		if o.result != success || len(o.waiting) != 1 || !strings.Contains(o.message(), "spec.syncer.networks") {
			t.Errorf("%+v, %s", o, o.message())
		}
		before := f.count(&f.looks)
		time.Sleep(time.Minute)
		if looks := f.count(&f.looks) - before; looks > 7 {
			t.Errorf("%d looks in a minute at what time does not mend", looks)
		}
		w.set(func() { w.members = members(1, 2) })
		time.Sleep(time.Second)
		expect(t, f, "cp1 up, cp2 up") // HAProxy knows it, whatever the policy says
	})
}

func TestLoopLetsNobodyInWhoIsNotReady(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up"}}
		w := newWorld(t, []int{1}, f)
		w.set(func() { w.members, w.notReady[member(2).Address] = members(1, 2), true })
		time.Sleep(3 * time.Second)
		expect(t, f, "cp1 up")
		if o := w.last(t); len(o.waiting) != 1 || o.result != success || !strings.HasPrefix(o.message(), "cp2 gets no connections yet, its API server is not ready: ") {
			t.Errorf("%+v", o)
		}
		// Nobody tells when it gets ready.
		w.mu.Lock()
		delete(w.notReady, member(2).Address)
		w.mu.Unlock()
		time.Sleep(1100 * time.Millisecond)
		expect(t, f, "cp1 up, cp2 up")
		// Once it is in, HAProxy decides.
		w.set(func() { w.notReady[member(2).Address] = true })
		time.Sleep(time.Minute)
		expect(t, f, "cp1 up, cp2 up")
	})
}

func TestLoopLeavesHAProxyToAPluginThatIsAtWork(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up", 2: "drain"}}
		w := newWorld(t, []int{1, 2}, f)
		w.set(func() { w.holder = "anna@laptop" })
		f.change(func() { f.states = map[int]string{1: "up", 2: "drain"} })
		applies := f.count(&f.applies)
		time.Sleep(time.Minute)
		expect(t, f, "cp1 up, cp2 drain")
		if o := w.last(t); o.result != postponed || f.count(&f.applies) > applies+1 {
			t.Errorf("%+v, %d times", o, f.count(&f.applies))
		}
		w.set(func() { w.holder = "" })
		time.Sleep(time.Second)
		expect(t, f, "cp1 up, cp2 up")
	})
}

func TestLoopRefusesWhatLooksWrong(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up", 2: "up", 3: "up"}}
		w := newWorld(t, []int{1, 2, 3}, f)
		time.Sleep(time.Second)
		for _, wrong := range [][]Controller{nil, members(1), {leaver(1), leaver(2), leaver(3)}, members(4)} {
			w.set(func() { w.members = wrong })
			time.Sleep(time.Minute)
			expect(t, f, "cp1 up, cp2 up, cp3 up")
			if o := w.last(t); o.result != refused {
				t.Errorf("%+v: %+v", wrong, o)
			}
		}
		w.set(func() { w.unknown = true })
		time.Sleep(time.Minute)
		expect(t, f, "cp1 up, cp2 up, cp3 up")
		w.set(func() { w.unknown, w.members = false, members(1, 2) })
		time.Sleep(2 * time.Second)
		expect(t, f, "cp1 up, cp2 up")
	})
}

func TestALoadBalancerThatIsDownDelaysNoOther(t *testing.T) {
	in(t, func(t *testing.T) {
		refusing := &fakeHAProxy{unreachable: errors.New("connection refused")}
		hanging := &fakeHAProxy{hang: true}
		well := &fakeHAProxy{states: map[int]string{1: "up"}}
		w := newWorld(t, []int{1}, refusing, hanging, well)
		time.Sleep(5 * time.Minute)
		start := time.Now()
		w.set(func() { w.members = members(1, 2) })
		time.Sleep(time.Second)
		expect(t, well, "cp1 up, cp2 up")
		if took := well.firstChange().Sub(start); took > 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		// 5 minutes at 30 s, and the first attempts.
		if n := refusing.attempts(); n < 15 || n > 25 {
			t.Errorf("%d attempts to reach the one that is down", n)
		}
		refusing.change(func() { refusing.unreachable, refusing.states = nil, map[int]string{1: "up"} })
		time.Sleep(31 * time.Second)
		expect(t, refusing, "cp1 up, cp2 up")
	})
}

func TestLoopOpensASessionAnewThatBroke(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up"}, pid: 1}
		w := newWorld(t, []int{1}, f)
		time.Sleep(time.Second)
		f.change(func() { f.unreachable = errors.New("broken pipe") })
		w.wake()
		time.Sleep(time.Second)
		if f.count(&f.closed) != 1 {
			t.Errorf("%d sessions were closed", f.count(&f.closed))
		}
		f.change(func() { f.unreachable, f.pid = nil, 2 })
		time.Sleep(10 * time.Second)
		if o := w.last(t); o.result != success || f.count(&f.opened) != 2 {
			t.Errorf("%+v after %d sessions", o, f.count(&f.opened))
		}
	})
}

func TestAHelperThatWasEndedIsAskedAgainAtOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &fakeHAProxy{states: map[int]string{1: "up"}, pid: 1}
		w := newWorld(t, []int{1}, f)
		time.Sleep(time.Second)
		f.change(func() { f.ended = 1 })
		w.wake()
		time.Sleep(time.Second)
		if o := w.last(t); o.result != success || f.count(&f.opened) != 2 || f.count(&f.closed) != 1 {
			t.Errorf("%+v, %d sessions opened, %d closed", o, f.count(&f.opened), f.count(&f.closed))
		}
		// One that is over as soon as it has begun is an error.
		f.change(func() { f.ended = 3 })
		w.wake()
		time.Sleep(50 * time.Millisecond)
		if o := w.last(t); o.result != failed || f.count(&f.opened) != 3 {
			t.Errorf("%+v, %d sessions opened", o, f.count(&f.opened))
		}
	})
}

func TestWhatTheHelperAnswersIsTold(t *testing.T) {
	for kind, c := range map[wire.Kind]struct {
		want   result
		keeps  bool
		within time.Duration
	}{
		wire.Refused:   {refused, true, 200 * time.Millisecond},
		wire.Busy:      {busy, true, time.Second},
		wire.Stopped:   {stopped, true, 11 * time.Second},
		wire.Unchecked: {unchecked, true, 200 * time.Millisecond},
		wire.Failed:    {failed, true, 200 * time.Millisecond},
		wire.Malformed: {failed, false, 200 * time.Millisecond},
	} {
		in(t, func(t *testing.T) {
			f := &fakeHAProxy{states: map[int]string{1: "up"}, fail: &wire.Error{Kind: kind, Message: "why"}}
			w := newWorld(t, []int{1}, f)
			time.Sleep(10 * time.Millisecond)
			if o := w.last(t); o.result != c.want || o.err == nil || (f.count(&f.closed) == 0) != c.keeps {
				t.Errorf("%s: %+v, %d sessions closed", kind, o, f.count(&f.closed))
			}
			looks := f.count(&f.looks)
			time.Sleep(c.within)
			if f.count(&f.looks) == looks {
				t.Errorf("%s: not tried again within %v", kind, c.within)
			}
		})
	}
}
