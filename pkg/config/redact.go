package config

import (
	"bytes"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// hidden stands where something that may be secret was.
const hidden = "***"

const secretWords = `(?:passw|secret|token|credential|data-?source|api-?key|access-?key|private-?key)`

var (
	// secretNames are the names of fields that hold what nobody else may see: of k0s's helm repositories and kine, of
	// flags below extraArgs, and of whatever a chart or a profile calls so.
	secretNames = regexp.MustCompile(`(?i)` + secretWords)
	secretFlags = regexp.MustCompile(`(?i)(--?[a-z0-9-]*` + secretWords + `[a-z0-9-]*[= ])[^\s"',\]}]+`)
	separator   = regexp.MustCompile(`, *$`)
	userInfo    = regexp.MustCompile(`://[^/@\s]+@`)
)

// Redact hides what may be secret in a cluster file or a k0s.yaml, for its text to be shown: all that stands below a name
// such as "password", below "environment", a file's data and a chart's values, passwords in URLs and in flags.
func Redact(data []byte) ([]byte, error) {
	docs, problems := documents("", data)
	if problems != nil {
		return nil, problems
	}
	r := redactor{secret: map[*yaml.Node]bool{}}
	for _, doc := range docs {
		r.find(doc, false)
	}
	for _, doc := range docs {
		r.place(data, doc)
	}
	var b bytes.Buffer
	for i, s := range r.starts {
		end := len(data)
		if i+1 < len(r.starts) {
			end = r.starts[i+1].offset
		}
		if i == 0 {
			b.Write(data[:s.offset])
		}
		if text := data[s.offset:end]; s.secret {
			b.WriteString(hide(string(text)))
		} else {
			b.Write(text)
		}
	}
	if len(r.starts) == 0 {
		b.Write(data)
	}
	return []byte(withoutSecretWords(b.String())), nil
}

// redactor finds what may be secret, and where in the text it begins and something else does.
type redactor struct {
	secret map[*yaml.Node]bool
	starts []start
}

type start struct {
	offset int
	secret bool
}

// find notes what may be secret, also where it is written in another place and named here.
func (r *redactor) find(n *yaml.Node, secret bool) {
	if n.Kind == yaml.AliasNode {
		if secret && !r.secret[n.Alias] {
			r.find(n.Alias, true)
		}
		return
	}
	if secret {
		r.secret[n] = true
	}
	for i, child := range n.Content {
		below := secret
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			name := n.Content[i-1].Value
			inText := (name == "values" || name == "data") && child.Kind == yaml.ScalarNode
			below = below || name == "environment" || inText || secretNames.MatchString(name)
		}
		r.find(child, below)
	}
}

// place notes where nodes begin: what is secret lasts until the next one that is not.
func (r *redactor) place(data []byte, n *yaml.Node) {
	secret := r.secret[n]
	if len(r.starts) == 0 || r.starts[len(r.starts)-1].secret != secret {
		r.starts = append(r.starts, start{offsetOf(data, n.Line, n.Column), secret})
	}
	for _, child := range n.Content {
		r.place(data, child)
	}
}

// hide keeps of a text what is none of a secret: where what comes next is on a line of its own, how far that is indented,
// and the comma before what is on the same line.
func hide(text string) string {
	lines := strings.Split(text, "\n")
	if len(lines) == 1 {
		return hidden + separator.FindString(text)
	}
	kept := []string{hidden}
	for _, l := range lines[1 : len(lines)-1] {
		if strings.HasPrefix(l, "---") {
			kept = append(kept, l)
		}
	}
	last := lines[len(lines)-1]
	if trimmed := strings.TrimLeft(last, " -"); trimmed == "" {
		kept = append(kept, last)
	} else {
		kept = append(kept, "")
	}
	return strings.Join(kept, "\n")
}

// withoutSecretWords hides what no field tells: passwords in URLs and flags, and comments that speak of any.
func withoutSecretWords(text string) string {
	text = userInfo.ReplaceAllString(text, "://"+hidden+"@")
	text = secretFlags.ReplaceAllString(text, "${1}"+hidden)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if before, comment, found := strings.Cut(l, "#"); found && secretNames.MatchString(comment) {
			lines[i] = before + "# " + hidden
		}
	}
	return strings.Join(lines, "\n")
}
