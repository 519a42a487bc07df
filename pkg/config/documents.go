package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits that keep a small file from becoming a big one by aliases of aliases, and recursion from going deep.
const (
	maxNodes = 100_000
	maxDepth = 100
)

// documents splits a file into its YAML documents; empty ones are left out. What is no YAML is one problem, since
// nothing can be said of the rest.
func documents(name string, data []byte) ([]*yaml.Node, Problems) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if line, message := unreadable(data); message != "" {
		return nil, Problems{{File: name, Line: line, Message: message}}
	}
	var docs []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			line, message := syntaxError(data, err)
			return nil, Problems{{File: name, Line: line, Message: message}}
		}
		if len(doc.Content) == 0 || isNull(doc.Content[0]) {
			continue
		}
		if line, message := tooBig(doc.Content[0]); message != "" {
			return nil, Problems{{File: name, Line: line, Message: message}}
		}
		docs = append(docs, doc.Content[0])
	}
}

// unreadable finds what is no text at all before YAML is looked for in it.
func unreadable(data []byte) (line int, message string) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return 1, "the file is UTF-16 text: save it as UTF-8"
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		lineHere := func() int { return len(splitLines(data[:i])) }
		if r == utf8.RuneError && size == 1 {
			return lineHere(), fmt.Sprintf("byte 0x%02x is not UTF-8 text: save the file as UTF-8", data[i])
		}
		if !printable(r) {
			return lineHere(), fmt.Sprintf("control character U+%04X is not allowed in YAML: remove it", r)
		}
		i += size
	}
	return 0, ""
}

// printable is YAML 1.1's c-printable.
func printable(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0x7e, r == 0x85:
		return true
	case r == 0xfeff:
		return false
	}
	return r >= 0xa0 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000
}

// syntaxError says where a YAML error is and what usually causes it. The YAML library counts some lines from 0 and
// names the start of a block where the error is at its end, so the place is looked for again.
func syntaxError(data []byte, err error) (line int, message string) {
	message = err.Error()
	if m := regexp.MustCompile(`^yaml: (?:line (\d+): )?([\s\S]*)$`).FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = m[2]
	}
	remedy := "check the YAML"
	switch {
	case strings.HasPrefix(message, "did not find expected ',' or"):
		line++
		remedy = "close the bracket, and put values with brackets or commas in quotes"
	case strings.HasPrefix(message, "did not find expected"):
		line = firstLineThatFails(data, err)
		remedy = "indent the line as its neighbours are"
	case strings.HasPrefix(message, "unknown anchor"):
		if m := regexp.MustCompile(`^unknown anchor '(.*)'`).FindStringSubmatch(message); m != nil {
			line = len(splitLines(data[:max(0, bytes.Index(data, []byte("*"+m[1])))]))
			message = fmt.Sprintf("nothing is anchored as &%s", m[1])
			remedy = fmt.Sprintf("define it above, or put *%s in quotes", m[1])
		}
	case message == "found character that cannot start any token":
		if startsWithTab(data, line) {
			message, remedy = "the line is indented with a tab", "use spaces"
		} else {
			remedy = "put the value in quotes"
		}
	case message == "mapping values are not allowed in this context":
		remedy = "check the line's indentation, and put values with a colon in quotes"
	case message == "could not find expected ':'":
		remedy = "write a colon after the name, and close the quotes above"
	case message == "found unexpected end of stream":
		remedy = "close the quotes"
	}
	return max(1, min(line, len(splitLines(data)))), fmt.Sprintf("not YAML: %s: %s", message, remedy)
}

// firstLineThatFails returns the number of the line with which the error begins: every shorter beginning of the file
// reads well or fails otherwise.
func firstLineThatFails(data []byte, err error) int {
	lines := splitLines(data)
	message := func(e error) string {
		text := e.Error()
		return text[strings.LastIndex(text, ": ")+1:]
	}
	want := message(err)
	return 1 + sort.Search(len(lines)-1, func(n int) bool {
		decoder := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines[:n+1], nil)))
		for {
			var doc yaml.Node
			if err := decoder.Decode(&doc); err != nil {
				return !errors.Is(err, io.EOF) && message(err) == want
			}
		}
	})
}

// startsWithTab reports whether there is a tab in the indentation of a line.
func startsWithTab(data []byte, line int) bool {
	lines := splitLines(data)
	return line > 0 && line <= len(lines) && bytes.HasPrefix(bytes.TrimLeft(lines[line-1], " "), []byte("\t"))
}

// splitLines splits after each line break that YAML knows, so that lines count as in YAML's own messages.
func splitLines(data []byte) [][]byte {
	lines := [][]byte{}
	start := 0
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		i += size
		switch {
		case r == '\r' && i < len(data) && data[i] == '\n':
			continue
		case r == '\n', r == '\r', r == 0x85, r == 0x2028, r == 0x2029:
			lines = append(lines, data[start:i])
			start = i
		}
	}
	return append(lines, data[start:])
}

// tooBig reports aliases that contain themselves and documents that are too big or too deep once aliases are followed.
func tooBig(root *yaml.Node) (line int, message string) {
	type size struct{ nodes, depth int }
	sizes := map[*yaml.Node]size{}
	var open []*yaml.Node
	var measure func(n *yaml.Node) size
	measure = func(n *yaml.Node) size {
		if n.Kind == yaml.AliasNode {
			if slices.Contains(open, n.Alias) {
				line, message = n.Line, fmt.Sprintf("the anchor &%s contains itself: write the value out", n.Value)
				return size{}
			}
			return measure(n.Alias)
		}
		if s, ok := sizes[n]; ok {
			return s
		}
		if len(open) >= maxDepth {
			line, message = n.Line, fmt.Sprintf("nested more than %d levels deep: this is no cluster file", maxDepth)
			return size{}
		}
		open = append(open, n)
		s := size{nodes: 1}
		for _, child := range n.Content {
			c := measure(child)
			s.nodes = min(s.nodes+c.nodes, maxNodes+1)
			s.depth = max(s.depth, c.depth)
			if message != "" {
				break
			}
		}
		open = open[:len(open)-1]
		s.depth++
		sizes[n] = s
		return s
	}
	s := measure(root)
	switch {
	case message != "":
		return line, message
	case s.nodes > maxNodes:
		return root.Line, fmt.Sprintf("more than %d values once aliases are followed: write fewer aliases", maxNodes)
	case s.depth > maxDepth:
		return root.Line, fmt.Sprintf("nested more than %d levels deep once aliases are followed: write fewer aliases",
			maxDepth)
	}
	return 0, ""
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
