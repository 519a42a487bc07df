package haproxy

import (
	"fmt"
	"strings"
)

// section is one section of a configuration file, from its keyword to its last directive: the comments and blank
// lines behind that belong to whatever follows.
type section struct {
	keyword, name string
	// defaults is the section of defaults that it takes its defaults from; nil when there is none.
	defaults *section
	// lines hold the keyword's line first.
	lines []line
	// conditional says that it lies between .if and .endif, or that such a line lies in it: whether HAProxy reads
	// it cannot be known.
	conditional bool
}

func (s *section) start() int { return s.lines[0].start }
func (s *section) end() int   { return s.lines[len(s.lines)-1].end }

// String is how people are told about the section.
func (s *section) String() string { return strings.TrimSpace(s.keyword + " " + s.name) }

// isFrontend and isBackend tell the two roles of a section that serves connections; a listen section has both.
func (s *section) isFrontend() bool { return s.keyword == "frontend" || s.keyword == "listen" }
func (s *section) isBackend() bool  { return s.keyword == "backend" || s.keyword == "listen" }

// all returns the section's directives with that first word.
func (s *section) all(directive string) []line {
	var found []line
	for _, l := range s.lines[1:] {
		if l.words[0] == directive {
			found = append(found, l)
		}
	}
	return found
}

// last returns the section's last directive with that first word, which is the one that counts.
func (s *section) last(directive string) (line, bool) {
	found := s.all(directive)
	if len(found) == 0 {
		return line{}, false
	}
	return found[len(found)-1], true
}

// mode is the section's mode after its defaults.
func (s *section) mode() string {
	for from := s; from != nil; from = from.defaults {
		if l, ok := from.last("mode"); ok {
			return l.word(1)
		}
	}
	return "tcp"
}

// isSectionKeyword knows the sections of HAProxy 2.2 to 3.4.
func isSectionKeyword(word string) bool {
	switch word {
	case "global", "defaults", "frontend", "backend", "listen",
		"acme", "cache", "crt-store", "fcgi-app", "healthcheck", "http-errors", "log-forward", "log-profile",
		"mailers", "namespace_list", "peers", "program", "resolvers", "ring", "traces", "userlist":
		return true
	}
	return false
}

// parseSections cuts a configuration into its sections. Both branches of an .if are read. What precedes the first
// section belongs to none.
func parseSections(cfg []byte) []*section {
	var sections []*section
	var current, defaults *section
	named := map[string]*section{}
	depth := 0
	dotted := false // an .if, .else or .endif came since the last directive
	for _, l := range scanLines(cfg) {
		word := l.words[0]
		switch {
		case strings.HasPrefix(word, "."):
			switch word {
			case ".if":
				depth++
			case ".endif":
				depth = max(0, depth-1)
			}
			dotted = true
			continue
		case isSectionKeyword(word):
			current = &section{keyword: word, name: l.word(1), lines: []line{l}, conditional: depth > 0}
			sections = append(sections, current)
			from := l.words[min(len(l.words), 2):]
			if word == "defaults" {
				defaults = current
				named[current.name] = current
				if current.name == "from" {
					from = l.words[1:]
				}
			}
			current.defaults = defaults
			if len(from) == 2 && from[0] == "from" {
				current.defaults = named[from[1]]
			}
			if current.defaults == current {
				current.defaults = nil
			}
		case current != nil:
			current.conditional = current.conditional || dotted
			current.lines = append(current.lines, l)
		}
		dotted = false
	}
	return sections
}

// userSections returns the sections outside our block.
func userSections(cfg []byte) ([]*section, error) {
	block, found, err := FindBlock(cfg)
	if err != nil {
		return nil, err
	}
	var sections []*section
	for _, s := range parseSections(cfg) {
		if !found || s.start() < block.Start || s.start() >= block.End {
			sections = append(sections, s)
		}
	}
	return sections, nil
}

// describe quotes a line of the user's file for a message.
func describe(l line) string {
	const limit = 80
	text := strings.Join(l.words, " ")
	if len(text) > limit {
		text = text[:limit] + "…"
	}
	return fmt.Sprintf("%q", text)
}
