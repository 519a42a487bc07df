package report

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

var _ step.Observer = (*Reporter)(nil)

// watch is a clock that a test winds.
type watch struct {
	mu  sync.Mutex
	now time.Time
}

func newWatch() *watch { return &watch{now: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)} }

func (w *watch) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func utf8Terminal(name string) string {
	return map[string]string{"LANG": "en_US.UTF-8", "TERM": "xterm"}[name]
}

// newReporter makes a Reporter that redraws when the test says so.
func newReporter(mode Mode, out *bytes.Buffer, getenv func(string) string, size func() (int, int)) (*Reporter, *watch) {
	w := newWatch()
	return New(out, Options{Mode: mode, Now: w.Now, Getenv: getenv, Size: size, Tick: time.Hour}), w
}

// onScreen is what a terminal shows of an output.
func onScreen(t *testing.T, out *bytes.Buffer) string {
	t.Helper()
	screen := terminal.NewScreen(size80x24())
	if _, err := screen.Write(bytes.ReplaceAll(out.Bytes(), []byte("\n"), []byte("\r\n"))); err != nil {
		t.Fatal(err)
	}
	return screen.String()
}

func size80x24() (int, int) { return 80, 24 }

// redraw is what the ticker does.
func (r *Reporter) redraw() {
	if v, ok := r.view.(*treeView); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		v.frame++
		v.draw()
	}
}

// play lets a run with everything in it happen, and calls look when there is something to see.
func play(r *Reporter, w *watch, look func(what string)) {
	r.Warn("cluster.yaml:12: spec.hosts[0].hooks: only apply is acted on")
	r.StepSkipped(0, 4, "Install HAProxy", "it is installed")
	r.StepStarted(1, 4, "Copy k0s to every host")
	one, two := r.Host("root@10.10.0.2:22"), r.Host("root@10.10.1.2:22")
	one.Update("looking for k0s")
	two.Update("looking for k0s")
	w.pass(400 * time.Millisecond)
	look("two hosts at work")
	one.Progress(0, 280_000_000)
	w.pass(2 * time.Second)
	one.Progress(70_000_000, 280_000_000)
	one.Progress(70_100_000, 280_000_000)
	two.Done("has it already")
	look("one copies, one is done")
	w.pass(5 * time.Second)
	one.Progress(280_000_000, 280_000_000)
	one.Done("copied")
	r.StepDone(1, 4, "Copy k0s to every host", 7400*time.Millisecond)
	look("between steps")
	r.StepStarted(2, 4, "Start the first controller")
	r.Info("this takes a while")
	w.pass(61 * time.Second)
	r.StepFailed(2, 4, "Start the first controller", 61*time.Second,
		errors.New("starting service k0scontroller: exit code 1;\nits log ends with:\n\x1b[31mno space\x07 left"))
	r.StepUndone("Copy k0s to every host", nil)
	r.StepUndone("Install HAProxy", errors.New("it is in use"))
	r.Close()
	look("closed")
}

func TestPlainAndJSON(t *testing.T) {
	for _, mode := range []Mode{ModePlain, ModeJSON} {
		t.Run(string(mode), func(t *testing.T) {
			var out bytes.Buffer
			r, w := newReporter(mode, &out, utf8Terminal, size80x24)
			play(r, w, func(string) {})
			golden.Compare(t, string(mode), out.String())
		})
	}
}

func TestColoursAreUsedUnlessNoColor(t *testing.T) {
	for value, want := range map[string]bool{"": true, "1": false} {
		var out bytes.Buffer
		r, _ := newReporter(ModeTTY, &out, func(name string) string { return map[string]string{"NO_COLOR": value}[name] }, size80x24)
		r.StepDone(0, 1, "Do it", time.Second)
		r.Close()
		if got := strings.Contains(out.String(), "\x1b[32m"); got != want {
			t.Errorf("NO_COLOR=%q: colour %v, want %v: %q", value, got, want, out.String())
		}
	}
}

func TestQuestionIsNotMangled(t *testing.T) {
	var out bytes.Buffer
	r, w := newReporter(ModeTTY, &out, utf8Terminal, size80x24)
	r.StepStarted(0, 1, "Connect")
	r.Host("root@10.10.0.2:22").Update("connecting")
	r.redraw()
	r.Prompt(func() {
		fmt.Fprint(&out, "Trust the key? ")
		asked := out.Len()
		// The work goes on.
		r.Info("meanwhile")
		r.Host("root@10.10.1.2:22").Done("connected")
		r.StepDone(0, 2, "Connect", time.Second)
		r.StepStarted(1, 2, "Look around")
		r.redraw()
		if out.Len() != asked {
			t.Errorf("%q was written into the question", out.String()[asked:])
		}
		fmt.Fprint(&out, "yes\n")
	})
	w.pass(time.Second)
	r.redraw()
	golden.Compare(t, "question", onScreen(t, &out)+"\n")
	r.Close()
}

func TestMoreHostsThanRows(t *testing.T) {
	var out bytes.Buffer
	r, _ := newReporter(ModeTTY, &out, utf8Terminal, func() (int, int) { return 80, 6 })
	r.StepStarted(0, 1, "Copy")
	for i := range 9 {
		line := r.Host(fmt.Sprintf("host%d", i))
		if i < 7 {
			line.Done("done")
		} else {
			line.Update("copying")
		}
	}
	r.redraw()
	golden.Compare(t, "many-hosts", onScreen(t, &out)+"\n")
	r.Close()
}

func TestModes(t *testing.T) {
	for _, text := range []string{"auto", "tty", "plain", "json"} {
		var m Mode
		if err := m.Set(text); err != nil || m.String() != text || m.Type() != "mode" {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	var m Mode
	if err := m.Set("loud"); err == nil {
		t.Error("loud is a mode")
	}
	// A buffer is no terminal.
	var out bytes.Buffer
	r := New(&out, Options{Mode: ModeAuto})
	r.Info("hello")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(out.String(), "s hello\n") {
		t.Errorf("got %q, want a plain line", out.String())
	}
	if IsTerminal(&out) {
		t.Error("a buffer is a terminal")
	}
}

func TestReporterMayBeUsedConcurrently(t *testing.T) {
	for _, mode := range []Mode{ModeTTY, ModePlain, ModeJSON} {
		var out bytes.Buffer
		r := New(&out, Options{Mode: mode, Getenv: utf8Terminal, Size: size80x24, Tick: time.Millisecond})
		r.StepStarted(0, 1, "Copy")
		var running sync.WaitGroup
		for i := range 8 {
			running.Go(func() {
				line := r.Host(fmt.Sprintf("host%d", i))
				for n := range int64(100) {
					line.Progress(n, 100)
				}
				r.Prompt(func() {})
				line.Done("copied")
				r.Warn("careful")
			})
		}
		running.Wait()
		running.Go(func() { r.Close() })
		running.Go(func() { r.Close() })
		running.Wait()
		r.Info("after the end")
	}
}
