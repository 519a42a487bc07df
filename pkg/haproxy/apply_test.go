package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

func makePlan(t *testing.T, b *Balancer, servers []Server) *Plan {
	t.Helper()
	cur, err := b.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := MakePlan(cur, Desired{Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestApplyChangesMembersWithoutReload(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	plan := makePlan(t, b, hosts(2, 3))
	if err := b.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(2, 3))
	if f.world.runtime.PID != 1 {
		t.Error("HAProxy was reloaded")
	}
	given := f.given()
	at := func(command string) int { return slices.Index(given, command) }
	for _, backend := range f.world.spec.Backends() {
		address := at(fmt.Sprintf("set server %s/slot3 addr 10.10.3.2 port %d", backend.Name, backend.Port))
		drain := at("set server " + backend.Name + "/slot3 state drain")
		ready := at("set server " + backend.Name + "/slot3 state ready")
		old := at("set server " + backend.Name + "/cp1 state drain")
		if address < 0 || drain < address || ready < drain || old < ready {
			t.Errorf("order in %s: address %d, drain %d, ready %d, drain of the old one %d", backend.Name, address, drain, ready, old)
		}
	}
	if info, err := os.Stat(f.config); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode of the file: %v %v", info.Mode(), err)
	}
	if rest := makePlan(t, b, hosts(2, 3)); !rest.Empty() || rest.Diff() != "" {
		t.Errorf("left to do: %s", rest.Lines())
	}
	f.commands = nil
	if err := b.Apply(t.Context(), makePlan(t, b, hosts(2, 3))); err != nil || len(f.given()) != 0 {
		t.Errorf("doing nothing: %v, %q", err, f.given())
	}
}

func TestApplyWritesABlockAndReloads(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	const user = "# mine\nglobal\n\tdaemon\n"
	f.write(user)
	f.stop(true)
	plan := makePlan(t, b, hosts(1))
	if !strings.Contains(plan.Diff(), "+frontend kubeAPI\n") || !strings.Contains(strings.Join(plan.Lines(), "\n"), "reload HAProxy") {
		t.Errorf("%s\n%s", plan.Lines(), plan.Diff())
	}
	if err := b.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(1))
	if !strings.HasPrefix(f.read(), user) {
		t.Errorf("what is the user's changed:\n%s", f.read())
	}
}

func TestApplyStartsHAProxy(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	f.stop(false)
	if err := os.Remove(f.config); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2))); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(1, 2))
}

func TestApplyTakesOverTheUsersSections(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	guide := string(fixture(t, "user/guide.cfg"))
	f.write(guide)
	f.stop(true)
	adoption, err := Adopt([]byte(guide), f.world.spec.Ports)
	if err != nil {
		t.Fatal(err)
	}
	cur, err := b.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := MakePlan(cur, Desired{Servers: adoption.Servers, Adoption: adoption})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	f.check(adoption.Servers)
	backup := f.config + ".kubectl-ha-backup-20260102T030405Z"
	if kept, err := os.ReadFile(backup); err != nil || string(kept) != guide {
		t.Errorf("copy: %v", err)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode of the copy: %v %v", info, err)
	}
	if rest := makePlan(t, b, adoption.Servers); !rest.Empty() {
		t.Errorf("left to do: %s", rest.Lines())
	}
}

func TestApplyRefusesAFileThatSomebodyElseChanged(t *testing.T) {
	t.Run("since the plan was made", func(t *testing.T) {
		f, b := newFake(t, hosts(1, 2)...)
		plan := makePlan(t, b, hosts(1))
		f.write(f.read() + "\n# theirs\n")
		err := b.Apply(t.Context(), plan)
		if changed, ok := errors.AsType[*ChangedError](err); !ok || changed.Path != f.config {
			t.Errorf("%v", err)
		}
		if len(f.given()) > 0 || !strings.HasSuffix(f.read(), "# theirs\n") {
			t.Errorf("something was done: %q", f.given())
		}
	})
	t.Run("while it is validated", func(t *testing.T) {
		f, _ := newFake(t, hosts(1, 2)...)
		b := f.balancer(&localMachine{before: func(operation, command string) error {
			if operation == "output" && strings.Contains(command, " -c -W ") {
				f.write(f.read() + "\n# theirs\n")
			}
			return nil
		}})
		err := b.Apply(t.Context(), makePlan(t, b, hosts(1)))
		if _, ok := errors.AsType[*ChangedError](err); !ok || !strings.HasSuffix(f.read(), "# theirs\n") {
			t.Errorf("%v", err)
		}
	})
}

