package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// treeView keeps a live tree at the bottom of a terminal: the present step, and a line for each host below it. Steps
// that are over scroll away above it, one line each.
type treeView struct {
	out     io.Writer
	options Options
	marks   marks
	colour  bool
	mu      *sync.Mutex // the Reporter's, for the ticker

	title     string // of the present step; empty between steps
	started   time.Time
	hosts     []hostState
	drawn     int // lines of the tree that are on the screen
	frame     int
	suspended bool
	stop      chan struct{}
	stopped   sync.WaitGroup
}

type hostState struct {
	name, text  string
	over        bool
	done, total int64
	since       time.Time // when the copy began
}

func newTreeView(out io.Writer, options Options, mu *sync.Mutex) *treeView {
	v := &treeView{out: out, options: options, marks: marksFor(options.Getenv), mu: mu, stop: make(chan struct{}),
		colour: options.Getenv("NO_COLOR") == ""}
	v.stopped.Go(v.animate)
	return v
}

// animate redraws the tree, for its spinner and its times.
func (v *treeView) animate() {
	ticker := time.NewTicker(v.options.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-ticker.C:
			v.mu.Lock()
			v.frame++
			v.draw("")
			v.mu.Unlock()
		}
	}
}

func (v *treeView) show(e event) {
	switch e.Kind {
	case stepStarted:
		v.title, v.started, v.hosts = e.Title, e.Time, nil
	case stepSkipped:
		v.draw(v.paint(dim, fmt.Sprintf("%s %s: %s", v.marks.skipped, e.Title, e.Text)))
	case stepDone:
		v.title = ""
		v.draw(fmt.Sprintf("%s %s (%s)", v.paint(green, v.marks.done), e.Title, seconds(e.Seconds)))
	case stepFailed:
		v.title = ""
		v.draw(fmt.Sprintf("%s %s (%s): %s", v.paint(red, v.marks.failed), e.Title, seconds(e.Seconds), e.Error))
	case stepUndone:
		text := "undone: " + e.Title
		if e.Error != "" {
			text = "could not undo: " + e.Title + ": " + e.Error
		}
		v.draw(v.paint(yellow, v.marks.warning+" "+text))
	case hostUpdate, hostDone, hostProgress:
		v.update(e)
	case warning:
		v.draw(v.paint(yellow, v.marks.warning+" "+e.Text))
	case info:
		v.draw(e.Text)
	}
}

func (v *treeView) update(e event) {
	i := 0
	for i < len(v.hosts) && v.hosts[i].name != e.Host {
		i++
	}
	if i == len(v.hosts) {
		v.hosts = append(v.hosts, hostState{name: e.Host})
	}
	h := &v.hosts[i]
	if e.Kind == hostProgress {
		if h.since.IsZero() || e.Done < h.done {
			h.since = e.Time
		}
		h.done, h.total, h.text = e.Done, e.Total, ""
		return
	}
	h.text, h.over, h.since = e.Text, e.Kind == hostDone, time.Time{}
}

// draw puts a finished line, if any, where the tree began, and the tree below it.
func (v *treeView) draw(line string) {
	if v.suspended {
		return
	}
	var b strings.Builder
	v.erase(&b)
	if line != "" {
		b.WriteString(line + "\n")
	}
	for _, l := range v.tree() {
		b.WriteString(l + "\n")
		v.drawn++
	}
	if b.Len() > 0 {
		// Who watches may leave; the work goes on.
		_, _ = io.WriteString(v.out, b.String())
	}
}

func (v *treeView) erase(b *strings.Builder) {
	if v.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", v.drawn)
		v.drawn = 0
	}
}

// tree is what is on the screen of the present step, no line longer than the terminal is wide.
func (v *treeView) tree() []string {
	if v.title == "" {
		return nil
	}
	columns, rows := v.options.Size()
	now := v.options.Now()
	spinner := v.marks.spinner[v.frame%len(v.marks.spinner)]
	head := cut(fmt.Sprintf("%s %s (%s)", spinner, v.title, seconds(now.Sub(v.started).Seconds())), columns-1)
	lines := []string{strings.Replace(head, spinner, v.paint(cyan, spinner), 1)}
	for _, h := range v.hosts {
		if len(lines) >= rows-1 {
			break
		}
		mark := v.marks.host
		if h.over {
			mark = v.marks.done
		}
		lines = append(lines, cut(fmt.Sprintf("  %s %s: %s", mark, h.name, h.describe(now)), columns-1))
	}
	return lines
}

func (h hostState) describe(now time.Time) string {
	if h.text != "" || h.total <= 0 {
		return h.text
	}
	text := fmt.Sprintf("%d%% of %s", h.done*100/h.total, megabytes(h.total))
	if elapsed := now.Sub(h.since).Seconds(); elapsed > 0 && h.done > 0 {
		rate := float64(h.done) / elapsed
		text += fmt.Sprintf(", %s/s, %s left", megabytes(int64(rate)), seconds(float64(h.total-h.done)/rate))
	}
	return text
}

func (v *treeView) suspend() {
	var b strings.Builder
	v.erase(&b)
	_, _ = io.WriteString(v.out, b.String())
	v.suspended = true
}

func (v *treeView) resume() { v.suspended = false }

// close takes the tree away; the finished lines stay. The Reporter's lock is free, for the ticker to end.
func (v *treeView) close() error {
	close(v.stop)
	v.stopped.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.title = ""
	v.draw("")
	return nil
}

// Select Graphic Rendition codes (ECMA-48).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	dim    = "2"
)

func (v *treeView) paint(code, text string) string {
	if !v.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// cut shortens a line to so many characters.
func cut(line string, columns int) string {
	line = strings.ReplaceAll(line, "\n", " ")
	if columns < 1 || utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns-1]) + "…"
}
