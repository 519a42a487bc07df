package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// Confirmer asks the user before something is done that he did not spell out.
type Confirmer struct {
	In  io.Reader
	Out io.Writer // the terminal's standard error: results alone go to standard output
	// Terminal says whether somebody can answer.
	Terminal bool
	// Yes answers every question (--yes).
	Yes bool
}

// Confirm asks a yes-or-no question. Without a terminal and without --yes the answer is no: the remedy then says
// which flag would have answered.
func (c *Confirmer) Confirm(ctx context.Context, question, remedy string) error {
	if c.Yes {
		return nil
	}
	if !c.Terminal {
		return Refuse("there is no terminal to ask %q on: %s", question, remedy)
	}
	yes, err := c.Ask(ctx, question)
	if err != nil {
		return err
	}
	if !yes {
		return Refuse("the answer to %q was no", question)
	}
	return nil
}

// Ask asks a yes-or-no question on the terminal, whatever --yes says. Anything but yes means no.
func (c *Confirmer) Ask(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(c.Out, "%s [y/N] ", question)
	type reply struct {
		line string
		err  error
	}
	replies := make(chan reply, 1)
	go func() { // reading a terminal cannot be cancelled; the process ends soon after ctx does
		line, err := bufio.NewReader(c.In).ReadString('\n')
		replies <- reply{line, err}
	}()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case r := <-replies:
		if r.err != nil && r.line == "" {
			return false, nil
		}
		answer := strings.ToLower(strings.TrimSpace(r.line))
		return answer == "y" || answer == "yes", nil
	}
}