// The last look at the file is as near to the writing as can be: looking at ports takes a while from afar.
func TestApplyRefusesAFileThatSomebodyElseChangedWhilePortsAreLookedAt(t *testing.T) {
	f, _ := newFake(t, hosts(1, 2)...)
	f.write(strings.Replace(f.read(), "retries 3", "retries 9", 1))
	b := f.balancer(&localMachine{before: func(operation, path string) error {
		if operation == "read" && path == "/proc/net/tcp" {
			f.write(f.read() + "\n# theirs\n")
		}
		return nil
	}})
	err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2)))
	if _, ok := errors.AsType[*ChangedError](err); !ok || !strings.HasSuffix(f.read(), "# theirs\n") {
		t.Errorf("%v", err)
	}
}

func TestApplyTouchesNothingThatHAProxyDoesNotAccept(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	f.write(strings.Replace(f.read(), "retries 3", "retries 9", 1) + "\nfrontend broken\n")
	before := f.read()
	err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2)))
	refused, ok := errors.AsType[*ValidationError](err)
	if !ok || refused.Path != f.config || !strings.Contains(err.Error(), "exit status 1: "+f.config+": broken") {
		t.Errorf("%v", err)
	}
	if f.read() != before || f.world.runtime.PID != 1 {
		t.Error("the file was written or loaded")
	}
	left, err := filepath.Glob(f.config + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// RHEL's unit loads the files of conf.d beside the file that it names, wherever a symbolic link leads.
func TestValidationKnowsTheFolderThatTheUnitLoads(t *testing.T) {
	for name, link := range map[string]bool{"a file": false, "a link": true} {
		t.Run(name, func(t *testing.T) {
			f, _ := newFake(t, hosts(1)...)
			dir, bin := filepath.Dir(f.config), t.TempDir()
			confD := filepath.Join(dir, "conf.d")
			script := "#!/bin/sh\nfor last; do if [ \"$last\" = " + confD + " ]; then echo \"[ALERT] conf.d\"; exit 1; fi; done\n"
			if err := errors.Join(os.Mkdir(confD, 0o700), os.WriteFile(filepath.Join(dir, "haproxy"), []byte(script), 0o700),
				os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\necho Environment=CFGDIR=/etc/haproxy/conf.d\n"), 0o700)); err != nil {
				t.Fatal(err)
			}
			if link {
				target := filepath.Join(bin, "real")
				if err := errors.Join(os.Rename(f.config, target), os.Symlink(target, f.config)); err != nil {
					t.Fatal(err)
				}
			}
			err := f.balancer(&localMachine{path: bin}).Validate(t.Context(), []byte("global\n"))
			if refused, ok := errors.AsType[*ValidationError](err); !ok || !strings.Contains(refused.Output, "conf.d") {
				t.Errorf("conf.d was not looked at: %v", err)
			}
		})
	}
}

func TestApplyRestoresTheFileWhenAReloadFails(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			f, b := newFake(t, hosts(1, 2)...)
			b.options.ReloadTimeout = 20 * time.Millisecond
			before := strings.Replace(f.read(), "retries 3", "retries 9", 1)
			f.write(before)
			if !running {
				f.stop(false)
			}
			f.refuses = func(file string) bool { return file != before }
			err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2)))
			failed, ok := errors.AsType[*ReloadError](err)
			if !ok || !failed.Restored || !strings.Contains(err.Error(), "the old file was restored") {
				t.Errorf("%v", err)
			}
			if f.read() != before {
				t.Error("the old file is not back")
			}
			if running && f.world.runtime.PID != 2 {
				t.Error("the old file was not loaded again")
			}
			left, err := filepath.Glob(f.config + ".*")
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
			f.refuses = func(string) bool { return false }
			if err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2))); err != nil {
				t.Fatal(err)
			}
			f.check(hosts(1, 2))
		})
	}
}

// A run was killed after it had written a file that HAProxy does not start with: the next one goes back to the file
// from before.
func TestApplyRestoresTheFileFromBeforeAnInterruptedRun(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	b.options.ReloadTimeout = 20 * time.Millisecond
	before := f.read()
	if err := os.WriteFile(unconfirmedPath(f.config), []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	b.spec.Balance, f.world.spec.Balance = "roundrobin", "roundrobin"
	f.write(strings.ReplaceAll(before, "leastconn", "roundrobin"))
	f.refuses = func(file string) bool { return file != before }
	err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2)))
	if failed, ok := errors.AsType[*ReloadError](err); !ok || !failed.Restored {
		t.Errorf("%v", err)
	}
	if f.read() != before {
		t.Error("the old file is not back")
	}
}

