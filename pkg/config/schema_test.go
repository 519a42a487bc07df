package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// everything has each field once, so that the parser asks for each: the schema is what it asks for.
const (
	everyClusterField = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: a, user: b}
spec:
  options: {}
  hosts:
    - role: controller
      ssh: {address: 10.0.0.1, options: {}, bastion: {address: 10.0.0.2}}
      environment: {A: b}
      installFlags: [--debug]
      files: [{name: a, data: b, dst: /c}]
      hooks:
        apply: {before: [a], after: [b]}
        connect: {after: [a]}
        upgrade: {before: [a], after: [b]}
        install: {before: [a], after: [b]}
        backup: {before: [a], after: [b]}
        reset: {before: [a], after: [b]}
    - role: controller
      openSSH: {address: a, options: {A: b}}
    - role: worker
      localhost: {enabled: true}
    - role: worker
      localhost: true
  k0s:
    config: {spec: {api: {sans: [a]}}}
`
	everyLoadBalancerField = `apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
spec:
  hosts:
    - ssh: {address: 10.0.0.1, bastion: {address: 10.0.0.2}}
    - openSSH: {address: a, options: {A: b}}
    - localhost: {enabled: true}
    - localhost: true
  syncer: {networks: [10.0.0.0/8]}
`
)

// unread are fields that the parser knows and takes nothing from.
var unread = map[string]string{
	"winRM": "refused", "winrm": "refused",
	"os": "not used", "k0sInstallPath": "not used", "user": "not used", "options": "not used",
}

// TestSchema holds docs/reference/cluster.schema.json to be what the parser asks for.
func TestSchema(t *testing.T) {
	data, err := json.MarshalIndent(schema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "../../docs/reference/cluster.schema.json", string(data)+"\n")
}

// TestSchemaTakesWhatTheParserTakes judges the parser's good files by the schema, and some of what it refuses.
func TestSchemaTakesWhatTheParserTakes(t *testing.T) {
	s := schema(t)
	good, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(good) == 0 {
		t.Fatal(err, "no good files")
	}
	for _, file := range good {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range judge(t, s, data) {
			t.Errorf("%s: %s", file, problem)
		}
	}
	for _, right := range []string{
		"kind: lOADbALANCER\napiVersion: kubectl-ha.io/v1alpha1",
		"kind: Cluster\napiVersion: $VERSION",
		"kind: $KIND\napiVersion: k0sctl.k0sproject.io/v1beta1",
		"kind: Namespace\napiVersion: v1\nmetadata: {name: a}",
	} {
		for _, problem := range judge(t, s, []byte(right)) {
			t.Errorf("the schema says %q of\n%s", problem, right)
		}
	}
	for wrong, want := range map[string]string{
		"kind: Cluster\napiVersion: k0sctl.k0sproject.io/v1beta1\nspec: {hosts: [{role: controller, shh: {}}]}":     "/spec/hosts/0: unknown shh",
		"kind: Cluster\napiVersion: k0sctl.k0sproject.io/v1beta1\nspec: {hosts: [{ssh: {address: a}}]}":             "/spec/hosts/0: role is missing",
		"kind: Cluster\napiVersion: k0sctl.k0sproject.io/v1beta1\nspec: {hosts: [{role: boss, ssh: {address: a}}]}": "/spec/hosts/0/role: none of the alternatives takes boss",
		"kind: Cluster\napiVersion: v1\nspec: {}":                                                                   "/apiVersion: none of the alternatives takes v1",
		"kind: CLUSTER\napiVersion: k0sctl.k0sproject.io/v1beta1\nspec: {hots: []}":                                 "/spec: unknown hots",
		"spec: {hosts: []}":                             "apiVersion is missing",
		"apiVersion: kubectl-ha.io/v1alpha1\nspec: {}":  "kind is missing",
		"apiVersion: kubectl-ha.io/v1alpha1\nkind: Pod": "/kind: none of the alternatives takes Pod",
		"apiVersion: v1\nkind: ClusterConfig":           "/apiVersion: none of the alternatives takes v1",
		"kind: LoadBalancer\napiVersion: kubectl-ha.io/v1alpha1\nspec: {ports: {kubeAPI: 70000}}": "/spec/ports/kubeAPI: none of the alternatives",
		"kind: LoadBalancer\napiVersion: kubectl-ha.io/v1alpha1\nspec: {hosts: {}}":               "/spec/hosts: not a array",
	} {
		if got := strings.Join(judge(t, s, []byte(wrong)), "\n"); !strings.Contains(got, want) {
			t.Errorf("the schema says %q of\n%s\nwant %q", got, wrong, want)
		}
	}
}

// schema is a JSON Schema (2020-12) of the documents of a cluster file.
func schema(t *testing.T) map[string]any {
	t.Helper()
	page := readDescriptions(t)
	document := func(kind string, data string, versions ...string) map[string]any {
		s := recorded(t, data).schema(t, "")
		properties := s["properties"].(map[string]any)
		properties["apiVersion"] = oneOfWords(versions...)
		properties["kind"] = anyCase(kind)
		s["required"] = []string{"apiVersion", "kind"}
		page.describe(t, kind, "", s)
		return s
	}
	defs := map[string]any{
		KindCluster:      document(KindCluster, everyClusterField, APIVersionCfctl, APIVersionK0sctl),
		KindLoadBalancer: document(KindLoadBalancer, everyLoadBalancerField, APIVersionLoadBalancer),
	}
	k0sConfig := map[string]any{"properties": map[string]any{"apiVersion": oneOfWords(apiVersionClusterConfig)}}
	for row := range page.text {
		if !page.used[row] {
			t.Errorf("%s describes %s, which the parser does not ask for: remove its row", descriptionsFile, row)
		}
	}
	return map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"$id":         "https://github.com/kubectl-ha/kubectl-ha/raw/main/docs/reference/cluster.schema.json",
		"title":       "Cluster file of kubectl-ha",
		"description": "A document of kind Cluster, as cfctl and k0sctl read it, and one of kind LoadBalancer.",
		"type":        "object",
		// Documents of other kinds are passed over, and have to say as well what they are.
		"required": []string{"apiVersion", "kind"},
		"allOf": []any{
			when("kind", pattern(KindCluster), map[string]any{"$ref": "#/$defs/" + KindCluster}),
			when("kind", pattern(KindLoadBalancer), map[string]any{"$ref": "#/$defs/" + KindLoadBalancer}),
			when("kind", pattern(kindClusterConfig), k0sConfig),
			whenVersion(KindCluster, APIVersionCfctl, APIVersionK0sctl),
			whenVersion(KindLoadBalancer, APIVersionLoadBalancer),
			whenVersion(kindClusterConfig, apiVersionClusterConfig),
		},
		"$defs": defs,
	}
}

// when holds a document to a schema if a field of it is like another.
func when(field string, like, then map[string]any) map[string]any {
	return map[string]any{
		"if":   map[string]any{"properties": map[string]any{field: like}, "required": []string{field}},
		"then": then,
	}
}

// whenVersion holds a document of one of the versions to a kind.
func whenVersion(kind string, versions ...string) map[string]any {
	return when("apiVersion", map[string]any{"enum": versions}, map[string]any{
		"properties": map[string]any{"kind": anyCase(kind)},
	})
}

// oneOfWords is one of some words, for an editor to offer.
func oneOfWords(words ...string) map[string]any {
	return map[string]any{"anyOf": []any{map[string]any{"enum": words}, variable()}}
}

// anyCase is a kind, which the parser takes in capitals and small letters.
func anyCase(kind string) map[string]any {
	return map[string]any{"anyOf": []any{map[string]any{"enum": []string{kind}}, pattern(kind), variable()}}
}

// pattern is that of a word in capitals and small letters, for which the patterns of JSON Schema have no sign.
func pattern(word string) map[string]any {
	var b strings.Builder
	for _, letter := range word {
		b.WriteString("[" + strings.ToUpper(string(letter)) + strings.ToLower(string(letter)) + "]")
	}
	return map[string]any{"type": "string", "pattern": "^" + b.String() + "$"}
}

const descriptionsFile = "../../docs/reference/cluster-file.md"

// descriptions are the rows of the page for people, by heading and field.
type descriptions struct {
	text map[string]string
	used map[string]bool
}

func readDescriptions(t *testing.T) descriptions {
	t.Helper()
	data, err := os.ReadFile(descriptionsFile)
	if err != nil {
		t.Fatal(err)
	}
	d := descriptions{text: map[string]string{}, used: map[string]bool{}}
	row := regexp.MustCompile("^\\| `([^`]+)` \\| (.+) \\|$")
	heading := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			heading = name
		}
		if m := row.FindStringSubmatch(line); m != nil {
			d.text[heading+" "+m[1]] = m[2]
		}
	}
	return d
}

