package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Addition is a cluster file with one more controller.
type Addition struct {
	Data  []byte // the whole file: as it was, but for the new entry
	Entry string // the new entry, for people
	// LeftOut names what the other controllers have and the new one did not get, since it is each host's own.
	LeftOut []string
}

// AddController adds the host [USER@]HOST[:PORT] to a cluster file's content, after its last controller: with the role,
// or that of the first controller when that is empty, and with what the controllers of that role have in common. The
// file is refused where an entry cannot be added to its text without changing anything else of it.
func AddController(name string, data []byte, target string, role Role) (*Addition, error) {
	s, err := sourceOf(name)
	if err != nil {
		return nil, err
	}
	return s.AddController(data, target, role)
}

// AddController adds a host as the function AddController does, with the outside world given.
func (s Source) AddController(data []byte, target string, role Role) (*Addition, error) {
	added, err := s.addController(data, target, role)
	if err != nil {
		return nil, fmt.Errorf("adding the host %q to the cluster file: %w", target, err)
	}
	return added, nil
}

func (s Source) addController(data []byte, target string, role Role) (*Addition, error) {
	ssh, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	file, err := s.Parse(data)
	if err != nil {
		return nil, err
	}
	hosts, err := hostList(s.Name, data)
	if err != nil {
		return nil, err
	}
	all := file.Cluster.Hosts
	if len(hosts.Content) != len(all) {
		return nil, fmt.Errorf("%s:%d: the list of hosts cannot be followed: add the host by hand", s.Name, hosts.Line)
	}
	last := 0
	for i, h := range all {
		if h.IsController() {
			last = i
		}
	}
	e := newEntry(all, hosts.Content, ssh, role)
	text, err := e.text(hosts.Content[last])
	if err != nil {
		return nil, err
	}
	byHand := fmt.Sprintf("add it by hand, below the other hosts:\n- %s", strings.ReplaceAll(text, "\n", "\n  "))
	if hosts.Style&yaml.FlowStyle != 0 {
		return nil, fmt.Errorf("%s:%d: spec.hosts is written in brackets, and an entry can only be added to a list with a "+
			"dash for each host: %s", s.Name, hosts.Line, byHand)
	}
	changed := insertItem(data, hosts.Content[last], text, func(changed []byte) bool { return isAdded(data, changed, last+1) })
	if changed == nil {
		return nil, fmt.Errorf("%s:%d: the file's text cannot be added to without changing more than that: %s", s.Name,
			hosts.Content[last].Line, byHand)
	}
	now, err := s.Parse(changed)
	if err != nil {
		return nil, fmt.Errorf("with its entry the file would be wrong: %w", err)
	}
	if got := now.Cluster.Hosts[last+1].Conn.Address(); got != ssh.Address {
		return nil, fmt.Errorf("its entry would read as one of %s: %s", got, byHand)
	}
	return &Addition{Data: changed, Entry: text, LeftOut: e.leftOut}, nil
}

// hostList finds spec.hosts of the document of kind Cluster.
func hostList(name string, data []byte) (*yaml.Node, error) {
	docs, problems := documents(name, data)
	if problems != nil {
		return nil, problems
	}
	var r reader
	for _, doc := range docs {
		v := r.value("", doc.Line, doc)
		if kind := v.find("kind"); !kind.present() || !strings.EqualFold(kind.node.Value, KindCluster) {
			continue
		}
		if hosts := v.find("spec", "hosts"); hosts.present() && hosts.node.Kind == yaml.SequenceNode && len(hosts.node.Content) > 0 {
			return hosts.node, nil
		}
	}
	return nil, errors.New("the list of hosts was not found: add the host by hand")
}

// isAdded tells whether a file differs from what it was by nothing but one more host at the index.
func isAdded(before, after []byte, index int) bool {
	hosts, err := hostList("", after)
	if err != nil || len(hosts.Content) <= index {
		return false
	}
	old, problems := documents("", before)
	if problems != nil {
		return false
	}
	docs, problems := documents("", after)
	if problems != nil || len(docs) != len(old) {
		return false
	}
	added := hosts.Line
	for i := range docs {
		without(docs[i], added, index)
		if !sameNode(old[i], docs[i]) {
			return false
		}
	}
	return true
}