// The user has edited the file since a run was killed: going back further than that must not cost the edit.
func TestApplyKeepsWhatTheUserWroteSinceAnInterruptedRun(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	b.options.ReloadTimeout = 20 * time.Millisecond
	before := f.read()
	if err := os.WriteFile(unconfirmedPath(f.config), []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	edited := "# theirs\n" + strings.Replace(before, "retries 3", "retries 9", 1)
	f.write(edited)
	f.refuses = func(file string) bool { return file != before }
	err := b.Apply(t.Context(), makePlan(t, b, hosts(1, 2)))
	failed, ok := errors.AsType[*ReloadError](err)
	if !ok || !failed.Restored || failed.Kept == "" || !strings.Contains(err.Error(), "as it was found is kept in "+failed.Kept) {
		t.Fatalf("%v", err)
	}
	if kept, err := os.ReadFile(failed.Kept); err != nil || string(kept) != edited {
		t.Errorf("%v, kept:\n%s", err, kept)
	}
	if f.read() != before {
		t.Error("the old file is not back")
	}
}

// A file that the block names has changed: HAProxy has to read it, whoever is killed before it did.
func TestPlanReloadsAfterUnconfirm(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	for range 2 {
		if err := b.Unconfirm(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	plan := makePlan(t, b, hosts(1, 2))
	if got := kinds(plan); got != "reload," {
		t.Errorf("planned %q", got)
	}
	if err := b.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(1, 2))
	if f.world.runtime.PID != 2 || !makePlan(t, b, hosts(1, 2)).Empty() {
		t.Error("not reloaded once")
	}
}

func TestApplyReportsServersThatDoNotPassTheirCheckAndDoesTheRest(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	b.options.CheckTimeout = 50 * time.Millisecond
	f.dead[host(3, true).Address] = true
	err := b.Apply(t.Context(), makePlan(t, b, hosts(2, 3, 4)))
	unchecked, ok := errors.AsType[*NotCheckedError](err)
	if !ok || unchecked.Server.Name != "cp3" || !strings.Contains(err.Error(), "kubeAPI_backend/slot3 DOWN (L4CON: Connection refused)") {
		t.Fatalf("%v", err)
	}
	others := []netip.Addr{host(2, true).Address, host(4, true).Address}
	if got := f.world.readyIn(Backend{Name: KubeAPIBackend, Port: 6443}); !slices.Equal(got, others) {
		t.Errorf("ready: %v", got)
	}
	if !strings.Contains(f.read(), "server cp3 10.10.3.2:6443 disabled\n") || !strings.Contains(f.read(), "server cp4 10.10.4.2:6443\n") {
		t.Errorf("the file says:\n%s", f.read())
	}
	delete(f.dead, host(3, true).Address)
	if err := b.Apply(t.Context(), makePlan(t, b, hosts(2, 3, 4))); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(2, 3, 4))
}

// HAProxy is set up before the control plane is: a first controller that was given up makes room for another one that
// does not run yet either.
func TestApplyWaitsForNobodyWhileNoServerIsUp(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	b.options.CheckTimeout = 20 * time.Millisecond
	f.dead[host(1, true).Address], f.dead[host(2, true).Address] = true, true
	if err := b.Apply(t.Context(), makePlan(t, b, hosts(2))); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(2))
}

func TestApplyNeverTakesTheLastServerThatIsUp(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	b.options.CheckTimeout = 20 * time.Millisecond
	f.dead[host(2, true).Address] = true
	err := b.Apply(t.Context(), makePlan(t, b, hosts(2)))
	if _, ok := errors.AsType[*LastServerError](err); !ok {
		t.Errorf("%v", err)
	}
	if _, ok := errors.AsType[*NotCheckedError](err); !ok {
		t.Errorf("the reason is missing: %v", err)
	}
	for _, backend := range f.world.spec.Backends() {
		if got := f.world.readyIn(backend); !slices.Equal(got, []netip.Addr{host(1, true).Address}) {
			t.Errorf("%s: ready %v", backend.Name, got)
		}
	}
	if !slices.Contains(f.world.enabledInFile(t), host(1, true).Address) {
		t.Error("a restart would bring up HAProxy without a server")
	}
}

func TestApplyNoticesThatHAProxyWasRestarted(t *testing.T) {
	// Once before a command that Apply gives, at different places.
	commands := 0
	for at := 0; at <= commands; at += 3 {
		f, b := newFake(t, hosts(1, 2)...)
		plan := makePlan(t, b, hosts(2, 3))
		count := 0
		f.onCommand = func(command string) {
			if strings.HasPrefix(command, "show ") && command != "show info" {
				return
			}
			if count++; count == at {
				f.load()
			}
		}
		if err := b.Apply(t.Context(), plan); err != nil {
			t.Fatalf("restarted before command %d: %v", at, err)
		}
		commands = max(commands, min(count, 60))
		f.check(hosts(2, 3))
	}
}

