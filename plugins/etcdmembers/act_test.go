package etcdmembers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// What is done to a cluster, through whom, and what is refused. Nobody is there to be asked unless --yes is given.
func TestActions(t *testing.T) {
	remove := func(who string) func(*Options, context.Context) error {
		return func(o *Options, ctx context.Context) error { return o.remove(ctx, who) }
	}
	promote := func(who string) func(*Options, context.Context) error {
		return func(o *Options, ctx context.Context) error { return o.promote(ctx, who) }
	}
	lead := func(who string) func(*Options, context.Context) error {
		return func(o *Options, ctx context.Context) error { return o.moveLeader(ctx, who) }
	}
	dead := func(address string) func(*fakeCluster) {
		return func(c *fakeCluster) { c.unseen[address] = errBroken }
	}
	learner := func(c *fakeCluster) {
		m := member(0xd4, "cp4", "10.10.3.2")
		m.Learner = true
		c.members = append(c.members, m)
	}
	alarm := func(c *fakeCluster) { c.alarms = []etcd.Alarm{{Member: 0xb2, Type: etcd.NoSpace}} }
	none := func(*fakeCluster) {}
	for name, c := range map[string]struct {
		change func(c *fakeCluster)
		act    func(*Options, context.Context) error
		code   int
		did    string // what was done to members, one a line
		says   string // in what is printed or in the error
	}{
		"remove a follower":               {none, remove("cp3"), 0, "10.10.0.2: remove cp3 (c3)", "kubectl ha-eject cp3 is the whole procedure"},
		"remove by ID":                    {none, remove("0xC3"), 0, "10.10.0.2: remove cp3 (c3)", "cp3 (c3) is removed"},
		"remove by what -o name prints":   {none, remove(namePrefix + "cp3"), 0, "10.10.0.2: remove cp3 (c3)", "kubectl delete etcdmember cp3"},
		"remove the leader":               {none, remove("CP1"), 0, "10.10.0.2: move leader to cp2 (b2)\n10.10.1.2: remove cp1 (a1)", "cp1 (a1) is removed"},
		"remove a dead one":               {dead("10.10.2.2"), remove("cp3"), 0, "10.10.0.2: remove cp3 (c3)", "cp3 (c3) is removed"},
		"remove nobody":                   {none, remove("cp9"), 1, "", `etcd has no member "cp9": its members are cp1 (a1), cp2 (b2), cp3 (c3)`},
		"remove while one is dead":        {dead("10.10.2.2"), remove("cp2"), 3, "", "quorum would be lost"},
		"remove while one is dead, by -f": {func(c *fakeCluster) { c.o.file = nil; dead("10.10.2.2")(c) }, remove("cp2"), 3, "", "quorum would be lost"},
		"remove while k0s is upgraded":    {func(c *fakeCluster) { c.upgrade = "Schedulable" }, remove("cp3"), 3, "", "a k0s upgrade is in progress (Schedulable)"},
		"remove without an API to ask":    {func(c *fakeCluster) { c.kubeErr = errBroken }, remove("cp3"), 1, "", "whether k0s is being upgraded is not known"},
		"remove with a learner":           {learner, remove("cp3"), 3, "", "cp4 (d4) is still a learner"},
		"remove the learner":              {learner, remove("cp4"), 0, "10.10.0.2: remove cp4 (d4)", ""},
		"remove with an alarm":            {alarm, remove("cp3"), 3, "", "NOSPACE on cp2 (b2)"},
		"remove the last one":             {func(c *fakeCluster) { c.members = c.members[:1] }, remove("cp1"), 3, "", "last voting member"},
		"remove what etcd refuses":        {func(c *fakeCluster) { c.refusal = etcd.ErrUnsafe }, remove("cp3"), 3, "10.10.0.2: remove cp3 (c3)", "etcd refuses"},
		"remove without an answer": {func(c *fakeCluster) { c.o.Yes = false }, remove("cp3"), 3, "",
			`no terminal to ask "Remove cp3 (c3) from etcd? Voters that remain: 2; none of them may fail then."`},
		"remove while others are at work": {func(c *fakeCluster) { c.locked = &host.LockedError{Holder: "anna"} }, remove("cp3"), 3, "", "another command is changing the control plane"},
		"remove without a lock":           {func(c *fakeCluster) { c.locked = errBroken }, remove("cp3"), 1, "", "broken"},
		"remove where nobody answers": {func(c *fakeCluster) { dead("10.10.0.2")(c); dead("10.10.1.2")(c); dead("10.10.2.2")(c) }, remove("cp3"), 1, "",
			"no member of etcd could be reached"},

		"promote a learner":         {learner, promote("cp4"), 0, "10.10.0.2: promote cp4 (d4)", "cp4 (d4) votes"},
		"promote a voter":           {none, promote("cp3"), 3, "", "cp3 (c3) votes already"},
		"promote one too early":     {func(c *fakeCluster) { learner(c); c.refusal = etcd.ErrUnsafe }, promote("d4"), 3, "10.10.0.2: promote cp4 (d4)", "etcd refuses"},
		"promote while one is dead": {func(c *fakeCluster) { learner(c); dead("10.10.1.2")(c) }, promote("cp4"), 3, "", "cp2 (b2) does not answer"},

		"move the leader to":             {none, lead("cp3"), 0, "10.10.0.2: move leader to cp3 (c3)", "cp3 (c3) leads"},
		"move the leader":                {func(c *fakeCluster) { c.details[0xb2] = 9 }, lead(""), 0, "10.10.0.2: move leader to cp3 (c3)", "cp3 (c3) leads"},
		"move the leader where it is":    {none, lead("cp1"), 0, "", "cp1 (a1) leads already"},
		"move the leader to a dead one":  {dead("10.10.2.2"), lead("cp3"), 3, "", "cp3 (c3) does not answer"},
		"move the leader past a dead":    {dead("10.10.2.2"), lead("cp2"), 0, "10.10.0.2: move leader to cp2 (b2)", ""},
		"move the leader to nobody left": {func(c *fakeCluster) { c.members = c.members[:1] }, lead(""), 3, "", "no other voter is healthy"},

		"defragment":               {none, (*Options).defrag, 0, "10.10.1.2: defragment\n10.10.2.2: defragment\n10.10.0.2: defragment", "cp1 (a1): 20 MB became 20 MB"},
		"defragment a full one":    {alarm, (*Options).defrag, 0, "10.10.1.2: defragment\n10.10.2.2: defragment\n10.10.0.2: defragment", ""},
		"defragment a sick one":    {dead("10.10.2.2"), (*Options).defrag, 3, "", "cp3 (c3) does not answer"},
		"defragment, and it fails": {func(c *fakeCluster) { c.refusal = errBroken }, (*Options).defrag, 1, "10.10.1.2: defragment", "cp2 (b2): broken"},

		"show no alarm":        {none, (*Options).showAlarms, 0, "", "No alarm is raised."},
		"show an alarm":        {alarm, (*Options).showAlarms, 1, "", "NOSPACE on cp2 (b2)"},
		"disarm nothing":       {none, (*Options).disarm, 0, "", "No alarm is raised."},
		"disarm":               {alarm, (*Options).disarm, 0, "10.10.0.2: disarm NOSPACE on b2", "Disarmed: NOSPACE on cp2 (b2)"},
		"disarm a broken disk": {func(c *fakeCluster) { c.alarms = []etcd.Alarm{{Member: 0xb2, Type: etcd.Corrupt}} }, (*Options).disarm, 3, "", "the database of cp2 (b2) is corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			cluster.o.Yes = true
			c.change(cluster)
			err := c.act(cluster.o, t.Context())
			if cli.ExitCode(err) != c.code {
				t.Errorf("got exit code %d, want %d: %v", cli.ExitCode(err), c.code, err)
			}
			if did := strings.Join(cluster.did, "\n"); did != c.did {
				t.Errorf("did\n%s\nwant\n%s", did, c.did)
			}
			said := cluster.out.String() + cluster.errOut.String()
			if err != nil {
				said += err.Error()
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("said %s, want %s", said, c.says)
			}
		})
	}
}

