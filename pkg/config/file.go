package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is a cluster file that was read.
type File struct {
	Name         string
	Cluster      *Cluster
	LoadBalancer *LoadBalancer // nil when the file has none and no flag made one
	Warnings     []string      // each with file and line

	lines map[string]int // where fields that Complete looks at are, by "Kind field"
	flags []flagHost

	strange  bool // a document was refused that may have been meant for the load balancer
	hostless bool // the load balancer's document lists no host
}

// Source says what a cluster file is called and what it may refer to outside itself.
type Source struct {
	Name      string                           // of the file, in messages
	Dir       string                           // the directory that relative paths start from
	Home      string                           // the user's home directory, for "~"; empty when there is none
	LookupEnv func(name string) (string, bool) // the value of an environment variable, and whether it is set
}

// Load reads the file at path, with the load balancer's hosts that the command line names (see SetLoadBalancer), and
// completes it. Its error holds Problems, all of them, when the file could be read and something in it is wrong.
func Load(path string, balancers ...string) (*File, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return LoadText(path, data, balancers...)
}

// LoadHosts reads the file at path for who needs its hosts alone: it need not name a load balancer, and is not completed.
func LoadHosts(path string) (*File, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name the file itself", path)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: correct its name", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading cluster file: %w", err)
	}
	return data, nil
}

// LoadText is Load for a file whose content is known, as one that has yet to be written.
func LoadText(path string, data []byte, balancers ...string) (*File, error) {
	s, err := sourceOf(path)
	if err != nil {
		return nil, err
	}
	f, problems := s.parse(data)
	if f == nil {
		return nil, problems
	}
	for _, spec := range balancers {
		if err := f.SetLoadBalancer(spec); err != nil {
			return nil, err
		}
	}
	if len(problems) == 0 {
		return f, f.Complete()
	}
	known := f.LoadBalancer == nil && !f.strange || f.LoadBalancer != nil && (len(f.LoadBalancer.Hosts) > 0 || f.hostless)
	if f.Cluster != nil && (known || len(balancers) > 0) {
		more, _ := f.complete()
		problems = append(problems, more...)
	}
	return nil, problems.sorted()
}

// Parse reads a cluster file's content. Name stands for the file in every message; relative paths in the file start
// from its directory, "~" is the user's home directory, and $NAME is replaced from the environment. The checks are
// those that the file alone permits; Complete does the others. The error is of type Problems.
func Parse(name string, data []byte) (*File, error) {
	s, err := sourceOf(name)
	if err != nil {
		return nil, err
	}
	return s.Parse(data)
}

// sourceOf is the file of that name on this machine.
func sourceOf(name string) (Source, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return Source{}, fmt.Errorf("finding the directory of %s: %w", name, err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // reported where a path begins with ~
	}
	return Source{Name: name, Dir: dir, Home: home, LookupEnv: os.LookupEnv}, nil
}

// Parse reads a cluster file's content as the function Parse does, with the outside world given.
func (s Source) Parse(data []byte) (*File, error) {
	f, problems := s.parse(data)
	if len(problems) == 0 {
		return f, nil
	}
	// Complete will not be reached: say now what it would say, as far as flags cannot change it.
	if f != nil && f.Cluster != nil && f.LoadBalancer != nil && len(f.LoadBalancer.Hosts) > 0 {
		more, _ := f.complete()
		problems = append(problems, more...)
	}
	return nil, problems.sorted()
}

// parse returns what it could make of a file beside what is wrong with it; nothing when it is no YAML.
func (s Source) parse(data []byte) (*File, Problems) {
	docs, problems := documents(s.Name, data)
	if problems != nil {
		return nil, problems
	}
	p := parser{
		reader: reader{name: s.Name, lookupEnv: s.LookupEnv},
		paths:  paths{dir: s.Dir, home: s.Home},
		file:   &File{Name: s.Name, lines: map[string]int{}},
	}
	if p.lookupEnv == nil {
		p.lookupEnv = func(string) (string, bool) { return "", false }
	}
	p.documents(docs)
	for _, w := range p.warnings.sorted() {
		p.file.Warnings = append(p.file.Warnings, w.Error())
	}
	return p.file, p.problems
}

// parser fills a File from documents.
type parser struct {
	reader
	paths paths
	file  *File
}