// without takes an item out of the list that begins in the line, in whichever document that is.
func without(n *yaml.Node, line, index int) {
	if n.Kind == yaml.SequenceNode && n.Line == line && len(n.Content) > index {
		n.Content = slices.Delete(n.Content, index, index+1)
		return
	}
	for _, child := range n.Content {
		without(child, line, index)
	}
}

// sameNode compares what two documents say, wherever it stands. What an alias stands for is compared at its anchor.
func sameNode(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.ShortTag() == b.ShortTag() && a.Value == b.Value && a.Anchor == b.Anchor &&
		slices.EqualFunc(a.Content, b.Content, sameNode)
}

// insertItem writes an item of a block list after the one given: the first place that is right, or nil. Comments and
// empty lines may belong to either side, and a block of text may end in empty lines.
func insertItem(data []byte, after *yaml.Node, text string, right func([]byte) bool) []byte {
	lines := splitLines(data)
	begin, dash := dashOf(lines, after.Line)
	if begin == 0 {
		return nil
	}
	end, next := endOf(lines, max(begin, lastLine(after)), dash)
	indent := "  "
	if after.Line == begin && after.Anchor == "" && after.Column > dash+2 {
		indent = strings.Repeat(" ", after.Column-1-dash)
	}
	margin := strings.Repeat(" ", dash)
	item := margin + "-" + indent[1:] + strings.ReplaceAll(text, "\n", "\n"+margin+indent)
	for _, at := range []int{end, next} {
		if changed := insertLines(lines, at, item); right(changed) {
			return changed
		}
	}
	return nil
}

// dashOf finds the line of the dash that begins the item in the line, and its indentation.
func dashOf(lines [][]byte, line int) (begin, dash int) {
	for ; line > 0; line-- {
		trimmed := bytes.TrimLeft(lines[line-1], " ")
		if rest, found := bytes.CutPrefix(trimmed, []byte("-")); found && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0) {
			return line, len(lines[line-1]) - len(trimmed)
		}
	}
	return 0, 0
}

// endOf finds how many lines there are up to the end of an item whose dash is indented so far and that reaches at least
// to the line, and how many with the empty ones after it.
func endOf(lines [][]byte, line, dash int) (end, next int) {
	end = line
	for next = line; next < len(lines); next++ {
		trimmed := bytes.TrimLeft(lines[next], " ")
		switch {
		case len(bytes.TrimSpace(trimmed)) == 0:
		case len(lines[next])-len(trimmed) <= dash:
			return end, next
		default:
			end = next + 1
		}
	}
	return end, next
}

// lastLine is the last line in which a value within the node begins.
func lastLine(n *yaml.Node) int {
	line := n.Line
	for _, child := range n.Content {
		line = max(line, lastLine(child))
	}
	return line
}

// insertLines puts an item after so many lines, with the line breaks of the file; a file that does not end in one stays
// so.
func insertLines(lines [][]byte, at int, item string) []byte {
	lineBreak := breakOf(lines)
	item = strings.ReplaceAll(item, "\n", lineBreak)
	before, after := bytes.Join(lines[:at], nil), bytes.Join(lines[at:], nil)
	if len(after) == 0 && !endsInBreak(before) {
		return slices.Concat(before, []byte(lineBreak+item))
	}
	return slices.Concat(before, []byte(item+lineBreak), after)
}

// breakOf is how the file's first line ends.
func breakOf(lines [][]byte) string {
	first := lines[0]
	if text := bytes.TrimRight(first, "\r\n"); len(text) < len(first) {
		return string(first[len(text):])
	}
	return "\n"
}

func endsInBreak(text []byte) bool {
	return bytes.HasSuffix(text, []byte("\n")) || bytes.HasSuffix(text, []byte("\r"))
}