// A dry run judges, asks nobody, changes nothing, and says what a run does.
func TestDryRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd.db")
	learner := func(c *fakeCluster) {
		m := member(0xd4, "cp4", "10.10.3.2")
		m.Learner = true
		c.members = append(c.members, m)
	}
	none := func(*fakeCluster) {}
	var all strings.Builder
	for _, k := range []struct {
		name   string
		change func(c *fakeCluster)
		act    func(*Options, context.Context) error
		code   int
	}{
		{"remove cp3", none, func(o *Options, ctx context.Context) error { return o.remove(ctx, "cp3") }, 0},
		{"remove the leader", none, func(o *Options, ctx context.Context) error { return o.remove(ctx, "cp1") }, 0},
		{"remove a dead leader", func(c *fakeCluster) { c.unseen["10.10.0.2"], c.leader = errBroken, 0xb2 },
			func(o *Options, ctx context.Context) error { return o.remove(ctx, "cp1") }, 0},
		{"remove what the others need", func(c *fakeCluster) { c.unseen["10.10.2.2"] = errBroken },
			func(o *Options, ctx context.Context) error { return o.remove(ctx, "cp2") }, 3},
		{"promote", learner, func(o *Options, ctx context.Context) error { return o.promote(ctx, "cp4") }, 0},
		{"move-leader", none, func(o *Options, ctx context.Context) error { return o.moveLeader(ctx, "") }, 0},
		{"defrag", none, (*Options).defrag, 0},
		{"defrag a sick one", func(c *fakeCluster) { c.unseen["10.10.2.2"] = errBroken }, (*Options).defrag, 3},
		{"alarms disarm", func(c *fakeCluster) { c.alarms = []etcd.Alarm{{Member: 0xb2, Type: etcd.NoSpace}} }, (*Options).disarm, 0},
		{"snapshot", none, func(o *Options, ctx context.Context) error { return o.snapshot(ctx, file) }, 0},
		{"snapshot over a file", func(*fakeCluster) {
			if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, func(o *Options, ctx context.Context) error { return o.snapshot(ctx, file) }, 0},
	} {
		c := newCluster(t)
		c.o.DryRun = "client"
		k.change(c)
		err := k.act(c.o, t.Context())
		if cli.ExitCode(err) != k.code {
			t.Errorf("%s: got %v", k.name, err)
		}
		if len(c.did) > 0 {
			t.Errorf("%s: it did %q", k.name, c.did)
		}
		fmt.Fprintf(&all, "# %s\n%s", k.name, c.out)
		if err != nil {
			fmt.Fprintf(&all, "error: %v\n", err)
		}
	}
	if data, err := os.ReadFile(file); string(data) != "mine" {
		t.Errorf("the file is %q, %v", data, err)
	}
	golden.Compare(t, "dryrun", strings.ReplaceAll(all.String(), filepath.Dir(file)+"/", ""))
}

