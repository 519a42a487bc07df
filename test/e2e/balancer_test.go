//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTheUsersOwnConfigurationStays gives HAProxy a file with everything that editors stumble over.
func TestTheUsersOwnConfigurationStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, guide[0], "haproxy:haproxy")
	users := strings.Join([]string{
		"# my own load balancer", "global", "\tuser haproxy", "  group   haproxy", "", "defaults my-defaults", "    mode http",
		"    timeout connect 5s # five", "    timeout client  50s", "    timeout server  50s", "    option httplog", "",
		"frontend web", "    bind :8080", `    http-request set-header X-Odd "a # b \" c"`, "    default_backend web", "",
		"backend web", "\t\tserver w1 127.0.0.1:9999 weight 10", "# the end, without a newline",
	}, "\r\n")
	put := func(text string) {
		if err := s.host(loadBalancer).WriteFile(t.Context(), "/etc/haproxy/haproxy.cfg", []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	put(users + "\r\n")
	s.sh(loadBalancer, "systemctl restart haproxy")
	put(users) // HAProxy 2.6 would not start with this, but somebody's editor leaves it
	s.write(clusterFile{members: controller(guide[0])})
	s.mustInit()
	s.checkServers(loadBalancer, guide[0])
	data, err := s.host(loadBalancer).ReadFile(t.Context(), "/etc/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), users) {
		t.Errorf("the user's part changed:\n%q", data)
	}
	if mode := s.sh(loadBalancer, "stat -c %a /etc/haproxy/haproxy.cfg"); mode != "640" {
		t.Errorf("the file's mode became %s", mode)
	}
	if code := s.sh(loadBalancer, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/"); code != "503" {
		t.Errorf("the user's own frontend answers %s, want its 503", code)
	}
}

// TestHealthOfAPIServersDecidesAboutRotation looks at what check: readyz promises.
func TestHealthOfAPIServersDecidesAboutRotation(t *testing.T) {
	s := newSite(t, "guide")
	s.write(clusterFile{members: controller(guide...)})
	s.mustInit()

	t.Run("an etcd leader election takes no healthy server out", func(t *testing.T) {
		s := s.in(t)
		leader := s.leader()
		downs := s.downs("kubeAPI_backend")
		if err := s.host(leader).Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.eventually(leader+" is taken out", func(context.Context) error {
			if s.downs("kubeAPI_backend")[leader] == downs[leader] {
				return errors.New("it is still in")
			}
			return nil
		})
		// From here on the election is over: the API answers again.
		s.eventually("the API answers", func(ctx context.Context) error { return s.api().Ready(ctx) })
		if err := s.host(leader).Thaw(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.awaitServers(guide...)
		after := s.downs("kubeAPI_backend")
		for _, name := range guide {
			if name != leader && after[name] != downs[name] {
				t.Errorf("%s was taken out %d times, though it was healthy", name, after[name]-downs[name])
			}
		}
	})

	t.Run("a hung API server leaves rotation", func(t *testing.T) {
		s := s.in(t)
		s.sh(guide[1], "pkill -STOP -x kube-apiserver")
		s.awaitServers(guide[0], guide[2])
		for range 20 {
			if err := s.api().Ready(t.Context()); err != nil {
				t.Errorf("a request failed: %v", err)
			}
		}
		s.sh(guide[1], "pkill -CONT -x kube-apiserver")
		s.awaitServers(guide...)
	})

	t.Run("with none ready it fails open", func(t *testing.T) {
		s := s.in(t)
		for _, name := range guide[:2] {
			s.sh(name, "pkill -STOP -x etcd") // quorum is lost, so no API server is ready
		}
		s.awaitServers()
		s.eventually("/version answers all the same", func(ctx context.Context) error {
			_, err := s.api().Client.Discovery().ServerVersion()
			return err
		})
		for _, name := range guide[:2] {
			s.sh(name, "pkill -CONT -x etcd")
		}
		s.awaitServers(guide...)
	})

	t.Run("a restart of HAProxy brings everything back", func(t *testing.T) {
		s := s.in(t)
		s.sh(loadBalancer, "systemctl restart haproxy")
		s.awaitServers(guide...)
		if r := s.mustInit(); !strings.Contains(r.stdout, "Nothing was changed") {
			t.Errorf("after a restart the file must be right: %s", r.stdout)
		}
	})
}

// leader is the host of etcd's leader, as etcd says.
func (s *site) leader() string {
	s.t.Helper()
	for _, name := range guide {
		answer := s.sh(name, `cd /var/lib/k0s/pki && curl -s --cacert etcd/ca.crt --cert apiserver-etcd-client.crt `+
			`--key apiserver-etcd-client.key -X POST -d '{}' https://127.0.0.1:2379/v3/maintenance/status`)
		var status struct {
			Header struct {
				MemberID string `json:"member_id"`
			}
			Leader string
		}
		if err := json.Unmarshal([]byte(answer), &status); err != nil {
			s.t.Fatalf("%v: %s", err, answer)
		}
		if status.Leader == status.Header.MemberID {
			return name
		}
	}
	s.t.Fatal("etcd has no leader")
	return ""
}

// stats are HAProxy's own lines of a backend's servers: by server, the fields by name.
func (s *site) stats(balancer, backend string) map[string]map[string]string {
	s.t.Helper()
	servers := map[string]map[string]string{}
	var names []string
	for line := range strings.Lines(s.sh(balancer, "echo 'show stat' | socat - /var/lib/haproxy/kubectl-ha.sock")) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if strings.HasPrefix(line, "# ") {
			names = fields
			continue
		}
		if fields[0] != backend || fields[1] == "BACKEND" {
			continue
		}
		servers[fields[1]] = map[string]string{}
		for i, name := range names {
			if i < len(fields) {
				servers[fields[1]][name] = fields[i]
			}
		}
	}
	return servers
}

// downs counts how often each server of a backend went down, by HAProxy's own counter.
func (s *site) downs(backend string) map[string]int {
	s.t.Helper()
	counts := map[string]int{}
	for name, fields := range s.stats(loadBalancer, backend) {
		if n, err := strconv.Atoi(fields["chkdown"]); err == nil { // empty for a spare
			counts[name] = n
		}
	}
	return counts
}

// awaitServers waits until exactly these servers of the API's backend are up.
func (s *site) awaitServers(names ...string) {
	s.t.Helper()
	start := time.Now()
	s.eventually(fmt.Sprintf("%q are up", names), func(context.Context) error {
		var up []string
		for name, fields := range s.stats(loadBalancer, "kubeAPI_backend") {
			if fields["status"] == "UP" {
				up = append(up, name)
			}
		}
		if !sameSet(up, names) {
			return fmt.Errorf("up are %q", up)
		}
		return nil
	})
	s.t.Logf("%q are up after %s", names, time.Since(start).Round(100*time.Millisecond))
}
