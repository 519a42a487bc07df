package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

// openPTY makes a pseudo-terminal, and a Reporter on it that redraws when the test says so.
func openPTY(t *testing.T, columns, rows int, env map[string]string) (*terminal.PTY, *Reporter, *watch) {
	t.Helper()
	pty, err := terminal.Open(columns, rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pty.Close)
	w := newWatch()
	r := New(pty.Slave, Options{Now: w.Now, Getenv: func(name string) string { return env[name] }, Tick: time.Hour})
	return pty, r, w
}

// look is what the pseudo-terminal shows.
func look(t *testing.T, pty *terminal.PTY) *terminal.Screen {
	t.Helper()
	screen, err := pty.Settle()
	if err != nil {
		t.Fatal(err)
	}
	return screen
}

func TestOnATerminal(t *testing.T) {
	for name, c := range map[string]struct {
		columns int
		env     map[string]string
		colours bool
	}{
		"200":      {200, map[string]string{"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}, true},
		"80":       {80, map[string]string{"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}, true},
		"30":       {30, map[string]string{"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}, true},
		"no-color": {80, map[string]string{"LANG": "C.UTF-8", "TERM": "xterm-256color", "NO_COLOR": "1"}, false},
		"latin-1":  {80, map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "de_DE.ISO-8859-1", "TERM": "xterm"}, true},
		"dumb":     {80, map[string]string{"LANG": "en_US.UTF-8", "TERM": "dumb"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			pty, r, w := openPTY(t, c.columns, 24, c.env)
			var seen strings.Builder
			play(r, w, func(what string) {
				r.redraw()
				fmt.Fprintf(&seen, "--- %s\n%s\n", what, look(t, pty))
			})
			screen := look(t, pty)
			if !screen.AtLineStart() {
				t.Error("the cursor is not where a prompt belongs")
			}
			if screen.Coloured() != c.colours {
				t.Errorf("colours are used: %v, want %v", !c.colours, c.colours)
			}
			if name == "latin-1" && strings.ContainsFunc(screen.String(), func(r rune) bool { return r > 0x7e }) {
				t.Error("the locale cannot show every character")
			}
			golden.Compare(t, "tree-"+name, seen.String())
		})
	}
}

func TestTerminalThatIsResized(t *testing.T) {
	pty, r, w := openPTY(t, 80, 24, map[string]string{"LANG": "C.UTF-8", "TERM": "xterm"})
	var seen strings.Builder
	r.Info("before")
	r.StepStarted(0, 1, "Copy k0s to every host that has another version of it")
	r.Host("root@a-long-name.example.com:22").Update("looking for an executable of k0s, of any version whatever")
	for _, size := range []struct{ columns, rows int }{{80, 24}, {30, 24}, {200, 24}, {80, 3}, {80, 24}} {
		if err := pty.Resize(size.columns, size.rows); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&seen, "--- %d by %d, as the terminal leaves it\n%s\n", size.columns, size.rows, look(t, pty))
		w.pass(100 * time.Millisecond)
		r.redraw()
		fmt.Fprintf(&seen, "--- redrawn\n%s\n", look(t, pty))
	}
	r.Close()
	fmt.Fprintf(&seen, "--- closed\n%s\n", look(t, pty))
	golden.Compare(t, "resized", seen.String())
}
