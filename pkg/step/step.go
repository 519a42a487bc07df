// Package step runs a command's list of steps: the list is the runbook, and this package walks it.
package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Step is one line of a runbook. Every Step looks at the world before it acts, so that a list that was
// interrupted anywhere is completed by running it again.
type Step struct {
	// Title is one sentence that says what the step achieves.
	Title string
	// Skip says why there is nothing to do; an empty reason means that Run is needed. It changes nothing.
	// A nil Skip means that Run is always needed.
	Skip func(ctx context.Context) (reason string, err error)
	// Detail lists what Run would do, one line each, for a dry run. It changes nothing and may be nil.
	Detail func(ctx context.Context) ([]string, error)
	// Run makes it so.
	Run func(ctx context.Context) error
	// ReadOnly says that Run only looks at the world, as a verification does.
	ReadOnly bool
	// Undo takes back what Run did when a later step fails; it may be nil.
	Undo func(ctx context.Context) error
}

// Observer is told what happens while a list runs. Index counts from 0.
type Observer interface {
	StepStarted(index, total int, title string)
	StepSkipped(index, total int, title, reason string)
	StepDone(index, total int, title string, elapsed time.Duration)
	StepFailed(index, total int, title string, elapsed time.Duration, err error)
	StepUndone(title string, err error)
}

// Result says what a run did.
type Result struct {
	Changed int // steps that ran, save those that only look
	Skipped int
	Elapsed time.Duration // from the start of the first step to the end of the last one
	Took    []Took        // of each step that is counted as Changed
}

// Took is how long a step took.
type Took struct {
	Title   string
	Elapsed time.Duration
}

// String is for people: "9 steps run in 58.1s, 7 not needed".
func (r Result) String() string {
	steps := "steps"
	if r.Changed == 1 {
		steps = "step"
	}
	return fmt.Sprintf("%d %s run in %.1fs, %d not needed", r.Changed, steps, r.Elapsed.Seconds(), r.Skipped)
}

// WriteTimes is for people, too: a line for each step that changed something, with the time that it took.
func (r Result) WriteTimes(out io.Writer) {
	for _, took := range r.Took {
		fmt.Fprintf(out, "%7.1fs  %s\n", took.Elapsed.Seconds(), took.Title)
	}
}

// Run runs the steps in order. When one fails, the steps that ran are undone in reverse order, the failed one
// included, and the error names the step. A cancelled ctx is not passed to Undo: undoing has to happen all the same.
func Run(ctx context.Context, steps []Step, observer Observer) (Result, error) {
	var result Result
	var undo []Step
	begin := time.Now()
	for i, s := range steps {
		start := time.Now()
		err := ctx.Err()
		reason := ""
		if err == nil && s.Skip != nil {
			reason, err = s.Skip(ctx)
		}
		if err == nil && reason != "" {
			observer.StepSkipped(i, len(steps), s.Title, reason)
			result.Skipped++
			continue
		}
		if err == nil {
			observer.StepStarted(i, len(steps), s.Title)
			undo = append(undo, s)
			err = s.Run(ctx)
		}
		if err != nil {
			observer.StepFailed(i, len(steps), s.Title, time.Since(start), err)
			return result, errors.Join(fmt.Errorf("%s: %w", s.Title, err), undoAll(context.WithoutCancel(ctx), undo, observer))
		}
		elapsed := time.Since(start)
		observer.StepDone(i, len(steps), s.Title, elapsed)
		if !s.ReadOnly {
			result.Changed++
			result.Took = append(result.Took, Took{s.Title, elapsed})
		}
	}
	result.Elapsed = time.Since(begin)
	return result, nil
}

func undoAll(ctx context.Context, steps []Step, observer Observer) error {
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if s.Undo == nil {
			continue
		}
		err := s.Undo(ctx)
		observer.StepUndone(s.Title, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("undoing %q: %w", s.Title, err))
		}
	}
	return errors.Join(errs...)
}

// Planned is what a dry run says of one step.
type Planned struct {
	Title  string
	Reason string   // why it would be skipped; empty when it would run
	Detail []string // what it would do
}

// Plan asks every step what it would do and runs none. Steps whose Skip depends on what an earlier step of the
// same list will have done must say so in Detail.
func Plan(ctx context.Context, steps []Step) ([]Planned, error) {
	planned := make([]Planned, 0, len(steps))
	for _, s := range steps {
		p := Planned{Title: s.Title}
		var err error
		if s.Skip != nil {
			p.Reason, err = s.Skip(ctx)
		}
		if err == nil && p.Reason == "" && s.Detail != nil {
			p.Detail, err = s.Detail(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("planning %q: %w", s.Title, err)
		}
		planned = append(planned, p)
	}
	return planned, nil
}
