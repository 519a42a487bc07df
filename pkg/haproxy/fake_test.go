package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeHAProxy runs a world behind a runtime socket and a service manager. What it answers is what HAProxy 2.6 does.
type fakeHAProxy struct {
	t        *testing.T
	config   string // path
	listener net.Listener

	mu    sync.Mutex
	world *world
	// looks counts how often a draining server line was shown since it left maintenance: a check takes a moment.
	looks map[Line]int
	// dead are addresses whose checks fail.
	dead map[netip.Addr]bool
	// refuses makes starts and reloads fail: the old worker goes on, as when a port is taken.
	refuses func(file string) bool
	// certificate, when not nil, answers set, commit and abort of a certificate.
	certificate func(verb string) string
	// onCommand, when not nil, is called before each command.
	onCommand func(command string)
	commands  []string
	// emptied tells of a backend that was left without a ready server.
	emptied []string
	closed  []Line
}

// newFake runs HAProxy with these servers, and returns a balancer for it.
func newFake(t *testing.T, servers ...Server) (*fakeHAProxy, *Balancer) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kubectl-ha") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	spec := planSpec()
	spec.ConfigPath, spec.SocketPath = filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "s")
	f := &fakeHAProxy{
		t: t, config: spec.ConfigPath, world: newWorld(t, spec, servers...), looks: map[Line]int{}, dead: map[netip.Addr]bool{},
		refuses: func(string) bool { return false },
	}
	f.write(string(f.world.file))
	executable := "#!/bin/sh\nfor last; do if grep -qs broken \"$last\"; then echo \"[ALERT]    ($$) : $last: broken\"; exit 1; fi; done\n"
	if err := os.WriteFile(filepath.Join(dir, "haproxy"), []byte(executable), 0o700); err != nil {
		t.Fatal(err)
	}
	f.listen()
	return f, f.balancer(&localMachine{})
}

// listen opens the runtime socket, as a process that has loaded our block does.
func (f *fakeHAProxy) listen() {
	if f.listener != nil {
		return
	}
	listener, err := net.Listen("unix", f.world.spec.SocketPath)
	if err != nil {
		f.t.Fatal(err)
	}
	f.listener = listener
	f.t.Cleanup(func() { _ = listener.Close() })
	go f.serve(listener)
}

// stop ends the process; running says that another one runs then, without our block.
func (f *fakeHAProxy) stop(running bool) {
	f.world.running, f.world.runtime = running, nil
	if err := f.listener.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.listener = nil
}

func (f *fakeHAProxy) balancer(machine Machine) *Balancer {
	dir := filepath.Dir(f.config)
	return NewBalancer(machine, f, f.world.spec, Options{
		LockPath: filepath.Join(dir, "lock"), Executable: filepath.Join(dir, "haproxy"),
		Interval: time.Millisecond, CheckTimeout: 5 * time.Second, ReloadTimeout: 5 * time.Second,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	})
}

func (f *fakeHAProxy) write(file string) {
	f.t.Helper()
	if err := os.WriteFile(f.config, []byte(file), 0o640); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeHAProxy) read() string {
	f.t.Helper()
	data, err := os.ReadFile(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(data)
}

// Running, Start, Reload and Enable make it a Service.
func (f *fakeHAProxy) Running(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.world.running, nil
}

func (f *fakeHAProxy) Start(context.Context) error {
	if !f.load() {
		return errors.New("job for haproxy.service failed")
	}
	return nil
}

func (f *fakeHAProxy) Reload(context.Context) error {
	f.load()
	return nil
}

func (f *fakeHAProxy) Enable(context.Context) error { return nil }

// load has a new worker read the file.
func (f *fakeHAProxy) load() bool {
	file := f.read()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses(file) {
		return false
	}
	f.world.file = []byte(file)
	f.world.start(f.t)
	f.listen()
	f.looks = map[Line]int{}
	return true
}

func (f *fakeHAProxy) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		// A connection stays with its worker.
		worker := f.world.runtime
		f.mu.Unlock()
		go func() {
			defer conn.Close()
			scanner := bufio.NewScanner(conn)
			for scanner.Scan() {
				answer := ""
				switch command := scanner.Text(); command {
				case "quit":
					return
				case "prompt":
				default:
					if strings.HasSuffix(command, " <<") { // without a prompt, one command is all
						for scanner.Scan() && scanner.Text() != "" {
						}
						answer, _ = f.answer(command, worker)
						_, _ = conn.Write([]byte(answer))
						return
					}
					var alive bool
					if answer, alive = f.answer(command, worker); !alive {
						return
					}
					if answer != "" {
						answer += "\n"
					}
				}
				if _, err := conn.Write([]byte(answer + prompt)); err != nil {
					return
				}
			}
		}()
	}
}

