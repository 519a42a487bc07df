package haproxy

import (
	"bytes"
	"slices"
)

// line is one line of a configuration that holds words: blank lines and pure comments are none.
type line struct {
	number     int // from 1
	start, end int // offsets in the file; end lies behind the line's newline
	words      []string
	// dynamic says that a word holds an environment variable, whose value only HAProxy knows.
	dynamic bool
}

// word returns the word with that index, or "".
func (l line) word(i int) string {
	if i < len(l.words) {
		return l.words[i]
	}
	return ""
}

// directive returns the line's words without a leading "no" or "default".
func (l line) directive() []string {
	if len(l.words) > 1 && (l.words[0] == "no" || l.words[0] == "default") {
		return l.words[1:]
	}
	return l.words
}

// scanLines returns the lines of a configuration that hold words.
func scanLines(cfg []byte) []line {
	var lines []line
	for start, number := 0, 1; start < len(cfg); number++ {
		end := len(cfg)
		if i := bytes.IndexByte(cfg[start:], '\n'); i >= 0 {
			end = start + i + 1
		}
		words, dynamic := splitWords(cfg[start:end])
		if len(words) > 0 {
			lines = append(lines, line{number: number, start: start, end: end, words: words, dynamic: dynamic})
		}
		start = end
	}
	return lines
}

// splitWords cuts a line as HAProxy's parse_line does: blanks separate words outside quotes, # starts a comment
// outside quotes, a backslash escapes outside single quotes, and a carriage return or NUL ends the line anywhere.
// Environment variables, which HAProxy expands inside double quotes, stay as they are written.
func splitWords(text []byte) (words []string, dynamic bool) {
	var word []byte
	inWord, single, double := false, false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\n' || c == '\r' || c == 0 || c == '#' && !single && !double {
			break
		}
		switch {
		case c == '"' && !single:
			double = !double
			inWord = true
		case c == '\'' && !double:
			single = !single
			inWord = true
		case c == '\\' && !single:
			value, length := unescape(text[i:], double)
			word = append(word, value)
			inWord = true
			i += length - 1
		case isBlank(c) && !single && !double:
			if inWord {
				words = append(words, string(word))
			}
			word, inWord = word[:0], false
		default:
			dynamic = dynamic || c == '$' && double
			word = append(word, c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, string(word))
	}
	// HAProxy takes an empty word for the end of the line.
	if i := slices.Index(words, ""); i >= 0 {
		words = words[:i]
	}
	return words, dynamic
}

// unescape returns the byte that the escape sequence at the start of text stands for, and the sequence's length.
// A backslash before anything else stands for itself.
func unescape(text []byte, double bool) (value byte, length int) {
	if len(text) < 2 {
		return '\\', 1
	}
	switch c := text[1]; c {
	case ' ', '\\', '#', '\'', '"':
		return c, 2
	case 't':
		return '\t', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case '$':
		if double {
			return c, 2
		}
	case 'x':
		if len(text) >= 4 && isHex(text[2]) && isHex(text[3]) {
			return unhex(text[2])<<4 | unhex(text[3]), 4
		}
	}
	return '\\', 1
}

// isBlank is isspace(3) of the C locale, without the newline characters, which end a line.
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\v' || c == '\f' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return (c | 0x20 - 'a') + 10
}

// usesCRLF says whether most lines of the file end in a carriage return and a newline.
func usesCRLF(cfg []byte) bool {
	crlf := bytes.Count(cfg, []byte("\r\n"))
	return 2*crlf > bytes.Count(cfg, []byte("\n"))
}

func toLF(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) }

func toCRLF(text []byte) []byte { return bytes.ReplaceAll(toLF(text), []byte("\n"), []byte("\r\n")) }
