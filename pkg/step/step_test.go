package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// diary notes what an Observer is told.
type diary struct{ lines []string }

func (d *diary) note(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}
func (d *diary) StepStarted(i, n int, t string)         { d.note("start %d/%d %s", i, n, t) }
func (d *diary) StepSkipped(i, n int, t, reason string) { d.note("skip %d/%d %s: %s", i, n, t, reason) }
func (d *diary) StepDone(i, n int, t string, _ time.Duration) {
	d.note("done %d/%d %s", i, n, t)
}
func (d *diary) StepFailed(i, n int, t string, _ time.Duration, err error) {
	d.note("fail %d/%d %s: %v", i, n, t, err)
}
func (d *diary) StepUndone(t string, err error) { d.note("undo %s: %v", t, err) }

func skip(reason string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return reason, nil }
}

func do(d *diary, text string, err error) func(context.Context) error {
	return func(context.Context) error { d.note("%s", text); return err }
}

func TestStepsRunInOrderAndWhatIsDoneIsSkipped(t *testing.T) {
	d := &diary{}
	result, err := Run(t.Context(), []Step{
		{Title: "a", Run: do(d, "run a", nil)},
		{Title: "b", Skip: skip("already there"), Run: do(d, "run b", nil)},
		{Title: "c", Skip: skip(""), Run: do(d, "run c", nil)},
		{Title: "d", ReadOnly: true, Run: do(d, "run d", nil)},
	}, d)
	if err != nil {
		t.Fatal(err)
	}
	if result.Changed != 2 || result.Skipped != 1 || result.Elapsed <= 0 {
		t.Errorf("got %+v", result)
	}
	if len(result.Took) != 2 || result.Took[0].Title != "a" || result.Took[1].Title != "c" ||
		result.Took[0].Elapsed <= 0 || result.Took[0].Elapsed+result.Took[1].Elapsed > result.Elapsed {
		t.Errorf("got %+v", result.Took)
	}
	want := []string{"start 0/4 a", "run a", "done 0/4 a", "skip 1/4 b: already there", "start 2/4 c", "run c", "done 2/4 c",
		"start 3/4 d", "run d", "done 3/4 d"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestWhatPeopleAreTold(t *testing.T) {
	result := Result{Changed: 2, Skipped: 7, Elapsed: 112149 * time.Millisecond, Took: []Took{
		{"Start the first controller", 12340 * time.Millisecond}, {"Join the others", 99960 * time.Millisecond},
	}}
	if got, want := result.String(), "2 steps run in 112.1s, 7 not needed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var times strings.Builder
	result.WriteTimes(&times)
	if want := "   12.3s  Start the first controller\n  100.0s  Join the others\n"; times.String() != want {
		t.Errorf("got\n%swant\n%s", times.String(), want)
	}
	one := Result{Changed: 1, Elapsed: time.Second}
	if got, want := one.String(), "1 step run in 1.0s, 0 not needed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFailureUndoesWhatRanInReverseOrder(t *testing.T) {
	d := &diary{}
	broken := errors.New("broken")
	_, err := Run(t.Context(), []Step{
		{Title: "a", Run: do(d, "run a", nil), Undo: do(d, "undo a", nil)},
		{Title: "b", Run: do(d, "run b", nil)},
		{Title: "c", Run: do(d, "run c", broken), Undo: do(d, "undo c", errors.New("stuck"))},
		{Title: "d", Run: do(d, "run d", nil)},
	}, d)
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the step's error in it", err)
	}
	if want := "c: broken\nundoing \"c\": stuck"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	want := []string{"start 0/4 a", "run a", "done 0/4 a", "start 1/4 b", "run b", "done 1/4 b", "start 2/4 c", "run c",
		"fail 2/4 c: broken", "undo c", "undo c: stuck", "undo a", "undo a: <nil>"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestUndoRunsAfterAnInterrupt(t *testing.T) {
	d := &diary{}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, []Step{
		{Title: "a", Run: func(context.Context) error { cancel(); return nil }, Undo: func(ctx context.Context) error {
			return ctx.Err()
		}},
		{Title: "b", Run: do(d, "run b", nil)},
	}, d)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	if want := "undo a: <nil>"; !slices.Contains(d.lines, want) {
		t.Errorf("got %q, want %q in it", d.lines, want)
	}
	if slices.Contains(d.lines, "run b") {
		t.Errorf("a step ran after the interrupt: %q", d.lines)
	}
}

func TestPlanRunsNothing(t *testing.T) {
	d := &diary{}
	planned, err := Plan(t.Context(), []Step{
		{Title: "a", Skip: skip("done"), Run: do(d, "run a", nil)},
		{Title: "b", Detail: func(context.Context) ([]string, error) { return []string{"x", "y"}, nil }, Run: do(d, "run b", nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.lines) > 0 {
		t.Errorf("planning ran %q", d.lines)
	}
	if planned[0].Reason != "done" || planned[1].Reason != "" || !slices.Equal(planned[1].Detail, []string{"x", "y"}) {
		t.Errorf("got %+v", planned)
	}
}
