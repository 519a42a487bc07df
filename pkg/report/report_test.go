package report

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
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

func TestTree(t *testing.T) {
	for name, c := range map[string]struct {
		getenv        func(string) string
		columns, rows int
	}{
		"wide":     {utf8Terminal, 100, 24},
		"narrow":   {utf8Terminal, 30, 24},
		"no-color": {func(name string) string { return map[string]string{"NO_COLOR": "1", "LANG": "C.UTF-8"}[name] }, 80, 24},
		"ascii":    {func(name string) string { return map[string]string{"LC_ALL": "C", "LANG": "en_US.UTF-8"}[name] }, 40, 24},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r, w := newReporter(ModeTTY, &out, c.getenv, func() (int, int) { return c.columns, c.rows })
			screen := newScreen(c.columns)
			var seen strings.Builder
			play(r, w, func(what string) {
				r.redraw()
				screen.write(t, out.String())
				out.Reset()
				fmt.Fprintf(&seen, "--- %s\n%s\n", what, screen)
			})
			if screen.column != 0 || screen.row != len(screen.lines)-1 {
				t.Errorf("the cursor is left at line %d, column %d of %d lines", screen.row, screen.column, len(screen.lines))
			}
			golden.Compare(t, "tree-"+name, seen.String())
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
	screen := newScreen(80)
	screen.write(t, out.String())
	golden.Compare(t, "question", screen.String()+"\n")
	r.Close()
}

func TestTerminalThatIsResized(t *testing.T) {
	var out bytes.Buffer
	columns := 80
	r, _ := newReporter(ModeTTY, &out, utf8Terminal, func() (int, int) { return columns, 24 })
	r.Info("before")
	r.StepStarted(0, 1, "Copy k0s to every host that has another version of it")
	r.Host("root@a-long-name.example.com:22").Update("looking for an executable of k0s")
	r.redraw()
	screen := newScreen(80)
	screen.write(t, out.String())
	out.Reset()
	columns = 30
	screen.resize(30)
	r.redraw()
	screen.write(t, out.String())
	out.Reset()
	lines := strings.Split(screen.String(), "\n")
	if len(lines) != 4 || lines[0] != "before" || !strings.HasPrefix(lines[2], "  └ root@a-long-name") {
		t.Errorf("the screen is\n%s", screen)
	}
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
	screen := newScreen(80)
	screen.write(t, out.String())
	golden.Compare(t, "many-hosts", screen.String()+"\n")
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

// screen is a terminal that knows what the tree uses: newlines, "up", "erase below", colours; it wraps long lines and
// reflows them when it is resized.
type screen struct {
	columns     int
	lines       []string
	row, column int
}

func newScreen(columns int) *screen { return &screen{columns: columns, lines: []string{""}} }

var escape = regexp.MustCompile(`^\x1b\[([0-9;]*)([A-Za-z])`)

func (s *screen) write(t *testing.T, text string) {
	t.Helper()
	for text != "" {
		if m := escape.FindStringSubmatch(text); m != nil {
			text = text[len(m[0]):]
			switch m[2] {
			case "A":
				n, err := strconv.Atoi(m[1])
				if err != nil || n > s.row {
					t.Fatalf("up %s lines from line %d", m[1], s.row)
				}
				s.row -= n
			case "J":
				s.lines = s.lines[:s.row+1]
				s.lines[s.row] = string([]rune(s.lines[s.row])[:s.column])
			case "m":
			default:
				t.Fatalf("escape sequence %q", m[0])
			}
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch {
		case r == '\n':
			s.newline()
		case r == '\r':
			s.column = 0
		case r < ' ':
			t.Fatalf("control character %q", r)
		default:
			if s.column == s.columns {
				s.newline()
			}
			line := []rune(s.lines[s.row])
			s.lines[s.row] = string(append(line[:s.column:s.column], r))
			s.column++
		}
	}
}

func (s *screen) newline() {
	s.row++
	s.column = 0
	if s.row == len(s.lines) {
		s.lines = append(s.lines, "")
	}
}

func (s *screen) resize(columns int) {
	var lines []string
	for _, line := range s.lines {
		rest := []rune(line)
		for len(rest) > columns {
			lines = append(lines, string(rest[:columns]))
			rest = rest[columns:]
		}
		lines = append(lines, string(rest))
	}
	s.columns, s.lines, s.row = columns, lines, len(lines)-1
}

func (s *screen) String() string { return strings.Join(s.lines, "\n") }
