package etcdmembers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/report"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

// TestDashboard looks at a cluster to which things happen, on terminals of several sizes.
func TestDashboard(t *testing.T) {
	for name, c := range map[string]struct {
		columns, rows, narrower int
		wide                    bool
	}{
		"80":   {columns: 80, rows: 24, narrower: 40},
		"200":  {columns: 200, rows: 24, narrower: 80, wide: true},
		"low":  {columns: 80, rows: 6, narrower: 80},
		"mono": {columns: 80, rows: 24, narrower: 80},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TERM", "xterm-256color")
			t.Setenv("NO_COLOR", map[bool]string{true: "1"}[name == "mono"])
			pty, err := terminal.Open(c.columns, c.rows, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pty.Close)
			screen := report.NewScreen(pty.Slave)
			cluster := newCluster(t)
			cluster.o.file.Cluster.Name = "prod"
			board := dashboard{title: cluster.o.title(), wide: c.wide, paint: report.NewPainter(pty.Slave)}
			f, err := newFleet(cluster.o, cluster.o.world)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(f.close)
			at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
			var seen strings.Builder
			for _, moment := range []struct {
				what    string
				happens func()
			}{
				{"at first", func() {}},
				{"cp3 is silent", func() { cluster.frozen["10.10.2.2"] = true }},
				{"nothing more", func() {}},
				{"cp3 answers, cp2 leads, and the terminal is narrower", func() {
					cluster.frozen["10.10.2.2"], cluster.leader = false, 0xb2
					if err := pty.Resize(c.narrower, c.rows); err != nil {
						t.Fatal(err)
					}
				}},
				{"cp3 has left", func() { cluster.members, cluster.objects = cluster.members[:2], cluster.objects[:2] }},
			} {
				moment.happens()
				l, err := cluster.o.see(t.Context(), f, 0)
				if err != nil {
					t.Fatal(err)
				}
				var text strings.Builder
				board.draw(&text, l, at)
				screen.Show(text.String())
				at = at.Add(2 * time.Second)
				shown, err := pty.Settle()
				if err != nil {
					t.Fatal(err)
				}
				if shown.Coloured() == (name == "mono") {
					t.Errorf("%s: colours: %v", moment.what, shown.Coloured())
				}
				fmt.Fprintf(&seen, "--- %s\n%s\n", moment.what, marked(shown))
			}
			golden.Compare(t, "dashboard-"+name, seen.String())
		})
	}
}

// marked is what a screen shows, with *stars* around what is bold.
func marked(s *terminal.Screen) string {
	var b strings.Builder
	for _, cells := range s.Cells() {
		bold := false
		for _, c := range append(cells, terminal.Cell{}) {
			if now := strings.HasPrefix(c.Style, "1"); now != bold {
				b.WriteByte('*')
				bold = now
			}
			if c.Rune != 0 {
				b.WriteRune(c.Rune)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
