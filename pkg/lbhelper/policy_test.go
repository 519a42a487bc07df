package lbhelper

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
)

const minimal = `{"name": "control-plane", "spares": 2, "networks": ["10.10.0.0/16"]}`

func testPolicy(t *testing.T) *Policy {
	t.Helper()
	policy, err := ParsePolicy([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestPolicyThatRootAloneMayWriteIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(path, []byte(minimal), 0o644); err != nil {
		t.Fatal(err)
	}
	self := uint32(os.Getuid())
	policy, err := loadPolicy(path, self)
	if err != nil {
		t.Fatal(err)
	}
	if policy.MaxServers != DefaultMaxServers || policy.MaxRemovalPercent != DefaultMaxRemovalPercent {
		t.Errorf("%+v", policy)
	}
	if _, err := loadPolicy(path, self+1); err == nil {
		t.Error("read a policy of another user")
	}
	for _, mode := range []os.FileMode{0o664, 0o646, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := loadPolicy(path, self); err == nil {
			t.Errorf("read a policy of mode %v", mode)
		}
	}
	if _, err := loadPolicy(filepath.Dir(path), self); err == nil {
		t.Error("read a folder")
	}
	if _, err := LoadPolicy(path + ".missing"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a policy that is not there: %v", err)
	}
}

func TestPolicyIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ policy, want string }{
		"unknown field":       {`{"name":"a","networks":["10.0.0.0/8"],"shell":true}`, `unknown field "shell"`},
		"no networks":         {`{"name":"a"}`, "networks"},
		"an address":          {`{"name":"a","networks":["10.0.0.1/8"]}`, "write the network"},
		"no percentage":       {`{"name":"a","networks":["10.0.0.0/8"],"maxRemovalPercent":101}`, "maxRemovalPercent"},
		"too many servers":    {`{"name":"a","networks":["10.0.0.0/8"],"maxServers":10000}`, "maxServers"},
		"a line in a path":    {`{"name":"a","networks":["10.0.0.0/8"],"caFile":"/a\nb"}`, "CA file"},
		"a name of two words": {`{"name":"a b","networks":["10.0.0.0/8"]}`, "load balancer name"},
		"two objects":         {minimal + minimal, "something follows"},
	} {
		if _, err := ParsePolicy([]byte(c.policy)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", name, err, c.want)
		}
	}
}

func server(n byte, active bool) haproxy.Server {
	address := netip.AddrFrom4([4]byte{10, 10, n, 2})
	return haproxy.Server{Name: "cp-" + string('0'+rune(n)), Address: address, Active: active}
}

// running is an HAProxy with these servers and a spare slot, in every backend.
func running(policy *Policy, status string, servers ...haproxy.Server) *haproxy.Current {
	current := &haproxy.Current{Spec: policy.Spec(), Running: true, HasBlock: true, Runtime: &haproxy.Runtime{PID: 1}}
	for _, backend := range current.Spec.Backends() {
		for i, s := range servers {
			current.Runtime.Servers = append(current.Runtime.Servers, haproxy.ServerState{
				Backend: backend.Name, Slot: s.Name, ID: i + 1, Address: s.Address, Port: backend.Port, Admin: haproxy.Ready, Status: status,
			})
		}
		current.Runtime.Servers = append(current.Runtime.Servers, haproxy.ServerState{
			Backend: backend.Name, Slot: "spare", ID: len(servers) + 1, Address: netip.MustParseAddr(haproxy.SpareHost), Port: haproxy.SparePort,
			Admin: haproxy.Maint, Status: "MAINT",
		})
	}
	return current
}

func TestJudge(t *testing.T) {
	policy := testPolicy(t)
	policy.MaxServers = 4
	three := []haproxy.Server{server(1, true), server(2, true), server(3, true)}
	outside := haproxy.Server{Name: "evil", Address: netip.MustParseAddr("192.0.2.1"), Active: true}
	deaf := &haproxy.Current{Spec: policy.Spec(), Running: true, Slots: haproxy.NewSlots(three, 1)}
	for name, c := range map[string]struct {
		current *haproxy.Current
		want    []haproxy.Server
		refused string
	}{
		"the same":                                {running(policy, "UP", three...), three, ""},
		"one comes":                               {running(policy, "UP", three...), append([]haproxy.Server{server(4, true)}, three...), ""},
		"one goes":                                {running(policy, "UP", three...), three[:2], ""},
		"one is put aside":                        {running(policy, "UP", three...), []haproxy.Server{server(1, false), server(2, true), server(3, true)}, ""},
		"two go":                                  {running(policy, "UP", three...), three[:1], "10.10.2.2, 10.10.3.2 away at once"},
		"one goes, one is put aside":              {running(policy, "UP", three...), []haproxy.Server{server(1, true), server(2, false)}, "away at once"},
		"all go for others":                       {running(policy, "UP", three...), []haproxy.Server{server(4, true)}, "away at once"},
		"all go that are down":                    {running(policy, "DOWN", three...), []haproxy.Server{server(4, true)}, ""},
		"nobody is left":                          {running(policy, "UP", three[0]), nil, "no active server"},
		"nobody active is left":                   {running(policy, "DOWN", three...), []haproxy.Server{server(1, false)}, "no active server"},
		"one of another network":                  {running(policy, "UP", three...), append([]haproxy.Server{outside}, three...), "in none of the networks"},
		"HAProxy itself":                          {running(policy, "UP"), []haproxy.Server{{Name: "a", Address: netip.MustParseAddr("127.0.0.1"), Active: true}}, "in none of the networks"},
		"an inactive of another network":          {running(policy, "UP", three...), append([]haproxy.Server{{Name: "x", Address: outside.Address}}, three...), "in none of the networks"},
		"one of another network that HAProxy has": {running(policy, "UP", append([]haproxy.Server{outside}, three...)...), append([]haproxy.Server{outside}, three...), ""},
		"more than are allowed":                   {running(policy, "UP", three...), append([]haproxy.Server{server(4, true), server(5, true)}, three...), "more than this host's policy allows"},
		"an HAProxy that has not started":         {&haproxy.Current{Spec: policy.Spec()}, three, ""},
		"one goes where nobody can be asked":      {deaf, three[:2], ""},
		"two go where nobody can be asked":        {deaf, three[:1], "away at once"},
	} {
		t.Run(name, func(t *testing.T) {
			err := policy.judge(c.current, c.want)
			if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%v; want an error with %q", err, c.refused)
			}
		})
	}
}
