package haproxy

import (
	"strings"
	"testing"
)

func TestEditedBlockIsReadAndReported(t *testing.T) {
	tests := []struct {
		name     string
		old, new string
		slots    int
		edits    []string
	}{
		{
			"a server moved", "server k0s-at-vie-1 10.10.1.2:8132", "server k0s-at-vie-1 10.10.9.9:8132", 5,
			[]string{`"server k0s-at-vie-1 10.10.9.9:8132" instead of "server k0s-at-vie-1 10.10.1.2:8132"`},
		},
		{
			"a server disabled in one backend", "10.10.2.2:9443", "10.10.2.2:9443 disabled", 5,
			[]string{`"server k0s-de-fra-1 10.10.2.2:9443 disabled" instead of "server k0s-de-fra-1 10.10.2.2:9443"`},
		},
		{
			"a server too many", "slot5 127.0.0.1:1 disabled\n\nbackend konn",
			"slot5 127.0.0.1:1 disabled\n    server mine web.example:1\n\nbackend konn",
			5, []string{`unexpected "server mine web.example:1"`},
		},
		{
			"a check slowed down", "expect status 401", "expect status 200", 5,
			[]string{`"http-check expect status 200" instead of "http-check expect status 401"`},
		},
		{
			"a line missing", "    retries 3\n    timeout connect 1s\n", "    retries 3\n", 5,
			[]string{`missing "timeout connect 1s"`},
		},
		{
			"a name instead of an address", "k0s-ch-sion-1 10.10.0.2:6443", "k0s-ch-sion-1 cp1.example:6443", 5,
			[]string{
				`"server k0s-ch-sion-1 cp1.example:6443 crt /etc/kubectl-ha/client.pem" instead of ` +
					`"server k0s-ch-sion-1 127.0.0.1:1 crt /etc/kubectl-ha/client.pem disabled"`,
			},
		},
		{"only blank lines", "\nglobal\n", "\n\nglobal\n", 5, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			block := string(testBlock())
			if !strings.Contains(block, test.old) {
				t.Fatalf("the block has no %q", test.old)
			}
			parsed, err := ParseBlock([]byte(strings.Replace(block, test.old, test.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if len(parsed.Slots) != test.slots {
				t.Errorf("got %d slots, want %d", len(parsed.Slots), test.slots)
			}
			var edits strings.Builder
			for _, edit := range parsed.Edits {
				edits.WriteString(edit.String() + "\n")
			}
			for _, want := range test.edits {
				if !strings.Contains(edits.String(), want) {
					t.Errorf("edits have no %s:\n%s", want, edits.String())
				}
			}
			if (len(test.edits) == 0) != (len(parsed.Edits) == 0) {
				t.Errorf("edits:\n%s", edits.String())
			}
		})
	}
}

func TestEmptiedBlockIsReadWithoutSlots(t *testing.T) {
	parsed, err := ParseBlock([]byte("# BEGIN kubectl-ha cp\n# END kubectl-ha cp\n"))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Spec.Name != "cp" || len(parsed.Slots) != 0 || len(parsed.Edits) == 0 {
		t.Errorf("got %+v", parsed)
	}
}

func TestTextWithoutMarkersIsNoBlock(t *testing.T) {
	if _, err := ParseBlock([]byte("global\n")); err == nil {
		t.Error("no error")
	}
}

func TestServerAddresses(t *testing.T) {
	tests := []struct{ text, want string }{
		{"10.0.0.2:6443", "10.0.0.2:6443"},
		{"10.0.0.2", "10.0.0.2:0"},
		{"[fd00::2]:6443", "[fd00::2]:6443"},
		{"fd00::2:6443", "[fd00::2]:6443"},
		{"[fd00::2]", "[fd00::2]:0"},
		{"ipv4@10.0.0.2:6443", "10.0.0.2:6443"},
		{"ipv6@fd00::2:6443", "[fd00::2]:6443"},
		{"::ffff:10.0.0.2:6443", "10.0.0.2:6443"},
		{"cp1.example:6443", ""},
		{"10.0.0.2:+1000", ""},
		{"/run/app.sock", ""},
		{"unix@/run/app.sock", ""},
		{":6443", ""},
		{"", ""},
	}
	for _, test := range tests {
		got := ""
		if address, ok := parseServerAddress(test.text); ok {
			got = address.String()
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}