// describe puts the descriptions into a schema, and wants one for each field that has none below it, or of what it is
// part of.
func (d descriptions) describe(t *testing.T, kind, path string, s map[string]any) {
	t.Helper()
	alternatives := []any{s}
	if list, ok := s["anyOf"].([]any); ok {
		alternatives = append(alternatives, list...)
	}
	for _, alternative := range alternatives {
		alternative := alternative.(map[string]any)
		if items, ok := alternative["items"].(map[string]any); ok {
			d.describe(t, kind, path+"[]", items)
		}
		properties, _ := alternative["properties"].(map[string]any)
		for name, child := range properties {
			child, field := child.(map[string]any), strings.TrimPrefix(path+"."+name, ".")
			row, exact := d.find(kind, field)
			switch {
			case row == "" && child["properties"] == nil && child["anyOf"] == nil && child["items"] == nil:
				t.Errorf("%s does not describe %s of %s: add a row", descriptionsFile, field, kind)
			case exact:
				child["description"] = strings.ReplaceAll(d.text[row], "`", "")
			}
			d.used[row] = true
			d.describe(t, kind, field, child)
		}
	}
}

// find is the row of a field, or of what it is part of. A connection's fields are described once.
func (d descriptions) find(kind, field string) (row string, exact bool) {
	connection := strings.TrimPrefix(strings.ReplaceAll(field, "ssh.bastion.", "ssh."), "spec.hosts[].")
	for _, name := range []string{kind + " " + field, "Connections " + connection} {
		if _, ok := d.text[name]; ok {
			return name, true
		}
	}
	for part := field; strings.Contains(part, "."); {
		part = part[:strings.LastIndex(part, ".")]
		if name := kind + " " + part; d.text[name] != "" && part != "spec.hosts[]" {
			return name, false
		}
		if name := "Connections " + strings.TrimPrefix(part, "spec.hosts[]."); d.text[name] != "" {
			return name, false
		}
	}
	return "", false
}

