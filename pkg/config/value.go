package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader gathers what is found while a file is read.
type reader struct {
	name      string
	lookupEnv func(string) (string, bool) // nil leaves dollar signs alone
	problems  Problems
	warnings  Problems

	// asked is told what the parser takes a place for, whatever is there; nil for nobody. It is how the schema of cluster
	// files is made of the parser itself.
	asked func(path string, f form)
}

// form is what the parser takes a place for.
type form struct {
	kind            formKind
	fields          []string // of formFields
	lowest, highest int      // of formNumber
	words           []string // of formWord: the only ones
	required        bool
}

type formKind int

const (
	formAny    formKind = iota // whatever it is
	formFields                 // fields with names that are known
	formMap                    // fields with any name
	formList
	formText
	formWord
	formNumber
	formBoolean
	formDuration
)

func (v value) ask(f form) {
	if v.r.asked != nil {
		v.r.asked(v.path, f)
	}
}

func (r *reader) fail(line int, field, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.name, max(line, 1), field, fmt.Sprintf(format, args...)})
}

func (r *reader) warn(line int, field, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{r.name, max(line, 1), field, fmt.Sprintf(format, args...)})
}

// value is a place in a document. Its methods report a wrong type once and then go on with the zero value.
type value struct {
	r    *reader
	path string
	line int
	node *yaml.Node // nil when nothing is there or null; never an alias
	lost bool       // what should hold the place is of a wrong type, which has been reported
}

func (r *reader) value(path string, line int, node *yaml.Node) value {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node != nil && isNull(node) {
		node = nil
	}
	return value{r: r, path: path, line: line, node: node}
}

func (v value) present() bool { return v.node != nil }

func (v value) fail(format string, args ...any) { v.r.fail(v.line, v.path, format, args...) }

func (v value) warn(format string, args ...any) { v.r.warn(v.line, v.path, format, args...) }

func (v value) child(name string) string {
	if v.path == "" {
		return name
	}
	return v.path + "." + name
}

// kind names what is there, for messages.
func (v value) kind() string {
	switch v.node.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// entry is one "name: value" of a mapping.
type entry struct {
	name string
	value
}

// entries returns a mapping's entries in the file's order, with merge keys (<<) followed: what is written out wins
// over what is merged.
func (v value) entries() []entry {
	if !v.present() {
		return nil
	}
	if v.node.Kind != yaml.MappingNode {
		v.fail("must have fields below it, but is %s: write name: value lines", v.kind())
		return nil
	}
	var own []entry
	var merged []value
	lines := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.r.value(v.path, v.node.Content[i].Line, v.node.Content[i])
		switch {
		case v.node.Content[i].ShortTag() == "!!merge":
			merged = append(merged, v.r.value(v.path, v.node.Content[i].Line, v.node.Content[i+1]))
			continue
		case key.present() && key.node.Kind != yaml.ScalarNode:
			key.fail("a name must be a single word, but is %s: write name: value", key.kind())
			continue
		case !key.present() || key.node.Value == "":
			key.fail("a name is empty: write name: value")
			continue
		}
		name := key.node.Value
		if first, ok := lines[name]; ok {
			v.r.fail(key.line, v.child(name), "given twice, first in line %d: remove one", first)
			continue
		}
		lines[name] = key.line
		own = append(own, entry{name, v.r.value(v.child(name), key.line, v.node.Content[i+1])})
	}
	for _, m := range merged {
		for _, e := range m.mergeEntries(v.path) {
			if _, ok := lines[e.name]; !ok {
				lines[e.name] = e.line
				own = append(own, e)
			}
		}
	}
	return own
}

// mergeEntries returns the entries of the value of a merge key: a mapping, or a list of them of which the first wins.
func (v value) mergeEntries(path string) []entry {
	switch {
	case v.present() && v.node.Kind == yaml.MappingNode:
		v.path = path
		return v.entries()
	case v.present() && v.node.Kind == yaml.SequenceNode:
		var all []entry
		for _, n := range v.node.Content {
			item := v.r.value(path, n.Line, n)
			if !item.present() || item.node.Kind != yaml.MappingNode {
				v.fail("<< takes a mapping or a list of mappings: name an anchor with fields")
				continue
			}
			all = append(all, item.entries()...)
		}
		return all
	}
	v.fail("<< takes a mapping or a list of mappings: name an anchor with fields")
	return nil
}

// fields are the entries of a mapping whose names are known beforehand.
type fields struct {
	value
	entries map[string]entry
}

// fields returns the entries, and reports those whose name is not among the known ones.
func (v value) fields(known ...string) fields {
	v.ask(form{kind: formFields, fields: known})
	f := fields{v, map[string]entry{}}
	f.lost = v.lost || v.present() && v.node.Kind != yaml.MappingNode
	for _, e := range v.entries() {
		if !slices.Contains(known, e.name) {
			e.failUnknown(known)
			continue
		}
		f.entries[e.name] = e
	}
	return f
}

func (e entry) failUnknown(known []string) {
	if name := nearest(e.name, known); name != "" {
		e.fail("unknown field: did you mean %s?", name)
		return
	}
	const few = 10
	if len(known) > few {
		e.fail("unknown field: remove it, or indent it to where it belongs")
		return
	}
	e.fail("unknown field: remove it; known here: %s", strings.Join(known, ", "))
}

// at returns the field of that name; when it is not there, a value that stands for its absence.
func (f fields) at(name string) value {
	if e, ok := f.entries[name]; ok {
		return e.value
	}
	return value{r: f.r, path: f.child(name), line: f.line, lost: f.lost}
}

