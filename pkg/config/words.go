package config

import (
	"errors"
	"fmt"
	"strings"
)

// splitWords splits a command line into its words as a POSIX shell does: blanks separate, quotes and backslashes
// join and vanish. What a shell would do more than split (variables, commands, redirections) is refused, for no shell
// runs the words; within single quotes it stands for itself.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
			continue
		case c == '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return nil, errors.New("a single quote is not closed: close it")
			}
			word.WriteString(s[i+1 : i+1+end])
			i += end + 1
		case c == '"':
			end, err := quotedWord(s[i:], &word)
			if err != nil {
				return nil, err
			}
			i += end
		case c == '\\':
			i++
			if i == len(s) {
				return nil, errors.New("a backslash ends the text: remove it")
			}
			word.WriteByte(s[i])
		case strings.IndexByte(";&|<>()`", c) >= 0 || c == '$' && expands(s[i+1:]):
			return nil, notByShell(c)
		default:
			word.WriteByte(c)
		}
		inWord = true
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quotedWord writes what the double quotes at the start of s enclose and returns the index of the closing one.
func quotedWord(s string, word *strings.Builder) (end int, err error) {
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			return i, nil
		case c == '\\' && i+1 < len(s) && strings.IndexByte("$`\"\\", s[i+1]) >= 0:
			i++
			word.WriteByte(s[i])
		case c == '`' || c == '$' && expands(s[i+1:]):
			return 0, notByShell(c)
		default:
			word.WriteByte(c)
		}
	}
	return 0, errors.New("a double quote is not closed: close it")
}

// expands reports whether a shell would replace a dollar sign that is followed by s.
func expands(s string) bool {
	return s != "" && (isLetter(s[0]) || isDigit(s[0]) || strings.IndexByte("_({*@#?-$!", s[0]) >= 0)
}

func notByShell(c byte) error {
	return fmt.Errorf("%q has a meaning to shells, but no shell reads this: put it in single quotes or write the value out",
		c)
}
