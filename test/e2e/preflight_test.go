//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPreflightReportsEverythingAtOnceAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide", "cp4", "cp5", "cp6", "cp7", "worker-1")
	s.sh("cp4", "systemd-run --unit=squatter --collect socat TCP-LISTEN:6443,fork,reuseaddr -; "+
		"for i in $(seq 50); do ss -ltn | grep -q ':6443 ' && exit 0; sleep 0.1; done; exit 1")
	if err := s.host("cp5").ShiftClock(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.host(guide[2]).Kill(t.Context()); err != nil { // unreachable
		t.Fatal(err)
	}
	s.sh(loadBalancer, "rm -f /etc/apt/sources.list.d/* && apt-get update -q 2>&1") // no such package
	file := clusterFile{members: controller(guide[0], guide[1], guide[2], "cp4", "cp5")}
	file.members = append(file.members, member{name: "cp6", role: "controller", user: "nosudo"},
		member{name: "cp7", role: "controller", key: s.strangersKey()}, worker("worker-1")[0])
	s.write(file)
	s.forgeHostKey("worker-1")
	s.mustFailSafely([]string{
		`10\.\d+\.2\.2:22: (no answer within|.*no route to host)`,
		`nosudo@\S+.*sudo`,
		`10\.\d+\.7\.2.*accepts none of the keys`,
		`10\.\d+\.20\.2.*key.*(changed|another)`,
		`10\.\d+\.3\.2:22: port 6443, which k0s needs, is taken by socat`,
		`10\.\d+\.5\.2:22: its clock is (1m0s|59s|1m1s) apart`,
		`there is no package "haproxy"`,
	})
}

func TestAHostThatIsTwoIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide")
	// The load balancer is a controller, too.
	s.write(clusterFile{members: controller(guide[0], loadBalancer)})
	s.mustFailSafely([]string{`(?i)load balancer|HAProxy`})
	// Two entries lead to the same machine: by its address, and by a second address of it.
	s.sh(guide[0], "ip address add 10.255.255.1/32 dev lo")
	file := clusterFile{members: controller(guide[0], guide[1])}
	file.members[1].more = []string{"privateAddress: 10.255.255.1"}
	s.write(file)
	s.mustFailSafely([]string{`does not have the address 10\.255\.255\.1|same host`})
}

func TestAnUnknownHostKeyIsRefusedWithoutATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t, "k0s-ch-sion-1", "haproxy")
	s.write(clusterFile{members: controller(guide[0])})
	if err := os.WriteFile(s.KnownHosts(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustFailSafely([]string{`10\.\d+\.0\.2.*unknown host key.*SHA256:`, `10\.\d+\.4\.10.*unknown host key`})
}

// mustFailSafely expects a refusal that matches all of the patterns, and that nothing was changed.
func (s *site) mustFailSafely(patterns []string) {
	s.t.Helper()
	before := s.everything()
	r := s.haInit("--timeout", "20s")
	s.t.Logf("refused after %s:\n%s", r.took.Round(time.Millisecond), r.stderr)
	if r.code != 3 && r.code != 1 {
		s.t.Errorf("exit code %d, want a refusal", r.code)
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(`(?m)` + pattern).MatchString(r.stderr) {
			s.t.Errorf("the refusal does not say %s", pattern)
		}
	}
	if after := s.everything(); after != before {
		s.t.Errorf("a refused run changed something:\n%s\nbecame\n%s", before, after)
	}
}

// everything is what ha-init could change on the hosts that run.
func (s *site) everything() string {
	s.t.Helper()
	var b strings.Builder
	for _, h := range s.Hosts() {
		out, err := h.Exec(s.t.Context(), `find /etc/k0s /etc/haproxy /etc/kubectl-ha /etc/sudoers.d /root/.ssh /usr/local/bin /usr/local/lib/kubectl-ha /var/lib/k0s /etc/systemd/system `+
			`-type f -printf '%p %s %T@\n' 2>/dev/null | sort; hostname; dpkg -l haproxy 2>/dev/null | tail -1`, nil)
		if err != nil {
			out = "is down"
		}
		b.WriteString(h.Name() + "\n" + out + "\n")
	}
	return b.String()
}

// strangersKey makes a private key that opens no host.
func (s *site) strangersKey() string {
	s.t.Helper()
	path := s.path("strangers-key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		s.t.Fatalf("making a key: %v\n%s", err, out)
	}
	return path
}

// forgeHostKey makes known_hosts expect another key of the host than it has: that of the load balancer.
func (s *site) forgeHostKey(name string) {
	s.t.Helper()
	data, err := os.ReadFile(s.KnownHosts())
	if err != nil {
		s.t.Fatal(err)
	}
	key := func(address string) string {
		match := regexp.MustCompile(`(?m)^\[?` + regexp.QuoteMeta(address) + `\S* (ssh-ed25519 \S+)`).FindSubmatch(data)
		if match == nil {
			s.t.Fatalf("known_hosts has no key of %s", address)
		}
		return string(match[1])
	}
	forged := strings.Replace(string(data), key(s.host(name).Address().String()), key(s.lbAddress()), 1)
	if err := os.WriteFile(s.KnownHosts(), []byte(forged), 0o600); err != nil {
		s.t.Fatal(err)
	}
}