func TestApplyEndsWhenHAProxyKeepsRestarting(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	plan := makePlan(t, b, hosts(2, 3))
	f.onCommand = func(command string) {
		if strings.HasPrefix(command, "set server") {
			f.load()
		}
	}
	if err := b.Apply(t.Context(), plan); err == nil || !strings.Contains(err.Error(), "restarted") {
		t.Errorf("%v", err)
	}
}

// Killed before any of the operations on the host, the next run completes the work.
func TestApplyIsCompletedByTheNextOneWhereverItWasCutOff(t *testing.T) {
	errKilled := errors.New("killed")
	for _, c := range []struct {
		name   string
		change func(f *fakeHAProxy)
		want   []Server
		step   int // from one operation to the next that is tried
	}{
		{"members", nil, hosts(2, 3, 4), 1},
		{"settings and members", func(f *fakeHAProxy) {
			f.write(strings.Replace(f.read(), "retries 3", "retries 9", 1))
		}, hosts(2, 3), 1},
		{"more slots", nil, hosts(2, 3, 4, 5), 4},
		{"first block", func(f *fakeHAProxy) { f.write("global\n"); f.stop(true) }, hosts(1, 2), 1},
		{"start", func(f *fakeHAProxy) { f.stop(false) }, hosts(1, 2), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			operations := 0
			for at := 1; ; at += c.step {
				f, whole := newFake(t, hosts(1, 2)...)
				if c.change != nil {
					c.change(f)
				}
				plan := makePlan(t, whole, c.want)
				operations = 0
				ctx, kill := context.WithCancel(t.Context())
				b := f.balancer(&localMachine{before: func(string, string) error {
					if operations++; operations >= at {
						kill()
						return errKilled
					}
					return nil
				}})
				err := b.Apply(ctx, plan)
				kill()
				if err != nil && !errors.Is(err, errKilled) && !errors.Is(err, context.Canceled) {
					t.Fatalf("cut off at operation %d: %v", at, err)
				}
				if err := whole.Apply(t.Context(), makePlan(t, whole, c.want)); err != nil {
					t.Fatalf("after being cut off at operation %d: %v", at, err)
				}
				f.check(c.want)
				if err == nil {
					break
				}
			}
			if operations < 5 {
				t.Errorf("only %d operations", operations)
			}
		})
	}
}

func TestApplyHasHAProxyForItself(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	plan := makePlan(t, b, hosts(1))
	unlock, err := b.machine.Lock(t.Context(), b.options.LockPath)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Apply(ctx, plan); !errors.Is(err, context.DeadlineExceeded) || len(f.given()) > 0 {
		t.Errorf("%v, %q", err, f.given())
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(1))
}

func TestApplyTellsWhatItDoes(t *testing.T) {
	_, b := newFake(t, hosts(1, 2)...)
	var told []string
	b.options.Observe = func(a Action) { told = append(told, a.String()) }
	plan := makePlan(t, b, hosts(2, 3))
	if err := b.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, plan.Lines()) {
		t.Errorf("told\n%s\nplanned\n%s", strings.Join(told, "\n"), strings.Join(plan.Lines(), "\n"))
	}
	golden.File(t, "testdata/plan/replace.txt", strings.ReplaceAll(strings.Join(told, "\n")+"\n", filepath.Dir(b.spec.ConfigPath), "/etc/haproxy"))
}

