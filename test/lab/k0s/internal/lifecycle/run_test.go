package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// script makes parts that write down what happens to them.
func script(happened *[]string, names ...string) []Part {
	var parts []Part
	for _, name := range names {
		parts = append(parts, Part{
			Name:  name,
			Start: func(context.Context) error { *happened = append(*happened, "start "+name); return nil },
			Stop:  func() error { *happened = append(*happened, "stop "+name); return nil },
		})
	}
	return parts
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestPartsStopInReverse(t *testing.T) {
	var happened []string
	ctx, cancel := context.WithCancel(t.Context())
	parts := script(&happened, "etcd", "api", "scheduler")
	parts[2].Ready = func(context.Context) error { cancel(); return nil }
	if err := Run(ctx, discard(), parts); err != nil {
		t.Fatal(err)
	}
	want := []string{"start etcd", "start api", "start scheduler", "stop scheduler", "stop api", "stop etcd"}
	if !slices.Equal(happened, want) {
		t.Errorf("happened %q, want %q", happened, want)
	}
}

func TestFailedStartStopsWhatRuns(t *testing.T) {
	var happened []string
	parts := script(&happened, "etcd", "api", "scheduler")
	parts[1].Start = func(context.Context) error { return errors.New("no port") }
	err := Run(t.Context(), discard(), parts)
	if err == nil || err.Error() != "failed to start api: no port" {
		t.Errorf("err = %v", err)
	}
	if want := []string{"start etcd", "stop etcd"}; !slices.Equal(happened, want) {
		t.Errorf("happened %q, want %q", happened, want)
	}
}

func TestNextPartWaitsForReady(t *testing.T) {
	var happened []string
	ctx, cancel := context.WithCancel(t.Context())
	parts := script(&happened, "etcd", "api")
	asked := 0
	parts[0].Ready = func(context.Context) error {
		if asked++; asked < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	parts[1].Ready = func(context.Context) error { cancel(); return nil }
	if err := Run(ctx, discard(), parts); err != nil || asked != 3 {
		t.Errorf("err = %v after %d questions", err, asked)
	}
}

func TestStoppedWhileWaiting(t *testing.T) {
	var happened []string
	ctx, cancel := context.WithCancel(t.Context())
	parts := script(&happened, "etcd", "api")
	parts[0].Ready = func(context.Context) error { cancel(); return errors.New("a learner") }
	err := Run(ctx, discard(), parts)
	if err == nil || !strings.Contains(err.Error(), "a learner") {
		t.Errorf("err = %v", err)
	}
	if want := []string{"start etcd", "stop etcd"}; !slices.Equal(happened, want) {
		t.Errorf("happened %q, want %q", happened, want)
	}
}
