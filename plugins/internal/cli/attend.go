package cli

import (
	"context"
	"fmt"

	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/pkg/report"
)

// Attend has a connector ask what reaching a host depends on, if somebody can answer: whether an unknown host key is
// trusted, and the passphrase of a private key. Aside runs each question while nothing else is shown.
func (c *Confirmer) Attend(connector *host.Connector, aside func(ask func())) {
	if !c.Terminal {
		return
	}
	connector.Confirm = func(ctx context.Context, key host.UnknownKey) (yes bool, err error) {
		question := fmt.Sprintf("The %s key of %s is not known: %s. Trust it?", key.KeyType, key.Host, key.Fingerprint)
		aside(func() { yes, err = c.Ask(ctx, question) })
		return yes, err
	}
	connector.Passphrase = func(ctx context.Context, keyPath string) (passphrase []byte, err error) {
		aside(func() {
			fmt.Fprintf(c.Out, "Passphrase of %s: ", keyPath)
			passphrase, err = report.ReadSecret(ctx, c.In)
			fmt.Fprintln(c.Out) // the user's Enter was not shown
		})
		return passphrase, err
	}
}