// documents reads the documents of all kinds that belong together.
func (p *parser) documents(docs []*yaml.Node) {
	var clusters, balancers, k0sConfigs []value
	for _, doc := range docs {
		v := p.value("", doc.Line, doc)
		if doc.Kind != yaml.MappingNode {
			v.fail("a document must have fields, but is %s: begin it with apiVersion and kind", v.kind())
			continue
		}
		switch p.kindOf(v) {
		case KindCluster:
			clusters = append(clusters, v)
		case KindLoadBalancer:
			balancers = append(balancers, v)
		case kindClusterConfig:
			k0sConfigs = append(k0sConfigs, v)
		}
	}
	p.file.strange = len(p.problems) > 0
	switch {
	case len(clusters) > 0:
		p.onlyOne(clusters, "keep each cluster in a file of its own")
		p.cluster(clusters[0], k0sConfigs)
	case len(docs) == 0:
		p.fail(1, "", "the file is empty: write a document of kind Cluster (apiVersion %s)", APIVersionK0sctl)
	case len(p.problems) == 0:
		p.fail(docs[0].Line, "", "no document of kind Cluster: add one (apiVersion %s or %s)",
			APIVersionCfctl, APIVersionK0sctl)
	}
	if len(balancers) > 0 {
		p.onlyOne(balancers, "list all HAProxy hosts in spec.hosts of one")
		p.loadBalancer(balancers[0])
	}
}

func (p *parser) onlyOne(docs []value, remedy string) {
	for _, doc := range docs[1:] {
		doc.fail("a second document of this kind, after the one in line %d: %s", docs[0].line, remedy)
	}
}

const (
	kindClusterConfig       = "ClusterConfig"
	apiVersionClusterConfig = "k0s.k0sproject.io/v1beta1"
)

// kindOf returns what a document is, and "" after it has reported or warned of one that is nothing for this project.
func (p *parser) kindOf(doc value) string {
	apiVersion, kind := doc.find("apiVersion"), doc.find("kind")
	version, ok := apiVersion.required("write apiVersion: " + APIVersionK0sctl)
	if !ok {
		return ""
	}
	name, ok := kind.required("write kind: " + KindCluster)
	if !ok {
		return ""
	}
	kinds := map[string][]string{
		KindCluster:       {APIVersionCfctl, APIVersionK0sctl},
		KindLoadBalancer:  {APIVersionLoadBalancer},
		kindClusterConfig: {apiVersionClusterConfig},
	}
	for known, versions := range kinds {
		if strings.EqualFold(name, known) { // cfctl and k0sctl take any case
			if !slices.Contains(versions, version) {
				apiVersion.fail("%q is not known for kind %s: write %s", version, known, strings.Join(versions, " or "))
				return ""
			}
			return known
		}
	}
	for known, versions := range kinds {
		if slices.Contains(versions, version) {
			kind.fail("%q is not known for apiVersion %s: write %s", name, version, known)
			return ""
		}
	}
	doc.warn("a document of kind %s (apiVersion %s) is not used here: k0sctl would put it into the cluster as a manifest",
		name, version)
	return ""
}

// SetLoadBalancer adds a load balancer host that was given on the command line as [USER@]HOST[:PORT]; an IPv6
// address with a port stands in brackets. A load balancer document of the file may say everything but the hosts then.
func (f *File) SetLoadBalancer(spec string) error {
	host, err := parseFlag(spec)
	if err != nil {
		return err
	}
	f.flags = append(f.flags, flagHost{spec, host})
	return nil
}

// CheckLoadBalancer says what is wrong with a host on the command line that SetLoadBalancer would not take.
func CheckLoadBalancer(spec string) error {
	_, err := parseFlag(spec)
	return err
}

func parseFlag(spec string) (*LBHost, error) {
	ssh, err := parseTarget(spec)
	if err != nil {
		return nil, fmt.Errorf("load balancer %q: %w", spec, err)
	}
	ssh.User, ssh.Port = cmp.Or(ssh.User, defaultUser), cmp.Or(ssh.Port, defaultSSHPort)
	return &LBHost{Conn: Connection{SSH: ssh}}, nil
}

// flagHost is a load balancer host from the command line.
type flagHost struct {
	spec string
	host *LBHost
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}
