package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// treeView keeps a live tree at the bottom of a terminal: the present step, and a line for each host below it. Steps
// that are over scroll away above it, one line each. Between writes the cursor is at the start of the line below the
// tree and visible, so that whatever ends the process leaves a usable terminal.
type treeView struct {
	out     io.Writer
	options Options
	marks   marks
	colour  bool
	mu      *sync.Mutex // the Reporter's, for the ticker

	title     string // of the present step; empty between steps
	started   time.Time
	hosts     []hostState
	drawn     []int // how many characters each line of the tree has that is on the screen
	frame     int
	suspended bool     // a question is being asked
	pending   []string // lines that came meanwhile
	closed    bool
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

// animate redraws the tree, for its spinner, its times and its hosts.
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
			v.draw()
			v.mu.Unlock()
		}
	}
}

func (v *treeView) show(e event) {
	switch e.Kind {
	case stepStarted:
		v.title, v.started, v.hosts = e.Title, e.Time, nil
	case stepSkipped:
		v.draw(v.paint(dim, fmt.Sprintf("%s %s: %s", v.marks.skipped, e.Title, printable(e.Text))))
	case stepDone:
		v.title = ""
		v.draw(fmt.Sprintf("%s %s (%s)", v.paint(green, v.marks.done), e.Title, seconds(e.Seconds)))
	case stepFailed:
		v.title = ""
		v.draw(fmt.Sprintf("%s %s (%s): %s", v.paint(red, v.marks.failed), e.Title, seconds(e.Seconds), printable(e.Error)))
	case stepUndone:
		text := "undone: " + e.Title
		if e.Error != "" {
			text = "could not undo: " + e.Title + ": " + printable(e.Error)
		}
		v.draw(v.paint(yellow, v.marks.warning+" "+text))
	case hostUpdate, hostDone, hostProgress:
		v.update(e)
	case warning:
		v.draw(v.paint(yellow, v.marks.warning+" "+printable(e.Text)))
	case info:
		v.draw(printable(e.Text))
	}
}

func (v *treeView) update(e event) {
	i := slices.IndexFunc(v.hosts, func(h hostState) bool { return h.name == e.Host })
	if i < 0 {
		i = len(v.hosts)
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
	h.text, h.over, h.since = printable(e.Text), e.Kind == hostDone, time.Time{}
}

// draw puts finished lines where the tree began, and the tree below them.
func (v *treeView) draw(finished ...string) {
	if v.suspended {
		v.pending = append(v.pending, finished...)
		return
	}
	columns, rows := v.options.Size()
	var b strings.Builder
	v.erase(&b, columns, rows)
	for _, line := range finished {
		b.WriteString(line + "\n")
	}
	for _, line := range v.tree(columns, rows) {
		v.drawn = append(v.drawn, utf8.RuneCountInString(line))
		b.WriteString(v.tint(line) + "\n")
	}
	if b.Len() > 0 {
		// Who watches may leave; the work goes on.
		_, _ = io.WriteString(v.out, b.String())
	}
}

// erase takes the tree off the screen.
func (v *treeView) erase(b *strings.Builder, columns, rows int) {
	b.WriteString(erasing(v.drawn, columns, rows))
	v.drawn = v.drawn[:0]
}

// erasing takes lines of these lengths off the screen, below which the cursor is. In a terminal that became narrower
// since, they are wrapped; what has scrolled away there is out of reach.
func erasing(lengths []int, columns, rows int) string {
	up := 0
	for _, length := range lengths {
		up += max(1, (length+columns-1)/columns)
	}
	if up = min(up, rows-1); up <= 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", up)
}

// tree is what is on the screen of the present step: no line as long as the terminal is wide, and fewer lines than it
// is high.
func (v *treeView) tree(columns, rows int) []string {
	if v.title == "" || v.closed {
		return nil
	}
	now := v.options.Now()
	lines := []string{fmt.Sprintf("%s %s (%s)", v.spinner(), v.title, seconds(now.Sub(v.started).Seconds()))}
	shown, hidden := v.hosts, 0
	if room := max(1, rows-3); len(shown) > room {
		// Those that are not done are more interesting.
		shown = slices.Clone(shown)
		slices.SortStableFunc(shown, func(a, b hostState) int { return compare(a.over, b.over) })
		shown, hidden = shown[:room], len(shown)-room
	}
	for _, h := range shown {
		mark := v.marks.host
		if h.over {
			mark = v.marks.done
		}
		lines = append(lines, fmt.Sprintf("  %s %s: %s", mark, h.name, h.describe(now)))
	}
	if hidden > 0 {
		lines = append(lines, fmt.Sprintf("  %s and %d more", v.marks.ellipsis, hidden))
	}
	for i, line := range lines {
		lines[i] = v.cut(line, columns-1)
	}
	return lines
}

func (v *treeView) spinner() string { return v.marks.spinner[v.frame%len(v.marks.spinner)] }

// tint colours the spinner at the start of a line.
func (v *treeView) tint(line string) string {
	if rest, ok := strings.CutPrefix(line, v.spinner()); ok {
		return v.paint(cyan, v.spinner()) + rest
	}
	return line
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (h hostState) describe(now time.Time) string {
	if h.text != "" || h.total <= 0 {
		return h.text
	}
	text := fmt.Sprintf("%d%% of %s", h.done*100/h.total, megabytes(h.total))
	if elapsed := now.Sub(h.since).Seconds(); elapsed > 0 && h.done > 0 && h.done < h.total {
		rate := float64(h.done) / elapsed
		text += fmt.Sprintf(", %s/s, %s left", megabytes(int64(rate)), seconds(float64(h.total-h.done)/rate))
	}
	return text
}

func (v *treeView) suspend() {
	v.suspended = true
	columns, rows := v.options.Size()
	var b strings.Builder
	v.erase(&b, columns, rows)
	_, _ = io.WriteString(v.out, b.String())
}

func (v *treeView) resume() {
	v.suspended = false
	pending := v.pending
	v.pending = nil
	v.draw(pending...)
}

// close takes the tree away; the finished lines stay. The Reporter's lock is free, for the ticker to end.
func (v *treeView) close() error {
	close(v.stop)
	v.stopped.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	v.draw()
	return nil
}

// Select Graphic Rendition codes (ECMA-48).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	bold   = "1"
	dim    = "2"
)

func (v *treeView) paint(code, text string) string {
	if !v.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// cut shortens a line to so many characters and makes it one line.
func (v *treeView) cut(line string, columns int) string {
	line = strings.ReplaceAll(line, "\n", " ")
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	keep := max(0, columns-utf8.RuneCountInString(v.marks.ellipsis))
	return string([]rune(line)[:keep]) + v.marks.ellipsis
}

// printable takes out what could act on a terminal: texts come from hosts, too.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
}
