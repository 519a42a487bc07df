package haproxy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// clientCertificate is what the fake takes for one: it reads no PEM.
const clientCertificate = "-----BEGIN CERTIFICATE-----\nnew\n-----END CERTIFICATE-----\n"

func TestClientCertificateIsSetInTheProcessAndInTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		set, commit string
		commands    []string
		reloads     bool
	}{
		"at run time": {
			"Transaction created for certificate client.pem!\n", "Committing client.pem.\nSuccess!\n", []string{"set", "commit"}, false,
		},
		"where HAProxy takes none": {
			"Can't replace a certificate which is not referenced by the configuration!\n", "", []string{"set"}, true,
		},
		"where HAProxy cannot use it": {
			"Transaction created for certificate client.pem!\n", "Committing client.pem.\nFailed!\n", []string{"set", "commit", "abort"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, b := newFake(t, hosts(1)...)
			b.spec.ClientFile = filepath.Join(filepath.Dir(f.config), "client.pem")
			f.certificate = func(verb string) string { return map[string]string{"set": c.set, "commit": c.commit}[verb] }
			if err := b.SetClientCertificate(t.Context(), []byte(clientCertificate)); err != nil {
				t.Fatal(err)
			}
			var verbs []string
			for _, command := range f.given() {
				verb, rest, _ := strings.Cut(command, " ")
				if !strings.HasPrefix(rest, "ssl cert "+b.spec.ClientFile) {
					t.Errorf("%s", command)
				}
				verbs = append(verbs, verb)
			}
			if !slices.Equal(verbs, c.commands) {
				t.Errorf("%v; want %v", verbs, c.commands)
			}
			text, err := os.ReadFile(b.spec.ClientFile)
			if err != nil || string(text) != clientCertificate {
				t.Errorf("the file has %s, %v", text, err)
			}
			if cur, err := b.Current(t.Context()); err != nil || cur.Unconfirmed != c.reloads {
				t.Errorf("%+v, %v", cur, err)
			}
		})
	}
}

func TestClientCertificateThatIsNotAcceptedIsTakenBack(t *testing.T) {
	f, b := newFake(t, hosts(1)...)
	b.spec.ClientFile = filepath.Join(filepath.Dir(f.config), "client.pem")
	f.write(f.read() + "# broken\n")
	refused := func() {
		t.Helper()
		var invalid *ValidationError
		if err := b.SetClientCertificate(t.Context(), []byte(clientCertificate)); !errors.As(err, &invalid) {
			t.Errorf("%v", err)
		}
	}
	refused()
	if _, err := os.Stat(b.spec.ClientFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was left where there was none: %v", err)
	}
	if err := os.WriteFile(b.spec.ClientFile, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused()
	if text, err := os.ReadFile(b.spec.ClientFile); err != nil || string(text) != "old" {
		t.Errorf("the file has %s, %v", text, err)
	}
	if cur, err := b.Current(t.Context()); err != nil || cur.Unconfirmed {
		t.Errorf("HAProxy would be reloaded for nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.SetClientCertificate(ctx, []byte(clientCertificate)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
