package haproxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The recordings are of real processes, asked for stateCommands().
func TestStateOfEachVersionIsRead(t *testing.T) {
	for _, version := range []string{"2.2", "2.4", "2.6", "2.8", "3.0", "3.2", "3.4"} {
		t.Run(version, func(t *testing.T) {
			answers, err := splitAnswers(string(fixture(t, "runtime/haproxy-"+version+".txt")), 3)
			if err != nil {
				t.Fatal(err)
			}
			runtime, err := parseRuntime(answers)
			if err != nil {
				t.Fatal(err)
			}
			if runtime.PID == 0 || runtime.Uptime == 0 || !strings.HasPrefix(runtime.Version, version+".") {
				t.Errorf("process: %d, %v, %q", runtime.PID, runtime.Uptime, runtime.Version)
			}
			want := []ServerState{
				{Slot: "cp1", ID: 1, Address: addr("127.0.0.1"), Port: 7001, Admin: Ready, Status: "UP", Check: "L4OK"},
				{Slot: "cp2", ID: 2, Address: addr("127.0.0.1"), Port: 7002, Admin: Ready, Status: "DOWN", Check: "L4CON"},
				{Slot: "cp3", ID: 3, Address: addr("127.0.0.1"), Port: 7001, Admin: Drain, Status: "DRAIN", Check: "L4OK"},
				{Slot: "slot4", ID: 4, Address: addr("127.0.0.1"), Port: 1, Admin: Maint, Status: "MAINT"},
				{Slot: "slot5", ID: 5, Address: addr("fd00:10::2"), Port: 6443, Admin: Maint, Status: "MAINT"},
			}
			got := runtime.Backend(KubeAPIBackend)
			if len(got) != len(want) || len(runtime.Servers) != len(want)+1 {
				t.Fatalf("servers: %+v", runtime.Servers)
			}
			for i, w := range want {
				w.Backend = KubeAPIBackend
				w.CheckText, w.Sessions, w.LastSession = got[i].CheckText, got[i].Sessions, got[i].LastSession
				if got[i] != w {
					t.Errorf("got  %+v\nwant %+v", got[i], w)
				}
			}
			if text := got[1].CheckText; !strings.HasPrefix(text, "L4CON: ") || !strings.Contains(text, "Connection refused") {
				t.Errorf("check of cp2: %q", text)
			}
			if !got[0].Up() || got[1].Up() || got[2].Up() || got[3].Up() {
				t.Error("only cp1 gets connections")
			}
			if !got[0].Checked() || got[1].Checked() || !got[2].Checked() || got[3].Checked() {
				t.Error("cp1 and cp3 have passed their checks")
			}
		})
	}
}

func TestSessionsAreThoseOfTheRecording(t *testing.T) {
	answers, err := splitAnswers(string(fixture(t, "runtime/haproxy-2.6.txt")), 3)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := parseRuntime(answers)
	if err != nil {
		t.Fatal(err)
	}
	if state, ok := runtime.find(Line{Backend: KubeAPIBackend, Slot: "cp1"}); !ok || state.Sessions != 2 || state.LastSession != time.Second {
		t.Errorf("sessions of cp1: %+v", state)
	}
	if state, ok := runtime.find(Line{Backend: KubeAPIBackend, Slot: "cp2"}); !ok || state.Sessions != 0 || state.LastSession >= 0 {
		t.Errorf("sessions of cp2: %+v", state)
	}
}

func TestStatusIsJudged(t *testing.T) {
	for _, c := range []struct {
		admin         AdminState
		status, check string
		up, checked   bool
	}{
		{Ready, "UP", "L7OK", true, true},
		{Ready, "UP", "INI", true, false},
		{Ready, "UP 1/3", "L7STS", true, false},
		{Ready, "no check", "", true, false},
		{Ready, "DOWN", "L7STS", false, false},
		{Ready, "DOWN 1/2", "L6OK", false, false},
		{Drain, "DRAIN", "L6OK", false, true},
		{Drain, "DRAIN 1/2", "L6OK", false, false}, // left over from an earlier use of the slot
		{Drain, "DRAIN", "", false, false},
		{Drain, "DOWN", "L4TOUT", false, false},
		{Maint, "MAINT", "L7OK", false, false},
	} {
		s := ServerState{Admin: c.admin, Status: c.status, Check: c.check}
		if s.Up() != c.up || s.Checked() != c.checked {
			t.Errorf("%+v: up %v, checked %v", s, s.Up(), s.Checked())
		}
	}
}