func (f *fakeHAProxy) answer(command string, worker *Runtime) (answer string, alive bool) {
	if f.onCommand != nil {
		f.onCommand(command)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.world
	if !w.running || w.runtime == nil || w.runtime != worker {
		return "", false
	}
	f.commands = append(f.commands, command)
	words := strings.Fields(command)
	var s *ServerState
	for _, word := range words {
		for i, candidate := range w.runtime.Servers {
			if word == candidate.Backend+"/"+candidate.Slot {
				s = &w.runtime.Servers[i]
			}
		}
	}
	switch {
	case command == "show info":
		return fmt.Sprintf("Name: HAProxy\nVersion: 2.6.12\nPid: %d\nUptime_sec: 7\n", w.runtime.PID), true
	case command == "show servers state":
		return f.serversState(), true
	case strings.HasPrefix(command, "show stat "):
		return f.stat(), true
	case words[1] == "ssl" && f.certificate != nil:
		return f.certificate(words[0]), true
	case s == nil:
		return "No such server.", true
	case words[0] == "enable":
		return "", true
	case words[0] == "shutdown":
		f.closed = append(f.closed, Line{Backend: s.Backend, Slot: s.Slot})
		s.Sessions = 0
		return "", true
	case words[3] == "addr":
		port, _ := strconv.Atoi(words[6])
		address, err := netip.ParseAddr(words[4])
		if err != nil {
			return fmt.Sprintf("Invalid addr '%s' by 'stats socket command'", words[4]), true
		}
		s.Address, s.Port = address, port
		return "IP changed from 'x' to 'y', port changed from '1' to '2' by 'stats socket command'", true
	case words[3] == "state":
		ready := w.readyIn(Backend{Name: s.Backend, Port: s.Port})
		if AdminState(words[4]) != Ready && len(ready) == 1 && s.Admin == Ready {
			f.emptied = append(f.emptied, s.Backend)
		}
		if s.Admin == Maint {
			f.looks[Line{Backend: s.Backend, Slot: s.Slot}] = 0
		}
		s.Admin = AdminState(words[4])
		return "", true
	}
	return "Unknown command: " + command, true
}

func (f *fakeHAProxy) serversState() string {
	var b strings.Builder
	b.WriteString("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port srvrecord\n")
	for _, s := range f.world.runtime.Servers {
		fmt.Fprintf(&b, "3 %s %d %s %s 2 %d %d -\n", s.Backend, s.ID, s.Slot, s.Address,
			map[AdminState]int{Ready: 0, Drain: 8, Maint: 5}[s.Admin], s.Port)
	}
	return b.String()
}

func (f *fakeHAProxy) stat() string {
	var b strings.Builder
	b.WriteString("# pxname,svname,scur,lastsess,status,check_status,check_code,last_chk,\n")
	for _, s := range f.world.runtime.Servers {
		line := Line{Backend: s.Backend, Slot: s.Slot}
		f.looks[line]++
		status, check := "UP", "L7OK,200,"
		switch {
		case s.Admin == Maint:
			status, check = "MAINT", ",,"
		case f.dead[s.Address]:
			status, check = "DOWN", "L4CON,,Connection refused"
		case s.Admin == Drain && f.looks[line] < 3:
			status, check = "DRAIN 1/2", "* L7OK,200,"
		case s.Admin == Drain:
			status = "DRAIN"
		}
		fmt.Fprintf(&b, "%s,%s,%d,%d,%s,%s,\n", s.Backend, s.Slot, s.Sessions, s.LastSession/time.Second, status, check)
	}
	return b.String()
}

// change gives commands of the test's own.
func (f *fakeHAProxy) change(change func(s *ServerState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.world.runtime.Servers {
		change(&f.world.runtime.Servers[i])
	}
}

// given lists the commands that changed something.
func (f *fakeHAProxy) given() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.commands), func(c string) bool { return strings.HasPrefix(c, "show ") })
}

// check fails the test when file and process are not as desired, or if a backend was empty once.
func (f *fakeHAProxy) check(want []Server) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := os.ReadFile(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	f.world.file = data
	_, err = os.Stat(unconfirmedPath(f.config))
	f.world.unconfirmed = err == nil
	if d := f.world.differs(f.t, Desired{Servers: want}); d != "" {
		f.t.Error(d)
	}
	if len(f.emptied) > 0 {
		f.t.Errorf("left without a ready server: %v", f.emptied)
	}
}
