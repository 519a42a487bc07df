package etcdmembers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// fakeCluster is an etcd of three members and the API in front of it, in memory: cp1 (a1, the leader), cp2 (b2) and
// cp3 (c3).
type fakeCluster struct {
	t       *testing.T
	o       *Options
	out     *bytes.Buffer
	errOut  *bytes.Buffer
	members []etcd.Member
	objects []kube.EtcdMember
	upgrade string

	mu       sync.Mutex
	leader   uint64
	unseen   map[string]error // hosts that cannot be connected to, by address
	frozen   map[string]bool  // members that do not answer, by the host's address
	locked   error
	did      []string
	alarms   []etcd.Alarm
	refusal  error          // of what etcd itself refuses
	kubeErr  error          // of the API
	forgets  bool           // a removal has no effect
	database []byte         // what a snapshot gives
	details  map[uint64]int // entries that a member is behind
}

var errBroken = errors.New("broken")

const clusterFile = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - {role: controller, ssh: {address: 10.10.0.2, user: root}}
    - {role: controller, ssh: {address: 10.10.1.2, user: root}}
    - {role: controller, ssh: {address: 10.10.2.2, user: root}}
    - {role: worker, ssh: {address: 10.10.20.2, user: root}}
`

func newCluster(t *testing.T) *fakeCluster {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	c := &fakeCluster{
		t: t, o: newOptions(streams), out: out, errOut: errOut, leader: 0xa1,
		members: []etcd.Member{
			member(0xa1, "cp1", "10.10.0.2"), member(0xb2, "cp2", "10.10.1.2"), member(0xc3, "cp3", "10.10.2.2"),
		},
		objects: []kube.EtcdMember{
			object("cp1", "10.10.0.2", "a1"), object("cp2", "10.10.1.2", "b2"), object("cp3", "10.10.2.2", "c3"),
		},
		unseen: map[string]error{}, frozen: map[string]bool{}, details: map[uint64]int{},
	}
	file, err := config.Parse("cluster.yaml", []byte(clusterFile))
	if err != nil {
		t.Fatal(err)
	}
	c.o.file, c.o.world, c.o.Timeout = file, c.world(), 100*time.Millisecond
	return c
}

func member(id uint64, name, address string) etcd.Member {
	return etcd.Member{
		ID: id, Name: name, PeerURLs: []string{"https://" + net.JoinHostPort(address, "2380")}, ClientURLs: []string{"https://127.0.0.1:2379"},
	}
}

func object(name, address, id string) kube.EtcdMember {
	return kube.EtcdMember{Name: name, PeerAddress: netip.MustParseAddr(address), MemberID: id, Joined: true}
}

func (c *fakeCluster) world() world {
	return world{
		host: func(_ context.Context, conn config.Connection) (remote, error) {
			if err := c.unseen[conn.Address()]; err != nil {
				return nil, fmt.Errorf("connecting to %s: %w", conn, err)
			}
			return &fakeHost{cluster: c, name: conn.String(), address: conn.Address()}, nil
		},
		etcd: func(_ context.Context, host remote, _ string) (client, error) {
			return &fakeClient{cluster: c, address: host.(*fakeHost).address}, nil
		},
		kube:     func() (api, error) { return c, nil },
		kubeFrom: func(context.Context, remote, string) (api, error) { return c, nil },
	}
}

func (c *fakeCluster) EtcdMembers(context.Context) ([]kube.EtcdMember, error) {
	if c.kubeErr != nil {
		return nil, c.kubeErr
	}
	return c.objects, nil
}

func (c *fakeCluster) UpgradeInProgress(context.Context) (string, error) { return c.upgrade, nil }

func (c *fakeCluster) note(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.did = append(c.did, fmt.Sprintf(format, args...))
	return c.refusal
}

// at is the member on a host.
func (c *fakeCluster) at(address string) (etcd.Member, bool) {
	return etcd.ByAddress(c.members, netip.MustParseAddr(address))
}

type fakeHost struct {
	cluster       *fakeCluster
	name, address string
}

func (h *fakeHost) Name() string { return h.name }
func (h *fakeHost) Close() error { return nil }

func (h *fakeHost) Lock(context.Context, string) (func() error, error) {
	return func() error { return nil }, h.cluster.locked
}

func (h *fakeHost) Output(context.Context, string, io.Reader) (string, error) { return "", errBroken }
func (h *fakeHost) ReadFile(context.Context, string) ([]byte, error)          { return nil, errBroken }

func (h *fakeHost) WriteFile(context.Context, string, []byte, fs.FileMode) error { return errBroken }

func (h *fakeHost) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, errBroken
}

type fakeClient struct {
	cluster *fakeCluster
	address string
}

func (f *fakeClient) View(ctx context.Context) (etcd.View, error) {
	c := f.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen[f.address] {
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
		return etcd.View{}, ctx.Err()
	}
	m, found := c.at(f.address)
	if !found {
		return etcd.View{}, errors.New("etcd does not run")
	}
	const index = 1234
	view := etcd.View{
		Status: etcd.Status{
			ID: m.ID, Cluster: 0x77, Leader: c.leader, Learner: m.Learner, Version: "3.6.14", DBSize: 20_480_000, DBInUse: 8_300_000,
			DBQuota: 2_147_483_648, Term: 7, Index: index, Applied: index - uint64(c.details[m.ID]), Alarms: c.alarms,
		},
		Latency: 1750 * time.Microsecond,
	}
	if m.Learner {
		view.Latency = 0
		return view, nil
	}
	view.Members = slices.Clone(c.members)
	return view, nil
}

func (f *fakeClient) Members(context.Context) ([]etcd.Member, error) {
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	return slices.Clone(f.cluster.members), nil
}

func (f *fakeClient) Remove(_ context.Context, m etcd.Member) error {
	c := f.cluster
	if err := c.note("%s: remove %s", f.address, m); err != nil || c.forgets {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.DeleteFunc(slices.Clone(c.members), func(other etcd.Member) bool { return other.ID == m.ID })
	return nil
}

func (f *fakeClient) Promote(_ context.Context, m etcd.Member) error {
	return f.cluster.note("%s: promote %s", f.address, m)
}

func (f *fakeClient) MoveLeader(_ context.Context, to etcd.Member) error {
	err := f.cluster.note("%s: move leader to %s", f.address, to)
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	f.cluster.leader = to.ID
	return err
}

func (f *fakeClient) Defragment(context.Context) error {
	return f.cluster.note("%s: defragment", f.address)
}

func (f *fakeClient) Disarm(_ context.Context, alarm etcd.Alarm) error {
	return f.cluster.note("%s: disarm %s", f.address, alarm)
}

func (f *fakeClient) Snapshot(_ context.Context, out io.Writer) (etcd.Snapshot, error) {
	n, err := out.Write(f.cluster.database)
	if err == nil {
		err = f.cluster.refusal
	}
	return etcd.Snapshot{Size: int64(n), SHA256: []byte{0xab, 0xcd}}, err
}

func (f *fakeClient) Close() error { return nil }
