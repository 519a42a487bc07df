package docs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// TestDocumentedYAML reads every example of YAML as those do who are to read it: cluster files and parts of them as the
// commands, kustomizations as kustomize. Of other objects, it wants to know what they are.
func TestDocumentedYAML(t *testing.T) {
	all := pages(t)
	guide := filepath.Join(root, "docs/getting-started.md")
	var whole string
	for _, b := range yamlBlocks(all[guide]) {
		whole = b.text
	}
	found := 0
	for path, text := range all {
		for _, b := range yamlBlocks(text) {
			found++
			if err := readExample(b.text, whole); err != nil {
				t.Errorf("%s:%d: %v", path, b.line, err)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d examples of YAML were found: the test does not see them any more", found)
	}
}

// TestWrongYAMLIsSeen gives the test above what it is there for.
func TestWrongYAMLIsSeen(t *testing.T) {
	const whole = `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts: [{role: controller, ssh: {address: 10.0.0.1}}]
---
apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
spec:
  address: 10.0.0.9
  hosts: [{ssh: {address: 10.0.0.9}}]
`
	for wrong, want := range map[string]string{
		strings.Replace(whole, "role", "roll", 1):                                "unknown field",
		"spec:\n  hosts: [{role: controller, ssh: {address: 10.0.0.1}}":          "not YAML",
		"spec: {syncer: {enabled: perhaps}}":                                     "spec.syncer.enabled",
		"files: [{src: a, dst: /b, perm: rwx}]":                                  "spec.hosts[0].files[0].perm",
		"hosts: [{role: worker, ssh: {address: 10.0.0.1}}]":                      "no controller",
		"apiVersion: kubectl-ha.io/v1alpha1\nkind: LoadBalancer\nspec: {hots: }": "unknown field",
		"resources: [a]\ncomponent: [b]":                                         "component",
		"metadata: {name: a}\nkind: Pod":                                         "apiVersion",
	} {
		if err := readExample(wrong, whole); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q of\n%s", err, want, wrong)
		}
	}
}

// block is an example of a page.
type block struct {
	line int
	text string
}

// yamlBlocks are the examples that are set in and begin as YAML does, and those that say that they are YAML.
func yamlBlocks(page string) []block {
	var blocks []block
	for _, at := range regexp.MustCompile("(?m)(?:^\n)(?:^(?:    .*|)\n)+|^```ya?ml\n(?:.*\n)*?```$").FindAllStringIndex(page, -1) {
		text := strings.TrimSuffix(page[at[0]:at[1]], "```")
		line := strings.Count(page[:at[0]], "\n") + 2
		first, rest, _ := strings.Cut(text, "\n")
		fenced := strings.HasPrefix(first, "```")
		if !fenced {
			rest = strings.TrimLeft(text, "\n")
		}
		text = setOut(rest)
		if fenced || regexp.MustCompile(`^(---|[A-Za-z]+:)( .*)?\n`).MatchString(text) {
			blocks = append(blocks, block{line, text})
		}
	}
	return blocks
}

// setOut takes off what every line is set in by as the first one is.
func setOut(text string) string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	return strings.ReplaceAll(strings.TrimPrefix(text, indent), "\n"+indent, "\n")
}

// readExample says what is wrong with an example. A part of a cluster file is read in the place that it has in the whole one.
func readExample(text, whole string) error {
	documents, err := decoded(text)
	if err != nil {
		return err
	}
	switch first := documents[0]; {
	case first["kind"] == config.KindCluster:
		return readClusterFile(text)
	case isPart(first):
		file, err := completed(whole, documents)
		if err != nil {
			return err
		}
		return readClusterFile(file)
	case first["resources"] != nil, first["patches"] != nil, first["kind"] == types.KustomizationKind:
		return new(types.Kustomization).Unmarshal([]byte(text))
	case first["apiVersion"] == nil || first["kind"] == nil:
		return errors.New("it says no apiVersion or no kind")
	}
	return nil
}

// isPart tells what belongs into a cluster file that says more.
func isPart(document map[string]any) bool {
	return document["kind"] == config.KindLoadBalancer || document["kind"] == nil &&
		(document["spec"] != nil || document["hosts"] != nil || document["files"] != nil || document["syncer"] != nil)
}

// readClusterFile reads a whole file as the commands do, wherever it lies. They have nothing to warn of, either.
func readClusterFile(text string) error {
	source := config.Source{Name: "cluster.yaml", Dir: "/home/anna/prod", Home: "/home/anna"}
	file, err := source.Parse([]byte(text))
	if err != nil {
		return err
	}
	if err := file.Complete(); err != nil {
		return err
	}
	if len(file.Warnings) > 0 {
		return errors.New(strings.Join(file.Warnings, "\n"))
	}
	return nil
}

// completed is the whole file with parts of one in place of its own.
func completed(whole string, parts []map[string]any) (string, error) {
	documents, err := decoded(whole)
	if err != nil {
		return "", err
	}
	for _, part := range parts {
		if part["kind"] == config.KindLoadBalancer {
			documents[1] = part
			continue
		}
		merge(placeOf(part, documents[0], documents[1]), part)
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	for _, document := range documents {
		if err := encoder.Encode(document); err != nil {
			return "", err
		}
	}
	return text.String(), nil
}

// placeOf is what of a cluster file a part belongs into.
func placeOf(part, cluster, balancer map[string]any) map[string]any {
	spec := cluster["spec"].(map[string]any)
	below, _ := part["spec"].(map[string]any)
	switch {
	case part["files"] != nil:
		return spec["hosts"].([]any)[0].(map[string]any)
	case part["hosts"] != nil:
		return spec
	case part["syncer"] != nil:
		return balancer["spec"].(map[string]any)
	case below["syncer"] != nil:
		return balancer
	}
	return cluster
}

// merge puts what a part says into what is there.
func merge(into, part map[string]any) {
	for name, value := range part {
		mine, both := into[name].(map[string]any)
		theirs, deeper := value.(map[string]any)
		if both && deeper {
			merge(mine, theirs)
		} else {
			into[name] = value
		}
	}
}

// decoded are the documents of a text, of which there is one at least.
func decoded(text string) ([]map[string]any, error) {
	var documents []map[string]any
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		switch {
		case errors.Is(err, io.EOF) && len(documents) > 0:
			return documents, nil
		case err != nil:
			return nil, fmt.Errorf("not YAML: %w", err)
		case len(document) > 0:
			documents = append(documents, document)
		}
	}
}
