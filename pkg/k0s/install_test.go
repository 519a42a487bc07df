package k0s

import (
	"errors"
	"strings"
	"testing"
)

func TestInstallArgs(t *testing.T) {
	for name, c := range map[string]struct {
		install Install
		want    string
	}{
		"first controller":  {Install{Controller: true}, "install controller --config /etc/k0s/k0s.yaml --force"},
		"joining worker":    {Install{TokenFile: TokenPath}, "install worker --token-file /etc/k0s/kubectl-ha.token --force"},
		"worker's own dirs": {Install{KubeletRootDir: "/data/kubelet"}, "install worker --kubelet-root-dir /data/kubelet --force"},
		"controller+worker": {
			Install{Controller: true, EnableWorker: true, NoTaints: true, TokenFile: "/t"},
			"install controller --config /etc/k0s/k0s.yaml --enable-worker --no-taints --token-file /t --force",
		},
		"a worker has neither of a controller's flags": {
			Install{EnableWorker: true, NoTaints: true}, "install worker --force",
		},
		"flags keep their order and are not repeated": {
			Install{Controller: true, EnableWorker: true, Flags: []string{"--profile", "big", "--enable-worker", "--labels=a=b"}},
			"install controller --config /etc/k0s/k0s.yaml --enable-worker --profile big --labels=a=b --force",
		},
		"a role's flag that the user gave": {
			Install{Controller: true, Flags: []string{"--enable-worker"}},
			"install controller --config /etc/k0s/k0s.yaml --enable-worker --force",
		},
		"environment in a stable order": {
			Install{Environment: map[string]string{"NO_PROXY": "10.0.0.0/8", "HTTP_PROXY": "http://p:3128"}},
			"install worker --env HTTP_PROXY=http://p:3128 --env NO_PROXY=10.0.0.0/8 --force",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(c.install.Args(), " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestInstallPassesTheDataDirectoryAndQuotesValues(t *testing.T) {
	command := "/usr/local/bin/k0s install worker --env 'A=b c' --force --data-dir /data/k0s"
	m := newMachine(t, map[string]answer{command: {}})
	node := &Node{Machine: m, DataDir: "/data/k0s"}
	if err := node.Install(t.Context(), Install{Environment: map[string]string{"A": "b c"}}); err != nil {
		t.Error(err)
	}
	m.expect(command)
}

func TestStart(t *testing.T) {
	const status, start = "/usr/local/bin/k0s status -o json", "/usr/local/bin/k0s start"

	t.Run("one that runs is left alone", func(t *testing.T) {
		m := newMachine(t, map[string]answer{status: {output: "{}"}})
		if err := (&Node{Machine: m}).Start(t.Context()); err != nil {
			t.Error(err)
		}
		m.expect(status)
	})
	// `k0s start` and `k0s status` do not know --data-dir.
	t.Run("with a data directory of its own", func(t *testing.T) {
		m := newMachine(t, map[string]answer{status: {err: errBroken}, start: {}})
		if err := (&Node{Machine: m, DataDir: "/data/k0s"}).Start(t.Context()); err != nil {
			t.Error(err)
		}
		m.expect(status, start)
	})
	// k0s that is stopped in the middle of its join ends with an error; systemd remembers that, and k0s minds it.
	t.Run("one that systemd holds for failed", func(t *testing.T) {
		const reset = "systemctl reset-failed k0scontroller"
		m := newMachine(t, map[string]answer{status: {err: errBroken}, start: {err: errors.New("Error: service in failed state")}, reset: {}})
		if err := (&Node{Machine: m}).Start(t.Context()); err == nil { // the script knows no other answer
			t.Error("got no error")
		}
		m.expect(status, start, reset, start)
	})
	t.Run("failure", func(t *testing.T) {
		m := newMachine(t, map[string]answer{status: {err: errBroken}, start: {err: errBroken}})
		if err := (&Node{Machine: m}).Start(t.Context()); !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "starting k0s: ") {
			t.Errorf("got %v", err)
		}
	})
}

func TestResetKnowsWhereTheKubeletKeepsItsData(t *testing.T) {
	for want, node := range map[string]*Node{
		"flock /run/kubectl-ha-reset.lock /usr/local/bin/k0s reset": {},
		"flock /run/kubectl-ha-reset.lock /opt/k0s reset --kubelet-root-dir /data/kubelet --data-dir /data/k0s": {
			Binary: "/opt/k0s", DataDir: "/data/k0s", KubeletRootDir: "/data/kubelet",
		},
	} {
		m := newMachine(t, map[string]answer{want: {}})
		node.Machine = m
		if err := node.Reset(t.Context()); err != nil {
			t.Error(err)
		}
		m.expect(want)
	}
}