// find follows names through mappings without reporting anything but duplicates; what is not there is absent.
func (v value) find(names ...string) value {
	for _, name := range names {
		next := value{r: v.r, path: v.child(name), line: v.line}
		if v.present() && v.node.Kind == yaml.MappingNode {
			for _, e := range v.entries() {
				if e.name == name {
					next = e.value
				}
			}
		}
		v = next
	}
	return v
}

// items returns a list's items.
func (v value) items() []value {
	v.ask(form{kind: formList})
	if !v.present() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.fail("must be a list, but is %s: begin each item with a dash", v.kind())
		return nil
	}
	items := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = v.r.value(fmt.Sprintf("%s[%d]", v.path, i), n.Line, n)
	}
	return items
}

// scalar returns the text of a single value with environment variables filled in, and the tag of YAML's core schema
// that the text stands for. Absent values are "" with the tag !!null.
func (v value) scalar() (text, tag string, ok bool) {
	if !v.present() {
		return "", "!!null", true
	}
	if v.node.Kind != yaml.ScalarNode {
		v.fail("must be a single value, but is %s", v.kind())
		return "", "", false
	}
	text, tag = v.node.Value, v.node.ShortTag()
	if v.r.lookupEnv != nil {
		substituted, err := substitute(text, v.r.lookupEnv)
		if err != nil {
			v.fail("%v", err)
			return "", "", false
		}
		if substituted != text && v.node.Style == 0 {
			tag = (&yaml.Node{Kind: yaml.ScalarNode, Value: substituted}).ShortTag()
		}
		text = substituted
	}
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
		return text, tag, true
	case "!!merge":
		return text, "!!str", true
	}
	v.fail("the YAML tag %s is not supported: write a plain value", v.node.Tag)
	return "", "", false
}

// str returns text as it is written; numbers and the like are text too.
func (v value) str() string {
	v.ask(form{kind: formText})
	text, _, _ := v.scalar()
	return text
}

// required returns text that must not be empty, and false after it has said so.
func (v value) required(remedy string) (string, bool) {
	v.ask(form{kind: formText, required: true})
	text, _, ok := v.scalar()
	if v.lost {
		return "", false
	}
	if ok && text == "" {
		v.fail("missing: %s", remedy)
		return "", false
	}
	return text, ok
}

// number returns an integer between lowest and highest; absent is missing.
func (v value) number(missing, lowest, highest int) int {
	v.ask(form{kind: formNumber, lowest: lowest, highest: highest})
	text, tag, ok := v.scalar()
	switch {
	case !ok:
		return missing
	case tag == "!!null":
		return missing
	case tag == "!!str" && allDigits(text):
		v.fail("%q is text: write the number without quotes", text)
		return missing
	case tag == "!!float" && allDigits(strings.TrimLeft(text, "+-")): // too big for an integer of YAML's
		v.fail("%s is out of range: write a number from %d to %d", text, lowest, highest)
		return missing
	case tag != "!!int":
		v.fail("%q is not a number: write one from %d to %d", text, lowest, highest)
		return missing
	}
	var n int64
	node := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: text}
	if err := node.Decode(&n); err != nil || n < int64(lowest) || n > int64(highest) {
		v.fail("%s is out of range: write a number from %d to %d", text, lowest, highest)
		return missing
	}
	return int(n)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// port returns a TCP port; absent is missing.
func (v value) port(missing int) int { return v.number(missing, 1, 65535) }

// boolean returns true or false; absent is false.
func (v value) boolean() bool {
	v.ask(form{kind: formBoolean})
	text, tag, ok := v.scalar()
	if !ok || tag == "!!null" {
		return false
	}
	if tag == "!!bool" {
		b, err := strconv.ParseBool(strings.ToLower(text))
		if err == nil {
			return b
		}
	}
	b, old := oldBoolean(text)
	switch {
	case old && v.node.Style == 0:
		return b
	case old || text == "true" || text == "false":
		v.fail("%q is text: remove the quotes", text)
	default:
		v.fail("%q is neither true nor false: write one of the two", text)
	}
	return false
}

// oldBoolean knows the words that were booleans in YAML 1.1. k0s still reads them so.
func oldBoolean(s string) (b, ok bool) {
	switch s {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

// duration returns a length of time that is greater than zero; absent is 0.
func (v value) duration() time.Duration {
	v.ask(form{kind: formDuration})
	text, tag, ok := v.scalar()
	if !ok || tag == "!!null" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		v.fail("%q is not a length of time: write one such as 30s or 2m", text)
		return 0
	}
	return d
}

// texts returns a list of single values.
func (v value) texts() []string {
	var texts []string
	for _, item := range v.items() {
		if text, ok := item.required("write the text, or remove the dash"); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// plain returns what is there as maps with text keys, lists, text, int, int64, uint64, float64, bool and nil, with
// the words of YAML 1.1 for true and false read as k0s reads them.
func (v value) plain() any {
	v.ask(form{kind: formAny})
	if !v.present() {
		return nil
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, e := range v.entries() {
			m[e.name] = e.plain()
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range v.items() {
			list = append(list, item.plain())
		}
		return list
	}
	text, tag, ok := v.scalar()
	if !ok {
		return nil
	}
	switch tag {
	case "!!null":
		return nil
	case "!!str":
		if b, ok := oldBoolean(text); ok && v.node.Style == 0 {
			return b
		}
		return text
	case "!!timestamp":
		return text
	}
	var decoded any
	node := yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
	if err := node.Decode(&decoded); err != nil {
		v.fail("%q is not a %s: remove the tag", text, tag)
		return nil
	}
	return decoded
}
