package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// RemoveHost takes the entry of the host that is reached by conn out of the cluster file at path; every other byte stays.
// It tells whether there was one. The file is replaced in one step and keeps its mode.
func RemoveHost(path string, conn Connection) (removed bool, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("reading cluster file: %w", err)
	}
	edited, err := TextWithoutHost(path, data, conn)
	if err != nil || edited == nil {
		return false, err
	}
	if err := replace(path, edited); err != nil {
		return false, byHand(path, conn, err)
	}
	return true, nil
}

func byHand(path string, conn Connection, err error) error {
	return fmt.Errorf("taking %s out of %s: %w: remove its entry by hand", conn, path, err)
}

// TextWithoutHost is what RemoveHost makes of a file with that content; nil when it has no entry for the host. The path is
// for errors.
func TextWithoutHost(path string, data []byte, conn Connection) ([]byte, error) {
	edited, err := textWithout(path, data, conn)
	if err != nil {
		return nil, byHand(path, conn, err)
	}
	return edited, nil
}

// textWithout is the file's content without the entry; nil when it has none.
func textWithout(path string, data []byte, conn Connection) ([]byte, error) {
	file, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	index := slices.IndexFunc(file.Cluster.Hosts, func(h *Host) bool { return h.Conn.key() == conn.key() })
	if index < 0 {
		return nil, nil
	}
	return withoutHost(data, index)
}

// withoutHost cuts one entry out of spec.hosts of the Cluster document: one run of bytes, comments that belong to the
// entry and an empty line beside it included. What is left is read again: it must say the same, save for that entry.
func withoutHost(data []byte, index int) ([]byte, error) {
	before, err := decodeAll(data)
	if err != nil {
		return nil, err
	}
	hosts, err := hostsOf(before)
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= len(hosts.Content) {
		return nil, fmt.Errorf("it has %d hosts, and this would be number %d", len(hosts.Content), index+1)
	}
	cuts := blockCuts
	if hosts.Style&yaml.FlowStyle != 0 {
		cuts = flowCuts
	}
	candidates := cuts(data, hosts, index)
	hosts.Content = slices.Delete(hosts.Content, index, index+1)
	for _, c := range candidates {
		edited := slices.Concat(data[:c.from], data[c.to:])
		if after, err := decodeAll(edited); err == nil && slices.EqualFunc(before, after, sameYAML) {
			return edited, nil
		}
	}
	return nil, errors.New("its entry cannot be cut out without changing what the others say")
}

// cut is a run of bytes.
type cut struct{ from, to int }

func decodeAll(data []byte) ([]*yaml.Node, error) {
	docs, problems := documents("", data)
	if problems != nil {
		return nil, problems
	}
	return docs, nil
}

// hostsOf finds the list that spec.hosts is, written where it belongs.
func hostsOf(docs []*yaml.Node) (*yaml.Node, error) {
	for _, doc := range docs {
		if kind := field(doc, "kind"); kind == nil || !strings.EqualFold(kind.Value, KindCluster) {
			continue
		}
		if hosts := field(field(doc, "spec"), "hosts"); hosts != nil && hosts.Kind == yaml.SequenceNode {
			return hosts, nil
		}
	}
	return nil, errors.New("its spec.hosts is no plain list")
}

func field(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// sameYAML compares what two documents say, wherever it stands in them.
func sameYAML(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.ShortTag() == b.ShortTag() && a.Value == b.Value && a.Anchor == b.Anchor &&
		slices.EqualFunc(a.Content, b.Content, sameYAML)
}

// blockCuts are the ways to take an entry out of a list whose entries begin with dashes, the best one first.
func blockCuts(data []byte, list *yaml.Node, index int) []cut {
	lines := splitLines(data)
	column := list.Column - 1
	first := dashLine(lines, list.Content[index].Line-1, column)
	end := len(lines)
	if index+1 < len(list.Content) {
		end = dashLine(lines, list.Content[index+1].Line-1, column)
	} else if i := slices.IndexFunc(lines[first+1:], func(l []byte) bool { return ends(l, column) }); i >= 0 {
		end = first + 1 + i
	}
	// What stands before the next entry is about that one, unless it is indented as a part of this one.
	last := end
	for last > first+1 && (blank(lines[last-1]) || comment(lines[last-1]) && indentation(lines[last-1]) <= column) {
		last--
	}
	if index > 0 { // above the first entry it may be about all of them
		for first > 0 && comment(lines[first-1]) && indentation(lines[first-1]) == column {
			first--
		}
	}
	at := func(line int) int { return len(bytes.Join(lines[:line], nil)) }
	plain := cut{at(first), at(last)}
	below, above := last, first
	for below < len(lines) && blank(lines[below]) {
		below++
	}
	for above > 0 && blank(lines[above-1]) {
		above--
	}
	switch {
	case below > last && (above < first || index == 0):
		return []cut{{at(first), at(below)}, plain}
	case above < first && below == last:
		return []cut{{at(above), at(last)}, plain}
	}
	return []cut{plain}
}

// dashLine finds the line where the entry begins that has something in the given line.
func dashLine(lines [][]byte, line, column int) int {
	for i := min(line, len(lines)-1); i > 0; i-- {
		if l := lines[i]; indentation(l) == column && len(l) > column && l[column] == '-' {
			return i
		}
	}
	return 0
}

// ends tells whether a line belongs to no entry of a list any more, the dashes of which are in the column.
func ends(line []byte, column int) bool {
	switch {
	case blank(line) || comment(line):
		return false
	case bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("...")):
		return true
	}
	return indentation(line) <= column
}

