package haproxy

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"
)

// Diff shows people what changes in a file, as a unified diff without colours; it is empty when nothing does.
// What is not printable is written as \xNN so that it cannot reach a terminal, and the
// carriage returns of CRLF line endings are left out where both sides have them.
func Diff(path string, before, after []byte) string {
	if bytes.Equal(before, after) {
		return ""
	}
	crlf := usesCRLF(before) && usesCRLF(after)
	// Only the writer can fail, and it is a buffer.
	text, _ := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: displayLines(before, crlf), B: displayLines(after, crlf),
		FromFile: path, ToFile: path + " (new)",
		Context: 3,
	})
	return text
}

// displayLines cuts a file into lines that are fit to print, each with its newline.
func displayLines(file []byte, crlf bool) []string {
	if len(file) == 0 {
		return nil
	}
	lines := strings.SplitAfter(string(file), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		lines[last] += "\n\\ No newline at end of file\n"
	}
	for i, l := range lines {
		if crlf {
			l = strings.Replace(l, "\r\n", "\n", 1)
		}
		lines[i] = printable(l)
	}
	return lines
}

func printable(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == '\t' || r == '\n' || unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(text[:size])
		} else {
			for i := range size {
				fmt.Fprintf(&b, `\x%02x`, text[i])
			}
		}
		text = text[size:]
	}
	return b.String()
}