func TestARemovalThatTakesNoEffectIsAnError(t *testing.T) {
	c := newCluster(t)
	c.o.Yes, c.forgets = true, true
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := c.o.remove(ctx, "cp3"); err == nil || !strings.Contains(err.Error(), "etcd still lists cp3 (c3)") {
		t.Errorf("got %v", err)
	}
}

func TestSnapshot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd.db")
	take := func(yes bool, database string, failure error) (*fakeCluster, error) {
		c := newCluster(t)
		c.o.Yes, c.database, c.refusal = yes, []byte(database), failure
		c.unseen["10.10.0.2"], c.unseen["10.10.1.2"] = errBroken, errBroken // without a quorum, even
		return c, c.o.snapshot(t.Context(), file)
	}
	expect := func(content string) {
		t.Helper()
		if data, err := os.ReadFile(file); string(data) != content || (err == nil) != (content != "") {
			t.Errorf("got %q, %v; want %q", data, err, content)
		}
		if _, err := os.Stat(file + ".part"); err == nil {
			t.Error("the unfinished copy is left")
		}
	}

	if _, err := take(false, "half", errBroken); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	expect("")
	if err := os.WriteFile(file+".part", []byte("left by a run that was killed"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := take(false, "first", nil)
	if err != nil || !strings.HasSuffix(c.out.String(), "/etcd.db: 5 B from cp3 (c3), etcd 3.6.14; its SHA-256 is verified: abcd\n") {
		t.Errorf("got %v, %s", err, c.out)
	}
	expect("first")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := take(false, "second", nil); cli.ExitCode(err) != cli.ExitRefused {
		t.Errorf("got %v", err)
	}
	expect("first")
	if _, err := take(true, "half", errBroken); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	expect("first")
	if _, err := take(true, "second", nil); err != nil {
		t.Errorf("got %v", err)
	}
	expect("second")
}

func TestFindNeedsOneMember(t *testing.T) {
	members := []etcd.Member{member(0xa1, "twin", "10.10.0.2"), member(0xb2, "twin", "10.10.1.2"), member(0xc3, "b2", "10.10.2.2"), {ID: 0xd4}}
	for argument, want := range map[string]uint64{"twin": 0, "a1": 0xa1, "b2": 0xc3, "0xb2": 0xb2, "d4": 0xd4, "": 0, "0": 0, "zz": 0} {
		if m, err := find(members, argument); m.ID != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %v, %v", argument, m, err)
		}
	}
}