func blank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

func comment(line []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) }

func indentation(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }

// flowCuts are the ways to take an entry out of a list in brackets.
func flowCuts(data []byte, list *yaml.Node, index int) []cut {
	entries := flowEntries(data, offsetOf(data, list.Line, list.Column))
	if len(entries) != len(list.Content) {
		return nil // something that this program's own reading of brackets does not know
	}
	this := entries[index]
	if index+1 < len(entries) || index == 0 {
		return []cut{wholeLine(data, cut{this.from, this.next})}
	}
	before := entries[index-1]
	if bytes.ContainsRune(data[before.to:this.from], '#') {
		return []cut{wholeLine(data, cut{this.from, this.next})} // the comma stays, which YAML allows
	}
	return []cut{{before.to, this.to}}
}

// wholeLine extends a cut that would leave an empty line behind to all of that line.
func wholeLine(data []byte, c cut) cut {
	from := len(bytes.TrimRight(data[:c.from], " \t"))
	rest := bytes.TrimLeft(data[c.to:], " \t")
	to := len(data) - len(rest)
	switch {
	case from == 0 || data[from-1] != '\n':
		return c
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return cut{from, to + 2}
	case bytes.HasPrefix(rest, []byte("\n")):
		return cut{from, to + 1}
	}
	return c
}

// offsetOf is where a line and a column of YAML's are in the text. Columns count characters.
func offsetOf(data []byte, line, column int) int {
	lines := splitLines(data)
	offset := 0
	for _, l := range lines[:min(line-1, len(lines))] {
		offset += len(l)
	}
	if line == 1 && bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		offset += 3
	}
	for range column - 1 {
		if offset < len(data) {
			_, size := utf8.DecodeRune(data[offset:])
			offset += size
		}
	}
	return offset
}

// flowEntry is an entry of a list in brackets, and where the next one may begin: behind the comma and spaces.
type flowEntry struct{ from, to, next int }

// flowEntries finds the entries of the list whose opening bracket is the first one at or after start, without the white
// space and the comments around them.
func flowEntries(data []byte, start int) []flowEntry {
	var entries []flowEntry
	depth, from, to := 0, -1, 0
	end := func(i int) {
		if from >= 0 {
			next := to
			if data[i] == ',' {
				next = len(data) - len(bytes.TrimLeft(data[i+1:], " "))
			}
			entries = append(entries, flowEntry{from, to, next})
		}
		from = -1
	}
	for i := start; i < len(data); i++ {
		begin := i
		switch c := data[i]; {
		case bytes.IndexByte([]byte(" \t\r\n"), c) >= 0:
			continue
		case c == '#' && i > 0 && bytes.IndexByte([]byte(" \t\r\n"), data[i-1]) >= 0:
			for i+1 < len(data) && data[i+1] != '\n' && data[i+1] != '\r' {
				i++
			}
			continue
		case c == '[' || c == '{':
			if depth++; depth == 1 {
				continue
			}
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				end(i)
				return entries
			}
		case c == ',' && depth == 1:
			end(i)
			continue
		case (c == '"' || c == '\'') && startsWord(data, i):
			i = closingQuote(data, i)
		}
		if from < 0 {
			from = begin
		}
		to = min(i+1, len(data))
	}
	return nil
}

// startsWord tells a quote that opens a scalar from an apostrophe within one.
func startsWord(data []byte, i int) bool {
	return i == 0 || bytes.ContainsAny(data[i-1:i], " \t\r\n,[{:")
}

func closingQuote(data []byte, open int) int {
	quote := data[open]
	for i := open + 1; i < len(data); i++ {
		switch {
		case data[i] == '\\' && quote == '"':
			i++
		case data[i] == quote && quote == '\'' && i+1 < len(data) && data[i+1] == quote:
			i++
		case data[i] == quote:
			return i
		}
	}
	return len(data)
}
