package config

import (
	"fmt"
	"strings"
)

// substitute fills environment variables in, as k0sctl and cfctl do: $NAME, ${NAME}, ${NAME:-default},
// ${NAME-default}, and $$ for a dollar sign. Unlike there, a variable that is not set is an error rather than "".
// A dollar sign before anything else stays: $(command), $1, and the $/ of a regular expression.
func substitute(s string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteString("$")
			s = rest[1:]
		case strings.HasPrefix(rest, "{"):
			end := closingBrace(rest)
			if end < 0 {
				return "", fmt.Errorf("${ has no closing brace: close it, or write $${ for the characters themselves")
			}
			text, err := substituteExpression(rest[1:end], lookup)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			s = rest[end+1:]
		default:
			name := variableName(rest)
			if name == "" {
				b.WriteString("$")
				s = rest
				continue
			}
			text, ok := lookup(name)
			if !ok {
				return "", notSet(name)
			}
			b.WriteString(text)
			s = rest[len(name):]
		}
	}
}

// substituteExpression evaluates what stands between ${ and }.
func substituteExpression(s string, lookup func(string) (string, bool)) (string, error) {
	name := variableName(s)
	operator := s[len(name):]
	text, ok := "", false
	if name != "" {
		text, ok = lookup(name)
	}
	switch {
	case name == "":
	case operator == "" && ok:
		return text, nil
	case operator == "":
		return "", notSet(name)
	case strings.HasPrefix(operator, ":-") && text == "":
		return substitute(operator[2:], lookup)
	case strings.HasPrefix(operator, "-") && !ok:
		return substitute(operator[1:], lookup)
	case strings.HasPrefix(operator, ":-"), strings.HasPrefix(operator, "-"):
		return text, nil
	}
	return "", fmt.Errorf("${%s} is not understood: use ${NAME} or ${NAME:-default}, or $${ for the characters themselves",
		s)
}

func notSet(name string) error {
	return fmt.Errorf("the environment variable %s is not set: set it, or write $$%s for the characters themselves",
		name, name)
}

// closingBrace returns the index of the brace that closes the one at the start of s, or -1.
func closingBrace(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// variableName returns the name of an environment variable that s starts with, or "".
func variableName(s string) string {
	i := 0
	for i < len(s) && (isLetter(s[i]) || s[i] == '_' || i > 0 && isDigit(s[i])) {
		i++
	}
	return s[:i]
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
