package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// plainView writes a line an event, with the time since the start, for logs and pipes.
type plainView struct {
	out   io.Writer
	start time.Time
	// quarter is how far each host's copy was when it was last shown, in quarters.
	quarter map[string]int64
}

func newPlainView(out io.Writer, options Options) *plainView {
	return &plainView{out: out, start: options.Now(), quarter: map[string]int64{}}
}

func (v *plainView) show(e event) {
	switch e.Kind {
	case stepStarted:
		clear(v.quarter)
		v.line(e, "[%d/%d] %s", e.Step, e.Of, e.Title)
	case stepSkipped:
		v.line(e, "[%d/%d] %s: nothing to do: %s", e.Step, e.Of, e.Title, e.Text)
	case stepDone:
		v.line(e, "[%d/%d] %s: done in %s", e.Step, e.Of, e.Title, seconds(e.Seconds))
	case stepFailed:
		v.line(e, "[%d/%d] %s: failed after %s: %s", e.Step, e.Of, e.Title, seconds(e.Seconds), e.Error)
	case stepUndone:
		if e.Error == "" {
			v.line(e, "undone: %s", e.Title)
		} else {
			v.line(e, "could not undo: %s: %s", e.Title, e.Error)
		}
	case hostUpdate, hostDone:
		v.line(e, "  %s: %s", e.Host, e.Text)
	case hostProgress:
		if e.Total <= 0 {
			return
		}
		if quarter := e.Done * 4 / e.Total; quarter > v.quarter[e.Host] {
			v.quarter[e.Host] = quarter
			v.line(e, "  %s: %s of %s", e.Host, megabytes(e.Done), megabytes(e.Total))
		}
	case warning:
		v.line(e, "warning: %s", e.Text)
	case info:
		v.line(e, "%s", e.Text)
	}
}

// line writes one line; further lines of a text are set in below it.
func (v *plainView) line(e event, format string, args ...any) {
	text := strings.ReplaceAll(printable(fmt.Sprintf(format, args...)), "\n", "\n         ")
	fmt.Fprintf(v.out, "%7.1fs %s\n", e.Time.Sub(v.start).Seconds(), text)
}

func (v *plainView) suspend() {}

func (v *plainView) resume() {}

func (v *plainView) close() error { return nil }

func seconds(s float64) string { return fmt.Sprintf("%.1fs", s) }

func megabytes(n int64) string { return fmt.Sprintf("%d MB", n/1_000_000) }
