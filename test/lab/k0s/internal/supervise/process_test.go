package supervise

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// journal is a log that tests wait for.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(data []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(data)
}

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), s)
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func shell(t *testing.T, script string) (*Process, *journal) {
	t.Helper()
	log := &journal{}
	return &Process{
		Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}, Dir: t.TempDir(),
		PIDFile: filepath.Join(t.TempDir(), "shell.pid"), Respawn: time.Millisecond,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}, log
}

func start(t *testing.T, p *Process) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
}

func pidOf(t *testing.T, p *Process) int {
	t.Helper()
	data, err := os.ReadFile(p.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestProcessThatEndsIsStartedAgain(t *testing.T) {
	p, log := shell(t, "echo hello; exit 3")
	start(t, p)
	eventually(t, "three runs", func() bool { return log.count("hello") >= 3 && log.count("ended unexpectedly") >= 2 })
}

func TestStopIsGraceful(t *testing.T) {
	p, log := shell(t, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done")
	start(t, p)
	eventually(t, "the process is up", func() bool { return log.count("up") > 0 })
	pid := pidOf(t, p)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) || log.count("bye") != 1 {
		t.Errorf("alive %t, said bye %d times", alive(pid), log.count("bye"))
	}
	if _, err := os.Stat(p.PIDFile); !os.IsNotExist(err) {
		t.Errorf("the pid file is still there: %v", err)
	}
}

func TestStopKillsInTheEnd(t *testing.T) {
	p, log := shell(t, "trap '' TERM; echo up; while :; do sleep 0.01; done")
	p.StopTimeout = 50 * time.Millisecond
	start(t, p)
	eventually(t, "the process is up", func() bool { return log.count("up") > 0 })
	pid := pidOf(t, p)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("still alive")
	}
}

func TestStopDoesNotWaitForWhoHoldsTheOutput(t *testing.T) {
	p, log := shell(t, "sleep 60 & echo up; wait")
	start(t, p)
	eventually(t, "the process is up", func() bool { return log.count("up") > 0 })
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("still waiting for the child")
	}
}

func TestStopAfterWaitsForTheProcessItself(t *testing.T) {
	p, log := shell(t, "trap 'echo terminated' TERM; echo up; while [ ! -e end ]; do sleep 0.01; done; echo done")
	start(t, p)
	eventually(t, "the process is up", func() bool { return log.count("up") > 0 })
	if err := os.WriteFile(filepath.Join(p.Dir, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.StopAfter(make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	if log.count("terminated") != 0 || log.count("done") != 1 {
		t.Error("the process was not left to end by itself")
	}
}

func TestOrphanIsEndedFirst(t *testing.T) {
	p, _ := shell(t, "exec sleep 1000")
	orphan := exec.Command("sleep", "1000")
	orphan.Env = append(os.Environ(), managed)
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.PIDFile, []byte(strconv.Itoa(orphan.Process.Pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	start(t, p)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the orphan lives")
	}
}

func TestStrangerIsSpared(t *testing.T) {
	p, _ := shell(t, "exec sleep 1000")
	stranger := exec.Command("sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	if err := os.WriteFile(p.PIDFile, []byte(strconv.Itoa(stranger.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, p)
	if !alive(stranger.Process.Pid) {
		t.Error("a process that is not ours was ended")
	}
}

func TestMissingProgram(t *testing.T) {
	p, _ := shell(t, "")
	p.Path = filepath.Join(t.TempDir(), "none")
	if err := p.Start(); err == nil {
		t.Error("starting a program that is not there is no error")
	}
}
