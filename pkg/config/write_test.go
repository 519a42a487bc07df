package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// whatHostsMayHave is a file with everything that Write keeps, and with what it does not.
const whatHostsMayHave = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - role: controller+worker
      noTaints: true
      ssh: {address: 192.0.2.1, user: admin, port: 2222, keyPath: ~/.ssh/id, hostKey: ssh-ed25519 AAAA, bastion: {address: b.example, keyPath: /root/other}}
      privateAddress: 10.10.0.2
      dataDir: /data/k0s
      kubeletRootDir: /data/kubelet
      environment: {HTTPS_PROXY: "http://me:hidden@proxy"}
      installFlags: [--debug, "--kubelet-extra-args='--a=b --c=$$HOME'", --labels, "it=\"it's\""]
      k0sBinaryPath: /srv/k0s
      files: [{name: f, data: hidden, dst: /etc/f}]
      hooks: {apply: {before: [echo hidden]}}
    - {role: controller, openSSH: {address: cp2, options: {User: x}, keyPath: ~/k}, privateAddress: 10.10.1.2}
    - {role: controller, localhost: true, privateAddress: 10.10.2.2}
    - {role: worker, ssh: {address: 10.10.20.2}}
  k0s:
    version: v1.36.3+k0s.2
    dynamicConfig: true
    config:
      spec:
        api: {externalAddress: 10.10.4.10, port: 7443}
        extensions: {helm: {charts: [{name: c, values: "password: hidden"}]}}
---
apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
metadata: {name: edge}
spec:
  hosts:
    - {ssh: {address: 192.0.2.9, user: ops, keyPath: /elsewhere/id}, privateAddress: 10.10.4.9}
    - {ssh: {address: 10.10.4.11, keyPath: ~/.ssh/id}}
  balance: roundrobin
  check: tls
  configPath: /etc/haproxy/k0s.cfg
  stats: {disabled: true}
  spareServers: 0
  drainTimeout: 90s
`

func parsed(t *testing.T, text string) *File {
	t.Helper()
	f, err := source("cluster.yaml").Parse([]byte(text))
	if err == nil {
		err = f.Complete()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatIsWrittenReadsBack(t *testing.T) {
	f := parsed(t, whatHostsMayHave)
	text, err := Write(f.Cluster, f.LoadBalancer)
	if err != nil {
		t.Fatal(err)
	}
	back := parsed(t, string(text))
	for i, h := range f.Cluster.Hosts {
		want := *h
		want.Line, want.Environment, want.Files, want.Hooks = back.Cluster.Hosts[i].Line, nil, nil, nil
		if o := want.Conn.OpenSSH; o != nil {
			want.Conn.OpenSSH = &OpenSSH{Address: o.Address, User: o.User, Port: o.Port, KeyPath: o.KeyPath}
		}
		if !reflect.DeepEqual(*back.Cluster.Hosts[i], want) {
			t.Errorf("got %+v\nwant %+v", *back.Cluster.Hosts[i], want)
		}
	}
	want := *f.LoadBalancer
	want.Line = back.LoadBalancer.Line
	for i, h := range want.Hosts {
		h.Line = back.LoadBalancer.Hosts[i].Line
	}
	if !reflect.DeepEqual(*back.LoadBalancer, want) {
		t.Errorf("got %+v\nwant %+v", *back.LoadBalancer, want)
	}
	if !back.Cluster.K0s.DynamicConfig || !reflect.DeepEqual(back.Cluster.K0s.Config, f.Cluster.K0s.Config.ports()) {
		t.Errorf("got %+v", back.Cluster.K0s)
	}
	again, err := Write(back.Cluster, back.LoadBalancer)
	if err != nil || string(again) != string(text) {
		t.Errorf("it changes when it is written again: %v\n%s", err, again)
	}
	if _, err := Write(f.Cluster, nil); err != nil {
		t.Error(err)
	}
}

func TestWhatIsPortableHoldsNothingOfOneMachineAndNoSecret(t *testing.T) {
	f := parsed(t, whatHostsMayHave)
	text, err := Write(f.Portable(f.Cluster.Controllers(), "/home/me"))
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "portable", string(text))
	for _, word := range []string{"hidden", "/srv/k0s", "/root/other", "/elsewhere", "/home/me", "10.10.20.2"} {
		if strings.Contains(string(text), word) {
			t.Errorf("it holds %s", word)
		}
	}
	back := parsed(t, string(text))
	if back.LoadBalancer.Ports != f.LoadBalancer.Ports || back.LoadBalancer.Address != "10.10.4.10" {
		t.Errorf("got %+v", back.LoadBalancer)
	}
	addresses := func(hosts []*Host) (all []string) {
		for _, h := range hosts {
			all = append(all, h.Address())
		}
		return all
	}
	if got := addresses(back.Cluster.Hosts); !slices.Equal(got, addresses(f.Cluster.Controllers())) {
		t.Errorf("got %q", got)
	}
}
