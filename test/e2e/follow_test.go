//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runbook is the titles of a command's steps, as far as its runs told them.
type runbook map[string]bool

// follow runs a plugin on the site's cluster file and calls act when it says something new: at the start of a step,
// "title", and within it, "title: what is done to a host". The plugin is held (SIGSTOP) meanwhile, so that what act does
// is done by the time it goes on. When act returns true, it is killed (SIGKILL), and the exit code is -1.
func (s *site) follow(plugin string, titles runbook, act func(moment string) (kill bool), args ...string) result {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), absolute(s.t, plugin), append([]string{"-f", s.path("cluster.yaml"), "--progress=json"}, args...)...)
	command.Dir = s.dir
	command.Env = append(os.Environ(), "SSH_KNOWN_HOSTS="+s.KnownHosts(), "SSH_AUTH_SOCK=")
	var stdout bytes.Buffer
	command.Stdout = &stdout
	stderr, err := command.StderrPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	start, title, said := time.Now(), "", ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var event struct{ Event, Title, Text, Error string }
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			said += lines.Text() + "\n"
			continue
		}
		moment := ""
		switch event.Event {
		case "step-started":
			title = event.Title
			moment = title
		case "host":
			moment = title + ": " + wordsOf(event.Text, 2)
		case "progress":
			moment = title + ": copying"
		}
		if event.Title != "" && titles != nil {
			titles[event.Title] = true
		}
		if moment == "" {
			continue
		}
		s.signal(command.Process, syscall.SIGSTOP)
		if act(moment) {
			s.signal(command.Process, syscall.SIGKILL)
			break
		}
		s.signal(command.Process, syscall.SIGCONT)
	}
	_, _ = io.Copy(io.Discard, stderr)
	_ = command.Wait() // its exit code says what came of it
	r := result{stdout: stdout.String(), stderr: said, code: command.ProcessState.ExitCode(), took: time.Since(start)}
	if r.code != -1 {
		s.t.Logf("%s %s: exit code %d after %s\n%s%s", filepath.Base(plugin), strings.Join(args, " "), r.code, r.took.Round(time.Millisecond), r.stderr, r.stdout)
	}
	return r
}

func (s *site) signal(process *os.Process, signal os.Signal) {
	s.t.Helper()
	if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
}

// killedEverywhere kills a plugin once at every step that it starts, which is after the step before, and once at
// everything else that it says of a host within a step, and runs it again each time, until a run ends by itself. The
// moments are the command's own words, so that no step is forgotten: one in which no run was killed must be one of
// those in which nothing may be to do, by how their titles begin. With -short, it is killed at every third moment only.
func (s *site) killedEverywhere(plugin string, idle []string, args ...string) result {
	s.t.Helper()
	every := 1
	if testing.Short() {
		every = 3
	}
	var seen, killed []string
	titles := runbook{}
	for {
		r := s.follow(plugin, titles, func(moment string) bool {
			if slices.Contains(seen, moment) {
				return false
			}
			seen = append(seen, moment)
			if len(seen)%every != 0 {
				return false
			}
			killed = append(killed, moment)
			return true
		}, args...)
		if len(killed) > 80 {
			s.t.Fatalf("it does not complete after it was killed at %q", killed)
		}
		if r.code == -1 {
			continue
		}
		s.t.Logf("killed %d times, at: %s", len(killed), strings.Join(killed, "; "))
		for title := range titles {
			hit := slices.ContainsFunc(killed, func(moment string) bool { return moment == title || strings.HasPrefix(moment, title+": ") })
			excused := slices.ContainsFunc(idle, func(begin string) bool { return strings.HasPrefix(title, begin) })
			if !hit && !excused && every == 1 {
				s.t.Errorf("no run was killed in the step %q", title)
			}
		}
		return r
	}
}

// killedAt kills a plugin once at the first moment that begins so.
func (s *site) killedAt(moment, plugin string, args ...string) {
	s.t.Helper()
	r := s.follow(plugin, nil, func(now string) bool { return strings.HasPrefix(now, moment) }, args...)
	if r.code != -1 {
		s.t.Errorf("no run came to %q", moment)
	}
}

// wordsOf is the first n words of a text that name no host.
func wordsOf(text string, n int) string {
	if _, after, found := strings.Cut(text, "): "); found { // "name (address): what is done"
		text = after
	}
	words := strings.Fields(text)
	return strings.Join(words[:min(n, len(words))], " ")
}
