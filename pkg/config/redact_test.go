package config

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":      {"a: 1\nb: [x, y] # why\n", "a: 1\nb: [x, y] # why\n"},
		"empty":        {"", ""},
		"one line":     {"user: me\npassword: hunter2\nurl: x\n", "user: me\npassword: ***\nurl: x\n"},
		"the last":     {"user: me\npassword: hunter2", "user: me\npassword: ***"},
		"a list":       {"tokens:\n  - hunter2\n  - hunter2\nb: 1\n", "tokens:\n  ***\nb: 1\n"},
		"in brackets":  {"{user: me, password: 'hunter2, \"it''s', port: 1}\n", "{user: me, password: ***, port: 1}\n"},
		"several":      {"values: |\n  a: hunter2\n\n  # hunter2\nb: 1\n", "values: ***\nb: 1\n"},
		"quoted lines": {"- password: \"hunter2\n    hunter2\"\n- b: 1\n", "- password: ***\n- b: 1\n"},
		"below":        {"environment:\n  A: hunter2\n  B: hunter2\nrole: x\n", "environment:\n  ***\nrole: x\n"},
		"by an alias":  {"a: &x hunter2\npassword: *x\nb: 1\n", "a: ***\npassword: *x\nb: 1\n"},
		"documents":    {"password: hunter2\n---\nb: 1\n", "password: ***\n---\nb: 1\n"},
		"URLs":         {"dsn: mysql://me:hunter2@db/k0s\n", "dsn: mysql://***@db/k0s\n"},
		"flags":        {"flags: [--x-token=hunter2, \"--password hunter2\"]\n", "flags: [--x-token=***, \"--password ***\"]\n"},
		"comments":     {"a: 1 # the password is hunter2\n", "a: 1 # ***\n"},
		"profiles":     {"values: {failCgroupV1: false}\n", "values: {failCgroupV1: false}\n"},
		"umlauts":      {"ä: {ö: ü, token: hunter2, ß: 1}\n", "ä: {ö: ü, token: ***, ß: 1}\n"},
		"CRLF":         {"token: hunter2\r\nb: 1\r\n", "token: ***\nb: 1\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Redact([]byte(c.text))
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	if _, err := Redact([]byte("a: [hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("what is no YAML: got %v", err)
	}
}
