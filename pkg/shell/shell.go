// Package shell writes words for a POSIX shell; the standard library alone.
package shell

import "strings"

// Quote makes one word of any text.
func Quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// Word is Quote as people write it: a plain word stays as it is.
func Word(text string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:=,@%+", r)
	}
	if text == "" || strings.ContainsFunc(text, odd) {
		return Quote(text)
	}
	return text
}

// Join makes a command of a program and its arguments.
func Join(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Word(w)
	}
	return strings.Join(quoted, " ")
}