// recording is what the parser asked for, by path; items of lists have the path of the list and [].
type recording map[string][]form

func recorded(t *testing.T, data string) recording {
	t.Helper()
	docs, problems := documents("file", []byte(data))
	if problems != nil {
		t.Fatal(problems)
	}
	r := recording{}
	index := regexp.MustCompile(`\[\d+\]`)
	p := parser{
		reader: reader{
			name: "file", lookupEnv: func(string) (string, bool) { return "", false },
			asked: func(path string, f form) {
				path = index.ReplaceAllString(path, "[]")
				r[path] = append(r[path], f)
			},
		},
		paths: paths{dir: "/", home: "/"},
		file:  &File{lines: map[string]int{}},
	}
	p.documents(docs)
	return r
}

// schema is that of a place and of all that is below it.
func (r recording) schema(t *testing.T, path string) map[string]any {
	t.Helper()
	var alternatives []any
	kinds := map[formKind]form{}
	for _, f := range r[path] {
		kinds[f.kind] = f
	}
	if _, word := kinds[formWord]; word {
		delete(kinds, formText)
	}
	if _, anything := kinds[formAny]; anything {
		return r.open(t, path)
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		f := kinds[kind]
		switch kind {
		case formFields:
			alternatives = append(alternatives, r.object(t, path, f.fields))
		case formMap:
			alternatives = append(alternatives, map[string]any{"type": "object"})
		case formList:
			alternatives = append(alternatives, map[string]any{"type": "array", "items": r.schema(t, path+"[]")})
		case formText:
			// Numbers and the like are read as text where text is wanted.
			alternatives = append(alternatives, map[string]any{"type": []string{"string", "number", "boolean"}})
		case formWord:
			alternatives = append(alternatives, map[string]any{"enum": f.words}, variable())
		case formNumber:
			alternatives = append(alternatives, map[string]any{"type": "integer", "minimum": f.lowest, "maximum": f.highest}, variable())
		case formBoolean:
			alternatives = append(alternatives, map[string]any{"type": "boolean"}, variable(),
				map[string]any{"enum": []string{"yes", "no", "on", "off"}})
		case formDuration:
			alternatives = append(alternatives, map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, variable())
		}
	}
	switch len(alternatives) {
	case 0:
		t.Fatalf("the parser asked for nothing at %q: add the field to what this test parses, or to the unread ones", path)
		return nil
	case 1:
		return alternatives[0].(map[string]any)
	}
	return map[string]any{"anyOf": alternatives}
}

// variable is a value that the environment decides.
func variable() map[string]any { return map[string]any{"type": "string", "pattern": `\$`} }

// object is that of known fields, and of no others.
func (r recording) object(t *testing.T, path string, names []string) map[string]any {
	t.Helper()
	properties := map[string]any{}
	var required []string
	for _, name := range names {
		child := strings.TrimPrefix(path+"."+name, ".")
		switch {
		case len(r[child]) == 0 && unread[name] == "refused":
			continue
		case len(r[child]) == 0 && unread[name] == "not used":
			properties[name] = map[string]any{"description": "Read by cfctl and k0sctl, not used here."}
		case name == "bastion" && strings.HasSuffix(path, ".bastion"):
			properties[name] = map[string]any{"type": "object", "description": "A bastion of the bastion: the same fields."}
		default:
			properties[name] = r.schema(t, child)
		}
		if slices.ContainsFunc(r[child], func(f form) bool { return f.required }) {
			required = append(required, name)
		}
	}
	object := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		object["required"] = required
	}
	return object
}

