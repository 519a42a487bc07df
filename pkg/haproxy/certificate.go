package haproxy

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

// ClientUser is the name in the client certificate that health checks show: a user without groups, whom every cluster
// lets read /readyz and the like.
const ClientUser = "kubectl-ha-haproxy"

// SetClientCertificate gives HAProxy another client certificate for its health checks (PEM: certificate, then key): the
// running process first, which refuses what it cannot use, then the file. An HAProxy that takes none at run time gets the
// file alone, provided that it accepts it, and the next plan reloads it (see Unconfirm).
func (b *Balancer) SetClientCertificate(ctx context.Context, client []byte) error {
	return b.locked(ctx, func() error {
		cur, err := b.Current(ctx)
		if err != nil {
			return err
		}
		if cur.Runtime != nil {
			swapped, err := b.swapClient(ctx, client)
			if err != nil {
				return err
			}
			if swapped {
				return b.machine.WriteFile(ctx, b.spec.ClientFile, client, 0o600)
			}
		}
		return b.replaceClient(ctx, cur, client)
	})
}

// swapClient gives the running process another certificate in place of the one that it has read from the file. It says
// false when this HAProxy does not do so.
func (b *Balancer) swapClient(ctx context.Context, client []byte) (bool, error) {
	answer, err := b.socket.upload(ctx, "set ssl cert "+b.spec.ClientFile, client)
	if err != nil || !strings.HasPrefix(strings.TrimSpace(answer), "Transaction ") {
		return false, err
	}
	answers, err := b.socket.exchange(ctx, "commit ssl cert "+b.spec.ClientFile)
	if err != nil || strings.Contains(answers[0], "Success!") {
		return err == nil, err
	}
	_, err = b.socket.exchange(ctx, "abort ssl cert "+b.spec.ClientFile)
	return false, err
}

// replaceClient puts the certificate into the file and has the next plan reload HAProxy, unless HAProxy does not accept it.
func (b *Balancer) replaceClient(ctx context.Context, cur *Current, client []byte) error {
	if !cur.HasBlock { // nothing names it yet
		return b.machine.WriteFile(ctx, b.spec.ClientFile, client, 0o600)
	}
	before, err := b.machine.ReadFile(ctx, b.spec.ClientFile)
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return err
	}
	if err := b.unconfirm(ctx, cur); err != nil {
		return err
	}
	if err := b.machine.WriteFile(ctx, b.spec.ClientFile, client, 0o600); err != nil {
		return err
	}
	err = b.Validate(ctx, cur.Config)
	if err == nil {
		return nil
	}
	if absent {
		err = errors.Join(err, b.remove(ctx, b.spec.ClientFile))
	} else {
		err = errors.Join(err, b.machine.WriteFile(ctx, b.spec.ClientFile, before, 0o600))
	}
	if !cur.Unconfirmed {
		err = errors.Join(err, b.remove(ctx, unconfirmedPath(cur.Path)))
	}
	return err
}
