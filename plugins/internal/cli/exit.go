// Package cli is what the plugins share towards their user: exit codes, confirmation, the way an error is printed.
package cli

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes of every plugin.
const (
	ExitDone        = 0
	ExitError       = 1
	ExitUsage       = 2
	ExitRefused     = 3 // going on would be unsafe; before the first step, nothing was changed
	ExitInterrupted = 130
)

// RefusedError says that a command would not act, for safety.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// Refuse makes an error that ends a command with ExitRefused.
func Refuse(format string, args ...any) error { return &RefusedError{Err: fmt.Errorf(format, args...)} }

// UsageError says that a command was called wrongly.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *UsageError) Unwrap() error { return e.Err }

// ExitCode is the exit code that an error stands for.
func ExitCode(err error) int {
	var refused *RefusedError
	var usage *UsageError
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &refused):
		return ExitRefused
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	}
	return ExitError
}
