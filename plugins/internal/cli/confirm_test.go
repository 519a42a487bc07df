package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestConfirm(t *testing.T) {
	const question, remedy = "Take these sections over?", "use --adopt-haproxy"
	for name, c := range map[string]struct {
		in       string
		terminal bool
		yes      bool
		want     string // the error
		asked    bool
	}{
		"y":                        {"y\n", true, false, "", true},
		"YES":                      {" YES \r\n", true, false, "", true},
		"yes at the end of input":  {"yes", true, false, "", true},
		"n":                        {"n\n", true, false, `the answer to "Take these sections over?" was no`, true},
		"anything else":            {"yep\n", true, false, `the answer to "Take these sections over?" was no`, true},
		"just Enter":               {"\n", true, false, `the answer to "Take these sections over?" was no`, true},
		"end of input":             {"", true, false, `the answer to "Take these sections over?" was no`, true},
		"--yes":                    {"", true, true, "", false},
		"--yes without a terminal": {"", false, true, "", false},
		"without a terminal": {
			"y\n", false, false, `there is no terminal to ask "Take these sections over?" on: use --adopt-haproxy`, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			confirmer := &Confirmer{In: strings.NewReader(c.in), Out: &out, Terminal: c.terminal, Yes: c.yes}
			err := confirmer.Confirm(t.Context(), question, remedy)
			if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want || ExitCode(err) != ExitRefused) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if asked := out.String() == question+" [y/N] "; asked != c.asked || !asked && out.Len() > 0 {
				t.Errorf("asked %q", out.String())
			}
		})
	}
}

func TestAskIgnoresYes(t *testing.T) {
	confirmer := &Confirmer{In: strings.NewReader("n\n"), Out: io.Discard, Terminal: true, Yes: true}
	if yes, err := confirmer.Ask(t.Context(), "Trust this key?"); yes || err != nil {
		t.Errorf("got %v, %v", yes, err)
	}
}

func TestAQuestionCanBeInterrupted(t *testing.T) {
	in, typing := io.Pipe()
	defer typing.Close()
	confirmer := &Confirmer{In: in, Out: io.Discard, Terminal: true}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if yes, err := confirmer.Ask(ctx, "Well?"); yes || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", yes, err)
	}
	if err := confirmer.Confirm(ctx, "Well?", ""); ExitCode(err) != ExitInterrupted {
		t.Errorf("got %v", err)
	}
}