// open is a mapping that is kept as it is, of which the parser asks for some fields: k0s's own configuration.
func (r recording) open(t *testing.T, path string) map[string]any {
	t.Helper()
	properties := map[string]any{}
	for child := range r {
		name, below := strings.CutPrefix(child, path+".")
		if !below || strings.ContainsAny(name, ".[") {
			continue
		}
		properties[name] = r.known(t, child)
	}
	for child := range r { // what only lies on the way to a field that the parser asks for
		rest, below := strings.CutPrefix(child, path+".")
		name, _, deeper := strings.Cut(rest, ".")
		if below && deeper && properties[name] == nil {
			properties[name] = r.open(t, path+"."+name)
		}
	}
	if len(properties) == 0 {
		return map[string]any{}
	}
	return map[string]any{"type": "object", "properties": properties}
}

// known is a field of such a mapping, which has been read as anything before it was asked for.
func (r recording) known(t *testing.T, path string) map[string]any {
	t.Helper()
	named := slices.DeleteFunc(slices.Clone(r[path]), func(f form) bool { return f.kind == formAny })
	if len(named) == 0 {
		return r.open(t, path)
	}
	narrowed := maps.Clone(r)
	narrowed[path], narrowed[path+"[]"] = named, []form{{kind: formText}}
	return narrowed.schema(t, path)
}

// judge says how the documents of a file break a schema, of which it knows what schema writes.
func judge(t *testing.T, s map[string]any, data []byte) []string {
	t.Helper()
	plain, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(plain, &root); err != nil {
		t.Fatal(err)
	}
	var problems []string
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document any
		if decoder.Decode(&document) != nil {
			return problems
		}
		if document == nil {
			continue
		}
		j := judgement{root: root}
		j.value("", root, document)
		problems = append(problems, j.problems...)
	}
}

type judgement struct {
	root     map[string]any
	problems []string
}

func (j *judgement) fail(path, format string, args ...any) {
	j.problems = append(j.problems, path+": "+fmt.Sprintf(format, args...))
}

// holds tells whether a value keeps to a schema.
func (j *judgement) holds(s map[string]any, v any) bool {
	other := judgement{root: j.root}
	other.value("", s, v)
	return len(other.problems) == 0
}

func (j *judgement) value(path string, s map[string]any, v any) {
	if ref, ok := s["$ref"].(string); ok {
		j.value(path, j.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), v)
		return
	}
	for _, part := range list(s["allOf"]) {
		part := part.(map[string]any)
		if condition, ok := part["if"].(map[string]any); !ok || j.holds(condition, v) {
			j.value(path, part["then"].(map[string]any), v)
		}
	}
	takes := func(alternative any) bool { return j.holds(alternative.(map[string]any), v) }
	if alternatives := list(s["anyOf"]); alternatives != nil && !slices.ContainsFunc(alternatives, takes) {
		j.fail(path, "none of the alternatives takes %v", v)
	}
	if words := list(s["enum"]); words != nil && !slices.Contains(words, v) {
		j.fail(path, "not one of %v", words)
	}
	if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(fmt.Sprint(v)) {
		j.fail(path, "%v is not like %s", v, pattern)
	}
	if n, ok := v.(int); ok && s["minimum"] != nil && (float64(n) < s["minimum"].(float64) || float64(n) > s["maximum"].(float64)) {
		j.fail(path, "%d is out of range", n)
	}
	isType := func(name any) bool { return name == typeOf(v) || name == "number" && typeOf(v) == "integer" }
	if types := list(s["type"]); types != nil && !slices.ContainsFunc(types, isType) {
		j.fail(path, "not a %v", types[0])
		return
	}
	switch v := v.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		for name, child := range v {
			if property, known := properties[name].(map[string]any); known {
				j.value(path+"/"+name, property, child)
			} else if s["additionalProperties"] == false {
				j.fail(path, "unknown %s", name)
			}
		}
		for _, name := range list(s["required"]) {
			if _, there := v[name.(string)]; !there {
				j.fail(path, "%s is missing", name)
			}
		}
	case []any:
		items, _ := s["items"].(map[string]any)
		for i, item := range v {
			j.value(fmt.Sprintf("%s/%d", path, i), items, item)
		}
	}
}

// list is a list's items, or the one value that stands for a list of it.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func typeOf(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		return "number"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	default:
		return fmt.Sprintf("%T", v)
	}
}