func TestColumnsAreFoundByName(t *testing.T) {
	servers, err := parseServersState("1\n# srv_new be_name srv_port srv_id srv_admin_state srv_name srv_addr\n" +
		"x b 6443 2 9 two -\nx b 6443 1 4 one ::ffff:10.0.0.1\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := parseStat("# status,svname,pxname,last_chk,check_code,scur,check_status,lastsess\n"+
		"UP,one,b,\"OK, \"\"quoted\"\"\",200,3,* L7OK,4\nUP,x,y,,,nonsense,,\n", servers); err != nil {
		t.Fatal(err)
	}
	want := []ServerState{
		{Backend: "b", Slot: "one", ID: 1, Address: addr("10.0.0.1"), Port: 6443, Admin: Ready, Status: "UP", Check: "L7OK",
			CheckText: `L7OK 200: OK, "quoted"`, Sessions: 3, LastSession: 4 * time.Second},
		{Backend: "b", Slot: "two", ID: 2, Port: 6443, Admin: Maint},
	}
	for i := range want {
		if servers[i] != want[i] {
			t.Errorf("got  %+v\nwant %+v", servers[i], want[i])
		}
	}
}

func TestUnreadableAnswersAreErrors(t *testing.T) {
	const state = "1\n# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_port\n"
	for name, err := range map[string]error{
		"info": second(parseInfo("Permission denied")), "no uptime": second(parseInfo("Pid: 3")),
		"state, no header":      second(parseServersState("Permission denied")),
		"state, missing column": second(parseServersState("1\n# be_id be_name\n")),
		"state, missing field":  second(parseServersState(state + "3 b 1 cp1 10.0.0.1 0\n")),
		"state, id":             second(parseServersState(state + "3 b one cp1 10.0.0.1 0 1\n")),
		"state, port":           second(parseServersState(state + "3 b 1 cp1 10.0.0.1 0 one\n")),
		"state, admin state":    second(parseServersState(state + "3 b 1 cp1 10.0.0.1 ready 1\n")),
		"state, line before":    second(parseServersState("1\n3 b 1 cp1 10.0.0.1 0 1\n" + state)),
		"stat, no header":       parseStat("Permission denied", nil),
		"stat, missing column":  parseStat("# pxname,svname\n", nil),
		"stat, quotes":          parseStat("# pxname,svname,scur,status,check_status,check_code,lastsess,last_chk\na,\"b\n", nil),
		"stat, last session": parseStat("# pxname,svname,scur,status,check_status,check_code,lastsess,last_chk\na,b,0,UP,,,new,\n",
			[]ServerState{{Backend: "a", Slot: "b"}}),
		"answers, one too few":   second(splitAnswers(prompt+"one"+prompt, 2)),
		"answers, cut off":       second(splitAnswers(prompt+"one"+prompt+"tw", 2)),
		"answers, nothing":       second(splitAnswers("", 2)),
		"answers, more than one": second(splitAnswers(prompt+"one"+prompt+"two"+prompt, 1)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzParseRuntime(f *testing.F) {
	for _, version := range []string{"2.2", "2.6", "3.4"} {
		answers, err := splitAnswers(string(fixture(f, "runtime/haproxy-"+version+".txt")), 3)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(answers[0], answers[1], answers[2])
	}
	f.Fuzz(func(t *testing.T, info, state, stat string) {
		runtime, err := parseRuntime([]string{info, state, stat})
		if err != nil {
			return
		}
		for _, s := range runtime.Servers {
			if s.Slot == "" || s.Backend == "" {
				t.Errorf("a server without a name: %+v", s)
			}
		}
	})
}

func TestCurrentTellsFileFromProcess(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	f.dead[host(2, true).Address] = true
	cur, err := b.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !cur.HasBlock || !cur.Running || !cur.Loaded() || len(cur.Slots) != 4 || string(cur.Config) != f.read() {
		t.Errorf("%+v", cur)
	}
	if got := cur.NotUp(hosts(1)); got != nil {
		t.Errorf("%q", got)
	}
	got := strings.Join(cur.NotUp(append(hosts(1, 2, 3), host(4, false))), "\n")
	if !strings.Contains(got, "cp2 (10.10.2.2) is DOWN in kubeAPI_open (L4CON: Connection refused)") ||
		!strings.Contains(got, "cp3 (10.10.3.2) is not in konnectivity_backend") || strings.Count(got, "\n") != 7 {
		t.Errorf("%s", got)
	}
	if servers := cur.Servers(host(2, true)); len(servers) != 4 {
		t.Errorf("%+v", servers)
	}
}

func TestCurrentOfAProcessThatDoesNotRun(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	f.stop(false)
	cur, err := b.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cur.Running || cur.Loaded() || cur.Runtime != nil || !cur.HasBlock {
		t.Errorf("%+v", cur)
	}
}

func TestCurrentOfAProcessWithoutOurSocket(t *testing.T) {
	f, b := newFake(t, hosts(1, 2)...)
	f.stop(true)
	f.write("global\n")
	cur, err := b.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !cur.Running || cur.Loaded() || cur.Runtime != nil || cur.HasBlock {
		t.Errorf("%+v", cur)
	}
}

func TestCurrentFollowsASymbolicLink(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	target := filepath.Join(filepath.Dir(f.config), "real")
	if err := errors.Join(os.Rename(f.config, target), os.Symlink(target, f.config)); err != nil {
		t.Fatal(err)
	}
	plan := makePlan(t, b, hosts(1, 2))
	if err := b.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(f.config); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	f.check(hosts(1, 2))
}

// Dialling is refused to an SSH user who is not root, while commands run as root.
func TestRuntimeSocketIsReachedThroughACommandWhenDiallingIsRefused(t *testing.T) {
	f, _ := newFake(t, hosts(1, 2)...)
	dials := 0
	machine := &localMachine{path: fakeSocat(t), before: func(operation, _ string) error {
		if operation == "dial" {
			dials++
			return errors.New("ssh: rejected: connect failed (open failed)")
		}
		return nil
	}}
	b := f.balancer(machine)
	if err := b.Apply(t.Context(), makePlan(t, b, hosts(2, 3))); err != nil {
		t.Fatal(err)
	}
	f.check(hosts(2, 3))
	if dials != 1 {
		t.Errorf("dialled %d times", dials)
	}
	if err := os.Remove(b.spec.SocketPath); err != nil {
		t.Fatal(err)
	}
	if cur, err := b.Current(t.Context()); err != nil || cur.Runtime != nil {
		t.Errorf("without a socket: %+v %v", cur, err)
	}
}

// fakeSocat makes a folder with a command socat that needs no socat: this test's executable.
func fakeSocat(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nACT_AS_SOCAT=${4#UNIX-CONNECT:} exec '" + os.Args[0] + "' -test.run='^TestActAsSocat$'\n"
	if err := os.WriteFile(filepath.Join(dir, "socat"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestActAsSocat is no test but the command of fakeSocat when it runs as such.
func TestActAsSocat(t *testing.T) {
	path := os.Getenv("ACT_AS_SOCAT")
	if path == "" {
		return
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		os.Exit(1)
	}
	_, _ = io.Copy(conn, os.Stdin)
	_, _ = io.Copy(os.Stdout, conn)
	os.Exit(0)
}

func TestNoAnswerEndsWithTheContext(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	f.onCommand = func(string) { <-t.Context().Done() }
	b.socket.timeout = 10 * time.Millisecond
	if _, err := b.runtime(t.Context()); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("%v", err)
	}
}

func TestCommandsWithSeparatorsAreRefused(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	for _, command := range []string{"show info; show stat", "show info\nshow stat"} {
		if _, err := b.socket.exchange(t.Context(), command); err == nil {
			t.Errorf("%q was sent", command)
		}
	}
	if len(f.commands) != 0 {
		t.Errorf("%q", f.commands)
	}
}

func TestIPv6AddressesAreGiven(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	six := Server{Name: "cp6", Address: netip.MustParseAddr("fd00:10::6"), Active: true}
	if err := b.Apply(t.Context(), makePlan(t, b, append(hosts(1), six))); err != nil {
		t.Fatal(err)
	}
	f.check(append(hosts(1), six))
}
