package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestExitCode(t *testing.T) {
	usage := &UsageError{Err: errors.New("no file")}
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"done":                            {nil, 0},
		"an error":                        {errors.New("broken"), 1},
		"a wrapped error":                 {fmt.Errorf("joining: %w", errors.New("broken")), 1},
		"a timeout":                       {context.DeadlineExceeded, 1},
		"usage":                           {usage, 2},
		"usage, wrapped":                  {fmt.Errorf("x: %w", usage), 2},
		"refused":                         {Refuse("no quorum"), 3},
		"refused, wrapped":                {fmt.Errorf("x: %w", Refuse("no quorum")), 3},
		"refused, among others":           {errors.Join(errors.New("broken"), Refuse("no quorum")), 3},
		"usage comes before refusal":      {errors.Join(Refuse("no quorum"), usage), 2},
		"interrupted":                     {fmt.Errorf("x: %w", context.Canceled), 130},
		"refused because of an interrupt": {Refuse("x: %w", context.Canceled), 3},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestErrorsSayWhatTheyWrap(t *testing.T) {
	cause := errors.New("no quorum")
	refused, usage := Refuse("removing cp1: %w", cause), &UsageError{Err: cause}
	if refused.Error() != "removing cp1: no quorum" || !errors.Is(refused, cause) {
		t.Errorf("got %v", refused)
	}
	if usage.Error() != "no quorum" || !errors.Is(usage, cause) {
		t.Errorf("got %v", usage)
	}
}
