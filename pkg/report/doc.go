// Package report shows people and programs how a command's steps go on: a live tree on a terminal, plain lines
// elsewhere, or JSON.
//
// As JSON, each line is one object with these fields, those without a value left out (docs/reference/progress.md has more):
//
//	time     RFC 3339, with fractions of a second
//	event    "step-started", "step-skipped", "step-done", "step-failed", "step-undone", "host", "host-done", "progress",
//	         "warning" or "info"
//	step     number of the step, from 1, and of, how many there are
//	title    of the step
//	seconds  that the step took
//	host     whose line it is
//	text     the line, the warning, or why a step was skipped
//	error    why a step failed
//	done     bytes copied so far, and total, of how many; each host tells at most once a second, and at its end
package report
