package kube

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	notYet := errors.New("not yet")

	t.Run("until it is met", func(t *testing.T) {
		looks := 0
		err := Wait(t.Context(), time.Microsecond, func(context.Context) error {
			if looks++; looks < 3 {
				return notYet
			}
			return nil
		})
		if err != nil || looks != 3 {
			t.Errorf("got %v after %d looks", err, looks)
		}
	})
	t.Run("looks once even when there is no time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Wait(ctx, time.Hour, func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
		err := Wait(ctx, time.Hour, func(context.Context) error { return notYet })
		if !errors.Is(err, notYet) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("says why it gave up and what was missing", func(t *testing.T) {
		gaveUp := errors.New("gave up after 5m")
		ctx, cancel := context.WithCancelCause(t.Context())
		looks := 0
		err := Wait(ctx, time.Microsecond, func(ctx context.Context) error {
			if looks++; looks == 3 {
				cancel(gaveUp)
				return ctx.Err() // as a request that is cut off
			}
			return notYet
		})
		if err == nil || err.Error() != "not yet (gave up after 5m)" || !errors.Is(err, notYet) || !errors.Is(err, gaveUp) {
			t.Errorf("got %v", err)
		}
	})
}
