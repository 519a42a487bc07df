package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-ha/kubectl-ha/pkg/host"
	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

func echoes(t *testing.T, pty *terminal.PTY) bool {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(pty.Slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Lflag&unix.ECHO != 0
}

func awaitSilence(t *testing.T, pty *terminal.PTY) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); echoes(t, pty); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the terminal shows what is typed")
		}
	}
}

func TestPassphraseIsReadFromTheTerminalWithoutShowingIt(t *testing.T) {
	pty, err := terminal.Open(80, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	connector, aside := &host.Connector{}, 0
	confirmer := &Confirmer{In: pty.Slave, Out: pty.Slave, Terminal: true, Yes: true}
	confirmer.Attend(connector, func(ask func()) { aside++; ask() })

	type answer struct {
		passphrase []byte
		err        error
	}
	ask := func(ctx context.Context) <-chan answer {
		answers := make(chan answer, 1)
		go func() {
			passphrase, err := connector.Passphrase(ctx, "/home/anna/.ssh/id_ed25519")
			answers <- answer{passphrase, err}
		}()
		awaitSilence(t, pty)
		return answers
	}
	answers := ask(t.Context())
	if err := pty.Type("open sesame\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-answers; string(got.passphrase) != "open sesame" || got.err != nil {
		t.Errorf("got %q, %v", got.passphrase, got.err)
	}
	screen, err := pty.Settle()
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.TrimSpace(screen.String())
	if shown != "Passphrase of /home/anna/.ssh/id_ed25519:" {
		t.Errorf("the terminal shows %q", shown)
	}

	ctx, cancel := context.WithCancel(t.Context())
	answers = ask(ctx)
	cancel()
	if got := <-answers; !errors.Is(got.err, context.Canceled) {
		t.Errorf("cancelled: got %v", got.err)
	}
	if !echoes(t, pty) {
		t.Error("the terminal does not show what is typed any more")
	}
	if aside != 2 {
		t.Errorf("%d questions were asked aside, want 2", aside)
	}
	if err := pty.Type("\n"); err != nil { // ends the reader that was given up
		t.Fatal(err)
	}
}

func TestNobodyIsAskedWithoutATerminal(t *testing.T) {
	connector := &host.Connector{}
	(&Confirmer{In: strings.NewReader("y\n"), Yes: true}).Attend(connector, func(ask func()) { ask() })
	if connector.Confirm != nil || connector.Passphrase != nil {
		t.Error("the connector would ask")
	}
}
