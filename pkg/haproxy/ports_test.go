package haproxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestListeningSocketsAreRead(t *testing.T) {
	got := parseListening(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   2: 0202000A:192B 0A0200A0:1234 01 00000000:00000000 00:00000000 00000000     0        0 1 1
   0: 00000000000000000000000000000000:2328 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1 1
   1: 000000FD000000000000000002000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1 1
   2: 0000000000000000FFFF00000100007F:0019 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1 1
garbage 0A 0A 0A
`)
	want := "[127.0.0.1:8080 0.0.0.0:6443 [::]:9000 [fd00::2]:22 127.0.0.1:25]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, not %s", got, want)
	}
}

func TestSocketsOverlap(t *testing.T) {
	for _, c := range []struct {
		bind, listening string
		overlap         bool
	}{
		{"", "0.0.0.0", true}, {"", "127.0.0.1", true}, {"", "::", true}, {"", "fd00::2", false},
		{"10.0.0.1", "10.0.0.1", true}, {"10.0.0.1", "10.0.0.2", false}, {"10.0.0.1", "0.0.0.0", true}, {"10.0.0.1", "::", true},
		{"::", "10.0.0.1", true}, {"::", "fd00::2", true}, {"fd00::1", "fd00::2", false}, {"fd00::1", "fd00::1", true},
	} {
		address, _ := bindAddress(c.bind)
		if got := overlaps(address, netip.MustParseAddr(c.listening)); got != c.overlap {
			t.Errorf("%q and %q: %v", c.bind, c.listening, got)
		}
	}
}

func TestApplyDoesNotReloadOntoAPortThatIsTaken(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			other, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			port := other.Addr().(*net.TCPAddr).Port
			f, b := newFake(t, hosts(1, 2)...)
			if !running {
				f.stop(false)
			}
			b.spec.StatsListen = other.Addr().String()
			before := f.read()
			plan := makePlan(t, b, hosts(1, 2))
			err = b.Apply(t.Context(), plan)
			if taken, ok := errors.AsType[*PortTakenError](err); !ok || !slices.Equal(taken.Ports, []int{port}) {
				t.Errorf("%v", err)
			}
			if f.read() != before || f.world.running && f.world.runtime.PID != 1 {
				t.Error("something was done")
			}
		})
	}
}

func TestApplyKnowsHAProxysOwnPorts(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0") // in HAProxy's place
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	f, b := newFake(t, hosts(1, 2)...)
	listens := fmt.Sprintf("\nfrontend web\n    bind %s\n", own.Addr())
	f.write(strings.Replace(f.read(), "retries 3", "retries 9", 1) + listens)
	if err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2))); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(1, 2))
}
