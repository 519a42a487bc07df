package component

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

//nolint:gochecknoglobals // a test flag
var update = flag.Bool("update", false, "write the golden files")

func load(t *testing.T, spec string) (*vars.Vars, *clusterconfig.Config) {
	t.Helper()
	v, err := vars.New(vars.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := clusterconfig.Parse([]byte("spec: " + spec + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

func TestArguments(t *testing.T) {
	v, c := load(t, "{api: {address: 10.0.0.1}, storage: {etcd: {peerAddress: 10.0.0.1}}}")
	for name, args := range map[string][]string{
		"etcd-first":              Etcd(v, c, "cp1", nil),
		"etcd-joins":              Etcd(v, c, "cp2", []string{"cp1=https://10.0.0.1:2380", "cp2=https://10.0.0.2:2380"}),
		"kube-apiserver":          APIServer(v, c, true),
		"kube-controller-manager": ControllerManager(v, c, true),
		"kube-scheduler":          Scheduler(v, c, true),
	} {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", name+".args")
			got := strings.Join(args, "\n") + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (go test -update writes it):\n%s", golden, got)
			}
		})
	}
}

func TestConfigChangesArguments(t *testing.T) {
	v, c := load(t, `{
		api: {address: "fd00::1", onlyBindToAddress: true, port: 7443, extraArgs: {v: "4"}, rawArgs: [--raw]},
		storage: {etcd: {peerAddress: "fd00::1", extraArgs: {heartbeat-interval: "200"}}},
		network: {podCIDR: "fd01::/108", serviceCIDR: "fd02::/108"},
		scheduler: {extraArgs: {leader-elect-lease-duration: 30s}}}`)
	for name, test := range map[string]struct {
		has, hasNot []string
		args        []string
	}{
		"an API server that leaves its endpoints to k0s": {
			has: []string{
				"--endpoint-reconciler-type=none", "--bind-address=fd00::1", "--secure-port=7443", "--v=4", "--raw",
				"--service-cluster-ip-range=fd02::/108",
			},
			hasNot: []string{"--v=0"}, args: APIServer(v, c, false),
		},
		"an API server that keeps its endpoints": {
			hasNot: []string{"--endpoint-reconciler-type=none"}, args: APIServer(v, c, true),
		},
		"etcd over IPv6": {
			has:  []string{"--listen-peer-urls=https://[fd00::1]:2380", "--heartbeat-interval=200"},
			args: Etcd(v, c, "cp1", nil),
		},
		"an IPv6 pod network": {has: []string{"--node-cidr-mask-size=117"}, args: ControllerManager(v, c, true)},
		"a single node": {
			has: []string{"--leader-elect=false", "--leader-elect-lease-duration=30s"}, args: Scheduler(v, c, false),
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, arg := range test.has {
				if !slices.Contains(test.args, arg) {
					t.Errorf("%s is missing", arg)
				}
			}
			for _, arg := range test.hasNot {
				if slices.Contains(test.args, arg) {
					t.Errorf("%s is there", arg)
				}
			}
		})
	}
	if _, added := c.Spec.API.ExtraArgs["endpoint-reconciler-type"]; added {
		t.Error("the config itself was changed")
	}
}
