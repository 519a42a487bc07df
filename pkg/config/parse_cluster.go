package config

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const defaultClusterName = "k0s-cluster" // k0sctl's

// cluster reads a document of kind Cluster and the documents of kind ClusterConfig that k0sctl adds to its spec.k0s.
func (p *parser) cluster(doc value, k0sConfigs []value) {
	f := doc.fields("apiVersion", "kind", "metadata", "spec")
	c := &Cluster{APIVersion: f.at("apiVersion").str(), Line: doc.line}
	p.file.Cluster = c

	metadata := f.at("metadata").fields("name", "user")
	p.notUsed(metadata, "user")
	c.Name = p.clusterName(metadata.at("name"))

	spec := f.at("spec")
	if !spec.present() {
		spec.fail("missing: list the hosts below spec.hosts")
	}
	s := spec.fields("hosts", "k0s", "options")
	p.notUsed(s, "options")
	p.hosts(s.at("hosts"), c)
	p.k0s(s.at("k0s"), k0sConfigs, c)
	if spec.present() {
		p.checkHosts(s.at("hosts"), c)
	}
}

// notUsed warns of fields that other tools read.
func (p *parser) notUsed(f fields, names ...string) {
	for _, name := range names {
		if v := f.at(name); v.present() {
			v.warn("not used here: it only has a meaning to cfctl and k0sctl")
		}
	}
}

func (p *parser) clusterName(v value) string {
	name := v.str()
	switch {
	case name == "":
		return defaultClusterName
	case len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool { return r <= 0x20 || r == 0x7f || r == '/' }):
		v.fail("%q is no name: use up to 253 letters, digits, dots and dashes", name)
	}
	return name
}

// k0s reads spec.k0s.
func (p *parser) k0s(v value, documents []value, c *Cluster) {
	f := v.fields("version", "versionChannel", "dynamicConfig", "config")
	c.K0s.Version = p.version(f.at("version"))
	c.K0s.VersionChannel = oneOf(f.at("versionChannel"), "stable", "stable", "latest")
	if f.at("dynamicConfig").boolean() {
		c.K0s.DynamicConfig = true // a host's installFlags may have set it already
	}
	config := f.at("config")
	for _, document := range documents {
		config = p.merged(config, document)
	}
	p.k0sConfig(config, c)
}

// version reads a k0s release as "v1.36.3+k0s.2".
func (p *parser) version(v value) string {
	s := v.str()
	if s == "" {
		return ""
	}
	m := regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?)(\+k0s\.[0-9A-Za-z.-]+)?$`).FindStringSubmatch(s)
	switch {
	case m == nil:
		v.fail("%q is no k0s release: write one such as v1.36.3+k0s.2", s)
		return ""
	case m[2] == "":
		v.fail("%q names no build of k0s: write the whole release, such as v%s+k0s.0", s, m[1])
		return ""
	}
	return "v" + m[1] + m[2]
}

// oneOf reads one of two or more words; absent is missing.
func oneOf(v value, missing string, words ...string) string {
	v.ask(form{kind: formWord, words: words})
	s := v.str()
	if s == "" {
		return missing
	}
	for _, word := range words {
		if s == word {
			return word
		}
	}
	last := len(words) - 1
	v.fail("%q is not known: write %s or %s", s, strings.Join(words[:last], ", "), words[last])
	return missing
}

// merged returns a with what b has in addition. Where both say something different, that is a problem.
func (p *parser) merged(a, b value) value {
	switch {
	case !b.present():
		return a
	case !a.present():
		b.path = a.path
		return b
	case a.node.Kind == yaml.MappingNode && b.node.Kind == yaml.MappingNode:
		node := &yaml.Node{Kind: yaml.MappingNode, Line: a.node.Line}
		add := func(name string, v value) {
			child := v.node
			if child == nil {
				child = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: v.line}
			}
			node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: v.line}, child)
		}
		theirs := map[string]value{}
		entries := b.entries()
		for _, e := range entries {
			e.path = a.child(e.name)
			theirs[e.name] = e.value
		}
		for _, e := range a.entries() {
			if other, ok := theirs[e.name]; ok {
				e.value = p.merged(e.value, other)
				delete(theirs, e.name)
			}
			add(e.name, e.value)
		}
		for _, e := range entries {
			if v, ok := theirs[e.name]; ok {
				add(e.name, v)
			}
		}
		a.node = node
		return a
	}
	if !equal(a.plain(), b.plain()) {
		b.path = a.path
		b.fail("contradicts line %d: say it once", a.line)
	}
	return a
}