func TestHAProxysRefusalIsAnError(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	s := &session{Balancer: b, pid: 1}
	lines := []Line{{Backend: KubeAPIBackend, Slot: "nope"}}
	for name, err := range map[string]error{
		"state":   s.setState(t.Context(), lines, Drain),
		"checks":  s.startChecks(t.Context(), lines),
		"address": s.setAddress(t.Context(), lines, host(1, true).Address, func(Line) int { return 1 }),
	} {
		if err == nil || !strings.Contains(err.Error(), "No such server.") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = f
}

func TestServerStateIsSetInEachBackend(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	states := func() string {
		var all []string
		for _, s := range f.world.runtime.Servers {
			if s.Address == host(2, true).Address {
				all = append(all, string(s.Admin))
			}
		}
		return strings.Join(all, " ")
	}
	for _, state := range []AdminState{Drain, Maint, Ready, Maint, Drain, Ready, Ready} {
		if err := b.SetServerState(t.Context(), host(2, true), state); err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(strings.Repeat(string(state)+" ", 4)); states() != want {
			t.Errorf("states are %s, not %s", states(), want)
		}
	}
	file := f.read()
	if err := b.SetServerState(t.Context(), host(2, true), Drain); err != nil || f.read() != file {
		t.Errorf("%v", err)
	}
	err := b.SetServerState(t.Context(), host(1, true), Maint)
	if last, ok := errors.AsType[*LastServerError](err); !ok || last.Server != "cp1 (10.10.1.2)" {
		t.Errorf("the last one: %v", err)
	}
	if err := b.SetServerState(t.Context(), host(9, true), Maint); err != nil {
		t.Errorf("one that is not there is out already: %v", err)
	}
	if err := b.SetServerState(t.Context(), host(9, true), Ready); err == nil {
		t.Error("one that is not there cannot be made ready")
	}
	b.options.CheckTimeout = 20 * time.Millisecond
	f.dead[host(2, true).Address] = true
	if err := b.SetServerState(t.Context(), host(2, true), Maint); err != nil {
		t.Fatal(err)
	}
	err = b.SetServerState(t.Context(), host(2, true), Ready)
	if _, ok := errors.AsType[*NotCheckedError](err); !ok || states() != "drain drain drain drain" {
		t.Errorf("%v, states %s", err, states())
	}
}

func TestSessionsAreWaitedForAndShutDown(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	hold := func(n int) {
		f.change(func(s *ServerState) {
			if s.Address == host(2, true).Address {
				s.Sessions = n
			}
		})
	}
	hold(2)
	if left, err := b.WaitDrained(t.Context(), host(2, true), 20*time.Millisecond); err != nil || left != 8 {
		t.Errorf("left %d, %v", left, err)
	}
	looks := 0
	f.onCommand = func(command string) {
		if looks++; looks == 10 {
			hold(0)
		}
	}
	if left, err := b.WaitDrained(t.Context(), host(2, true), 10*time.Second); err != nil || left != 0 {
		t.Errorf("left %d, %v", left, err)
	}
	f.onCommand = nil
	if err := b.ShutdownSessions(t.Context(), host(2, true)); err != nil || len(f.closed) != 4 {
		t.Errorf("%v, closed %v", err, f.closed)
	}
	if err := b.ShutdownSessions(t.Context(), host(9, true)); err != nil {
		t.Errorf("one that is not there has no sessions: %v", err)
	}
}

func TestConnectionsSettle(t *testing.T) {
	for name, c := range map[string]struct {
		state AdminState
		last  []time.Duration // of the controller's servers; the others' are as old as can be
		want  bool
	}{
		"never any":                     {Drain, []time.Duration{-time.Second, -time.Second, -time.Second, -time.Second}, true},
		"all are old":                   {Drain, []time.Duration{2 * time.Second, 3 * time.Second, -time.Second, time.Hour}, true},
		"taken out":                     {Maint, []time.Duration{2 * time.Second, 3 * time.Second, -time.Second, time.Hour}, true},
		"it still gets connections":     {Ready, []time.Duration{time.Hour, time.Hour, time.Hour, time.Hour}, false},
		"one backend has a young":       {Drain, []time.Duration{time.Minute, time.Minute, time.Second, time.Minute}, false},
		"one has come this very second": {Drain, []time.Duration{0, time.Minute, time.Minute, time.Minute}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, b := newFake(t, hosts(1, 2)...)
			i := 0
			f.change(func(s *ServerState) {
				if s.Address == host(2, true).Address {
					s.Admin, s.LastSession = c.state, c.last[i]
					i++
				}
			})
			if got, err := b.Settled(t.Context(), host(2, true), 2*time.Second); err != nil || got != c.want {
				t.Errorf("settled: %v, %v", got, err)
			}
		})
	}
}

func TestServersUpAreListedAndWaitedFor(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	f.dead[host(2, true).Address] = true
	up, err := b.ServersUp(t.Context())
	if err != nil || len(up) != 4 || len(up[KonnectivityBackend]) != 1 || up[KonnectivityBackend][0].Address != host(1, true).Address {
		t.Errorf("%v %+v", err, up)
	}
	err = b.WaitUp(t.Context(), hosts(1, 2), 10*time.Millisecond)
	if missing, ok := errors.AsType[*NotUpError](err); !ok || len(missing.Lines) != 4 {
		t.Errorf("%v", err)
	}
	delete(f.dead, host(2, true).Address)
	if err := b.WaitUp(t.Context(), hosts(1, 2), 10*time.Second); err != nil {
		t.Error(err)
	}
}
