package controlplane

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// encodedToken is a token as k0s makes them, with the ID abc123.
func encodedToken(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	_, err := zip.Write([]byte("users:\n- user:\n    token: abc123.0123456789abcdef\n"))
	if err = errors.Join(err, zip.Close()); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// joinWorld is a control plane of one controller, cp1, whose etcd has the members.
func joinWorld(t *testing.T, members ...etcd.Member) (*world, *Cluster, *fakeEtcd) {
	t.Helper()
	w := newWorld(t, guideFile)
	w.controlPlane("10.10.0.2")
	status := w.hosts["10.10.0.2"].answer
	w.hosts["10.10.0.2"].answer = func(command string) (string, error) {
		if strings.Contains(command, " token create ") {
			return encodedToken(t), nil
		}
		return status(command)
	}
	e := &fakeEtcd{members: append([]etcd.Member{member(1, "cp1", "10.10.0.2")}, members...)}
	return w, w.cluster(e), e
}

// cluster surveys the hosts again; its etcd is the one given.
func (w *world) cluster(e *fakeEtcd) *Cluster {
	w.t.Helper()
	c := w.survey()
	c.api = &api{kube: &kube.Cluster{Client: fake.NewClientset()}, etcd: e}
	expectProblems(w.t, c.meet(e.members))
	w.hosts["10.10.0.2"].log = nil
	return c
}

func names(machines []*machine) string {
	var list []string
	for _, m := range machines {
		list = append(list, m.name())
	}
	return strings.Join(list, " ")
}

func TestNewcomersGetATokenAndAService(t *testing.T) {
	w, c, _ := joinWorld(t)
	hosts := c.joining(t.Context())
	if got := names(hosts); got != "cp2 cp3" {
		t.Fatalf("joining are %s", got)
	}
	token, err := c.prepareJoin(t.Context(), hosts)
	if err != nil || token.ID() != "abc123" {
		t.Fatalf("got %v, %v", token, err)
	}
	h := w.hosts["10.10.1.2"]
	const did = `run mkdir -p /etc/k0s
write /etc/k0s/kubectl-ha.token
run mkdir -p /etc/k0s
write /etc/k0s/k0s.yaml
run /usr/local/bin/k0s install controller --config /etc/k0s/k0s.yaml --enable-worker --no-taints --token-file /etc/k0s/kubectl-ha.token --force`
	if got := h.did(); got != did {
		t.Errorf("did:\n%s", got)
	}
	if h.modes[k0s.TokenPath] != 0o600 || h.modes[k0s.ConfigPath] != 0o600 {
		t.Errorf("modes: %v", h.modes)
	}
	for _, want := range []string{"address: 10.10.1.2\n", "peerAddress: 10.10.1.2\n", "externalAddress: 10.10.4.10\n", "- 10.10.4.10\n"} {
		if !strings.Contains(h.files[k0s.ConfigPath], want) {
			t.Errorf("k0s.yaml lacks %q:\n%s", want, h.files[k0s.ConfigPath])
		}
	}

	if err := c.withdrawToken(t.Context(), hosts, token); err != nil {
		t.Error(err)
	}
	if got := h.files[k0s.TokenPath]; got != k0s.UsedTokenNote {
		t.Errorf("the token file is %q", got)
	}
	if got := w.hosts["10.10.0.2"].did(); !strings.Contains(got, "token invalidate abc123") {
		t.Errorf("on the seed: %s", got)
	}
}

func TestAnInterruptedRunLeavesTheTokenToItsExpiry(t *testing.T) {
	w, c, _ := joinWorld(t)
	hosts := c.joining(t.Context())
	token, err := c.prepareJoin(t.Context(), hosts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.withdrawToken(ctx, hosts, token); err != nil {
		t.Error(err)
	}
	if w.hosts["10.10.1.2"].files[k0s.TokenPath] == k0s.UsedTokenNote {
		t.Error("a join may go on with it")
	}
}

func TestJoinsThatWereCutOff(t *testing.T) {
	const address, data = "10.10.1.2", "/var/lib/k0s/etcd/member/snap/db"
	for name, c := range map[string]struct {
		members   []etcd.Member
		change    func(h *fakeHost)
		newcomers string
		removed   string
		did       string
	}{
		"installed, perhaps asking with an old token": {
			nil, func(h *fakeHost) { h.facts.Services[k0s.ControllerService] = "active" }, "cp2 cp3", "", "stop k0scontroller",
		},
		"one that gets its data at that moment goes on": {
			nil, func(h *fakeHost) {
				h.facts.Services[k0s.ControllerService] = "active"
				h.stopped = func() { h.files[data] = "" }
			}, "cp3", "", "stop k0scontroller",
		},
		"data that the cluster does not know is no membership": {
			nil, func(h *fakeHost) { h.files[data] = "" }, "cp2 cp3", "", "",
		},
		"a learner with data goes on": {
			[]etcd.Member{learner(2, "cp2", address)}, func(h *fakeHost) { h.files[data] = "" }, "cp3", "", "",
		},
		"a voter goes on": {
			[]etcd.Member{member(2, "cp2", address)}, func(*fakeHost) {}, "cp3", "", "",
		},
		"a learner without data becomes a new member": {
			[]etcd.Member{learner(2, "", address)}, func(h *fakeHost) { h.facts.Services[k0s.ControllerService] = "active" },
			"cp2 cp3", "unstarted member 2", "stop k0scontroller",
		},
		"one that was added as a voter, as k0s before v1.36.1 does, and never started becomes a new member": {
			[]etcd.Member{member(2, "", address)}, func(h *fakeHost) { h.facts.Services[k0s.ControllerService] = "active" },
			"cp2 cp3", "unstarted member 2", "stop k0scontroller",
		},
		"one that has yet to start, but has its data, goes on": {
			[]etcd.Member{member(2, "", address)}, func(h *fakeHost) { h.files[data] = "" }, "cp3", "", "",
		},
		"a learner that gets its data at that moment goes on": {
			[]etcd.Member{learner(2, "", address)}, func(h *fakeHost) {
				h.facts.Services[k0s.ControllerService] = "active"
				h.stopped = func() { h.files[data] = "" }
			}, "cp3", "", "stop k0scontroller",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, e := joinWorld(t, c.members...)
			h := w.hosts[address]
			c.change(h)
			cluster := w.cluster(e)
			newcomers, err := cluster.newcomers(t.Context(), cluster.controllers[1:])
			if got := names(newcomers); err != nil || got != c.newcomers {
				t.Errorf("newcomers are %s, %v", got, err)
			}
			if got := strings.Join(e.removed, ", "); got != c.removed {
				t.Errorf("removed: %s", got)
			}
			if got := h.did(); got != c.did {
				t.Errorf("did: %s", got)
			}
		})
	}

	t.Run("k0s is stopped before it gets a new token", func(t *testing.T) {
		w, _, e := joinWorld(t)
		w.hosts[address].facts.Services[k0s.ControllerService] = "activating"
		c := w.cluster(e)
		if _, err := c.prepareJoin(t.Context(), c.joining(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := w.hosts[address].did(); !strings.HasPrefix(got, "stop k0scontroller\n") {
			t.Errorf("did:\n%s", got)
		}
	})
}

func TestAbandon(t *testing.T) {
	for name, c := range map[string]struct {
		members []etcd.Member
		did     string
		removed string
	}{
		"one that etcd never heard of": {nil, "stop k0scontroller\nrun flock /run/kubectl-ha-reset.lock /usr/local/bin/k0s reset", ""},
		"a learner":                    {[]etcd.Member{learner(2, "cp2", "10.10.1.2")}, "stop k0scontroller\nrun flock /run/kubectl-ha-reset.lock /usr/local/bin/k0s reset", "cp2 (2)"},
		"one that votes stays":         {[]etcd.Member{member(2, "cp2", "10.10.1.2")}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, cluster, e := joinWorld(t, c.members...)
			if err := cluster.abandon(t.Context(), cluster.controllers[1]); err != nil {
				t.Error(err)
			}
			if got := w.hosts["10.10.1.2"].did(); got != c.did {
				t.Errorf("did:\n%s", got)
			}
			if got := strings.Join(e.removed, ", "); got != c.removed {
				t.Errorf("removed: %s", got)
			}
		})
	}
	t.Run("an interrupted run leaves it to the next one", func(t *testing.T) {
		w, cluster, _ := joinWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := cluster.abandon(ctx, cluster.controllers[1]); err != nil || w.hosts["10.10.1.2"].did() != "" {
			t.Errorf("got %v after %s", err, w.hosts["10.10.1.2"].did())
		}
	})
	t.Run("one that counts and has not started is named", func(t *testing.T) {
		w, cluster, _ := joinWorld(t, member(2, "", "10.10.1.2"))
		err := cluster.abandon(t.Context(), cluster.controllers[1])
		const want = "root@10.10.1.2:22 was left half-joined: etcd counts it (unstarted member 2), though it has not started: run the command again"
		if err == nil || err.Error() != want || w.hosts["10.10.1.2"].did() != "" {
			t.Errorf("got %v after %s", err, w.hosts["10.10.1.2"].did())
		}
	})
	t.Run("what cannot be taken back is named", func(t *testing.T) {
		w, cluster, _ := joinWorld(t)
		w.hosts["10.10.1.2"].fail["stop k0scontroller"] = errBroken
		err := cluster.abandon(t.Context(), cluster.controllers[1])
		if err == nil || err.Error() != "root@10.10.1.2:22 was left half-joined: broken: run the command again once it can be reached, or `k0s stop && k0s reset` on it" {
			t.Errorf("got %v", err)
		}
	})
}

func TestEnterPromotesALearnerThatHasStarted(t *testing.T) {
	for name, c := range map[string]struct {
		joiner etcd.Member
		behind bool
		fails  string
	}{
		"a learner in step":        {learner(2, "cp2", "10.10.1.2"), false, ""},
		"a voter":                  {member(2, "cp2", "10.10.1.2"), true, ""},
		"a learner that is behind": {learner(2, "cp2", "10.10.1.2"), true, "cp2 (2) is no learner in step with the leader"},
		"one that has not started": {learner(2, "", "10.10.1.2"), false, "unstarted member 2 has not started"},
	} {
		t.Run(name, func(t *testing.T) {
			_, cluster, e := joinWorld(t, c.joiner)
			e.behind = c.behind
			m := cluster.controllers[1]
			err := cluster.enter(t.Context(), m)
			if c.fails == "" && (err != nil || !m.voter || e.members[1].Learner) {
				t.Errorf("got %v, members %v", err, e.members)
			}
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails) || m.voter || !e.members[1].Learner) {
				t.Errorf("got %v, want %s, members %v", err, c.fails, e.members)
			}
		})
	}
}

