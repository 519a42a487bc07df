package config

import "testing"

func TestSubstituteFillsVariablesIn(t *testing.T) {
	lookup := source("").LookupEnv
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"$SITE and ${SITE}.", "site-a and site-a."},
		{"$SITE/x$SITE-y", "site-a/xsite-a-y"},
		{"${UNSET:-a}${UNSET-b}${EMPTY:-c}${EMPTY-d}${SITE:-e}", "abcsite-a"},
		{"${UNSET:-${SITE}/x}", "site-a/x"},
		{"$$SITE $$ $${SITE}", "$SITE $ ${SITE}"},
		{"$(id) $1 $/ $? $", "$(id) $1 $/ $? $"},
	} {
		got, err := substitute(test.text, lookup)
		if err != nil || got != test.want {
			t.Errorf("substitute(%q) = %q, %v; want %q", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"$UNSET", "${UNSET}", "${SITE", "${}", "${1}", "${SITE:=x}", "${SITE//a/b}", "${UNSET:-$UNSET}", "${UNSET:-${}}"} {
		if got, err := substitute(text, lookup); err == nil {
			t.Errorf("substitute(%q) = %q, want an error", text, got)
		}
	}
}