// A join that fails: the learner goes, the host is reset, the token is taken back, and those that did not have their
// turn are not started.
func TestAFailedJoinLeavesTheClusterAsItWas(t *testing.T) {
	w, c, e := joinWorld(t)
	e.behind = true
	h := w.hosts["10.10.1.2"]
	h.facts.K0sPath = k0s.DefaultBinary
	h.answer = func(command string) (string, error) {
		switch {
		case strings.HasSuffix(command, " status -o json"):
			return "", errBroken
		case strings.HasSuffix(command, "/k0s start"):
			e.mu.Lock()
			defer e.mu.Unlock()
			e.members = append(e.members, learner(2, "cp2", "10.10.1.2"))
		}
		return "", nil
	}
	err := c.join(t.Context())
	if err == nil || !strings.Contains(err.Error(), "waiting until cp2 votes in etcd: cp2 (2) is no learner in step with the leader (gave up after 50ms, see --timeout): "+
		"see `journalctl -u k0scontroller` on root@10.10.1.2:22") {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(e.removed, ", "); got != "cp2 (2)" || len(e.members) != 1 {
		t.Errorf("removed: %s, left: %v", got, e.members)
	}
	if got := h.did(); !strings.Contains(got, "start\n") || !strings.Contains(got, "/k0s reset") {
		t.Errorf("did:\n%s", got)
	}
	if got := h.files[k0s.TokenPath]; got != k0s.UsedTokenNote {
		t.Errorf("the token file is %q", got)
	}
	if got := w.hosts["10.10.2.2"].did(); strings.Contains(got, "k0s start") {
		t.Errorf("the next one was started:\n%s", got)
	}
	if got := w.hosts["10.10.0.2"].did(); !strings.Contains(got, "token invalidate abc123") {
		t.Errorf("on the seed: %s", got)
	}
}

func TestCheckControlPlane(t *testing.T) {
	for name, c := range map[string]struct {
		members []etcd.Member
		alarms  []string
		err     error
		want    []string
	}{
		"one controller":                   {nil, nil, nil, nil},
		"a join of ours that was cut off":  {[]etcd.Member{learner(2, "", "10.10.1.2")}, nil, nil, nil},
		"a learner of somebody else's":     {[]etcd.Member{learner(9, "", "10.10.9.2")}, nil, nil, []string{"root@10.10.0.2:22: unstarted member 9 is still a learner"}},
		"an alarm":                         {nil, []string{"NOSPACE on 1"}, nil, []string{"etcd raises the alarm NOSPACE on 1"}},
		"a learner and an alarm":           {[]etcd.Member{learner(9, "", "10.10.9.2")}, []string{"NOSPACE on 1"}, nil, []string{"learner", "alarm"}},
		"alarms of a finished one are not": {[]etcd.Member{member(2, "cp2", "10.10.1.2"), member(3, "cp3", "10.10.2.2")}, []string{"NOSPACE on 1"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, e := joinWorld(t, c.members...)
			if len(c.members) > 1 {
				w.controlPlane("10.10.1.2", "10.10.2.2")
			}
			cluster := w.survey()
			e.alarms, e.err = c.alarms, c.err
			cluster.api = &api{kube: withoutPlan(), etcd: e}
			expectProblems(t, cluster.checkControlPlane(t.Context()), c.want...)
			if !cluster.known {
				t.Error("it is known who belongs to it")
			}
		})
	}

	t.Run("a member whose host has lost its data", func(t *testing.T) {
		w, _, e := joinWorld(t, member(2, "cp2", "10.10.1.2"))
		cluster := w.survey()
		cluster.api = &api{kube: withoutPlan(), etcd: e}
		expectProblems(t, cluster.checkControlPlane(t.Context()),
			"root@10.10.1.2:22: etcd counts it as the member cp2 (2), but its data is not in /var/lib/k0s: correct dataDir, or, when the host was "+
				"set up anew, run `k0s etcd leave --peer-address 10.10.1.2` on root@10.10.0.2:22")
	})
	t.Run("a member that got its data since it was looked at", func(t *testing.T) {
		w, _, e := joinWorld(t, member(2, "cp2", "10.10.1.2"))
		cluster := w.survey()
		cluster.api = &api{kube: withoutPlan(), etcd: e}
		w.controlPlane("10.10.1.2")
		expectProblems(t, cluster.checkControlPlane(t.Context()))
	})
	t.Run("without quorum", func(t *testing.T) {
		w, _, e := joinWorld(t)
		cluster := w.survey()
		e.err = errors.New("listing etcd members: etcdserver: request timed out")
		cluster.api = &api{kube: withoutPlan(), etcd: e}
		ctx, cancel := context.WithTimeout(t.Context(), cluster.settings.Timeout)
		defer cancel()
		expectProblems(t, cluster.checkControlPlane(ctx),
			"root@10.10.0.2:22: listing etcd members: etcdserver: request timed out (context deadline exceeded): bring the controllers back")
	})
	t.Run("one that does not run", func(t *testing.T) {
		cluster := newWorld(t, guideFile).survey()
		expectProblems(t, cluster.checkControlPlane(t.Context()))
	})
}

// k0s asks for its place and is stopped; the place is granted after that.
func TestAPlaceThatWasGrantedToAStoppedHostIsTakenBack(t *testing.T) {
	w, c, e := joinWorld(t)
	e.behind = true
	h := w.hosts["10.10.1.2"]
	h.facts.K0sPath = k0s.DefaultBinary
	started := false
	h.answer = func(command string) (string, error) {
		if strings.HasSuffix(command, "/k0s start") {
			started = true
			return "", errBroken
		}
		return "", map[bool]error{true: errBroken}[strings.HasSuffix(command, " status -o json")]
	}
	if _, err := c.prepareJoin(t.Context(), c.controllers[1:2]); err != nil {
		t.Fatal(err)
	}
	e.members = append(e.members, learner(2, "", "10.10.1.2"))
	if err := c.enter(t.Context(), c.controllers[1]); !errors.Is(err, errBroken) || !started {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(e.removed, ", "); got != "unstarted member 2" {
		t.Errorf("removed: %s", got)
	}
}

// A join that failed left data, since its host could not be reached: it is reset before it joins again.
func TestWhatAFailedJoinLeftIsReset(t *testing.T) {
	w, _, e := joinWorld(t)
	h := w.hosts["10.10.1.2"]
	h.files["/var/lib/k0s/pki/ca.crt"] = testCA
	h.files["/var/lib/k0s/etcd/member/snap/db"] = ""
	h.files[k0s.TokenPath] = "secret"
	h.facts.Services[k0s.ControllerService] = "active"
	h.facts.K0sPath, h.facts.K0sVersion = k0s.DefaultBinary, "v1.36.3+k0s.2"
	c := w.cluster(e) // which finds nothing wrong with it
	if _, err := c.prepareJoin(t.Context(), c.controllers[1:2]); err != nil {
		t.Fatal(err)
	}
	if got := h.did(); !strings.Contains(got, "stop k0scontroller\nrun flock /run/kubectl-ha-reset.lock /usr/local/bin/k0s reset\nrun mkdir -p /etc/k0s\nwrite /etc/k0s/kubectl-ha.token\n") {
		t.Errorf("did:\n%s", got)
	}
}

func TestALearnerGoesThoughItsHostCannotBeReached(t *testing.T) {
	w, c, e := joinWorld(t, learner(2, "cp2", "10.10.1.2"))
	w.hosts["10.10.1.2"].fail["stop k0scontroller"] = errBroken
	err := c.abandon(t.Context(), c.controllers[1])
	if err == nil || !strings.Contains(err.Error(), "was left half-joined: broken") {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(e.removed, ", "); got != "cp2 (2)" {
		t.Errorf("removed: %s", got)
	}
}
