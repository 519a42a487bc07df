package config

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The ports that k0s listens on when its configuration names none.
const (
	DefaultAPIPort          = 6443
	DefaultK0sAPIPort       = 9443
	DefaultKonnectivityPort = 8132
)

// Object is a k0s configuration (k0s.yaml) as the mapping it is: map[string]any, []any and single values. Fields
// that this project knows nothing of are kept.
type Object map[string]any

// ParseObject reads a k0s.yaml. An empty one gives an empty Object. The error is of type Problems.
func ParseObject(data []byte) (Object, error) {
	const name = "k0s.yaml"
	docs, problems := documents(name, data)
	if problems != nil {
		return nil, problems
	}
	r := &reader{name: name}
	object := Object{}
	for i, doc := range docs {
		v := r.value("", doc.Line, doc)
		if i > 0 {
			v.fail("a second document: k0s reads one, remove the others")
			break
		}
		object = v.object()
	}
	if err := r.problems.orNil(); err != nil {
		return nil, err
	}
	return object, nil
}

// object returns a mapping's content; never nil.
func (v value) object() Object {
	if v.present() && v.node.Kind != yaml.MappingNode {
		v.fail("must have fields below it, but is %s: write name: value lines", v.kind())
		return Object{}
	}
	if m, ok := v.plain().(map[string]any); ok {
		return m
	}
	return Object{}
}

// YAML writes the object with sorted keys: equal objects give equal bytes.
func (o Object) YAML() ([]byte, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(map[string]any(o)); err != nil {
		return nil, fmt.Errorf("writing k0s configuration as YAML: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("writing k0s configuration as YAML: %w", err)
	}
	return b.Bytes(), nil
}

// Clone returns a deep copy.
func (o Object) Clone() Object {
	if o == nil {
		return nil
	}
	return Object(clone(map[string]any(o)).(map[string]any))
}

func clone(v any) any {
	switch v := v.(type) {
	case Object:
		return clone(map[string]any(v))
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			m[key] = clone(item)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = clone(item)
		}
		return list
	case []string:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = item
		}
		return list
	}
	return v
}

// get follows names through the object; nil when one is missing.
func (o Object) get(names ...string) any {
	var v any = map[string]any(o)
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (o Object) text(names ...string) string {
	s, _ := o.get(names...).(string)
	return s
}

func (o Object) isTrue(names ...string) bool {
	b, _ := o.get(names...).(bool)
	return b
}

// number returns a positive integer, whichever Go type YAML or JSON gave it; else missing.
func (o Object) number(missing int, names ...string) int {
	n := 0
	switch v := o.get(names...).(type) {
	case int:
		n = v
	case int64:
		n = int(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<31 {
			n = int(v)
		}
	}
	if n <= 0 {
		return missing
	}
	return n
}

// ExternalAddress returns spec.api.externalAddress without the brackets of an IPv6 address, or "".
func (o Object) ExternalAddress() string {
	return withoutBrackets(o.text("spec", "api", "externalAddress"))
}

// SANs returns spec.api.sans.
func (o Object) SANs() []string {
	var sans []string
	switch list := o.get("spec", "api", "sans").(type) {
	case []any:
		for _, item := range list {
			if san, ok := item.(string); ok {
				sans = append(sans, san)
			}
		}
	case []string:
		sans = slices.Clone(list)
	}
	return sans
}

// APIAddress returns spec.api.address, or "".
func (o Object) APIAddress() string { return o.text("spec", "api", "address") }

// PeerAddress returns spec.storage.etcd.peerAddress, or "".
func (o Object) PeerAddress() string { return o.text("spec", "storage", "etcd", "peerAddress") }

// StorageType returns spec.storage.type; k0s's default is "etcd".
func (o Object) StorageType() string {
	if t := o.text("spec", "storage", "type"); t != "" {
		return t
	}
	return "etcd"
}

// NodeLocalLB reports whether node-local load balancing is on.
func (o Object) NodeLocalLB() bool {
	return o.isTrue("spec", "network", "nodeLocalLoadBalancing", "enabled")
}

// CPLB reports whether k0s's own control plane load balancing (keepalived on the controllers) is on.
func (o Object) CPLB() bool {
	return o.isTrue("spec", "network", "controlPlaneLoadBalancing", "enabled")
}

// APIPort returns spec.api.port; k0s's default is 6443.
func (o Object) APIPort() int { return o.number(DefaultAPIPort, "spec", "api", "port") }

// K0sAPIPort returns spec.api.k0sApiPort; k0s's default is 9443.
func (o Object) K0sAPIPort() int { return o.number(DefaultK0sAPIPort, "spec", "api", "k0sApiPort") }

// KonnectivityPort returns spec.konnectivity.agentPort; k0s's default is 8132.
func (o Object) KonnectivityPort() int {
	return o.number(DefaultKonnectivityPort, "spec", "konnectivity", "agentPort")
}

// ForController returns the configuration of one controller: o with the controller's own address for the API and for
// etcd peers, the load balancer's address as externalAddress and among the SANs of the API server's certificate, and
// the extra SANs. Everything else stays, and so do the SANs that are there. The changes are said in words; there are
// none when o is such a configuration already. An empty address leaves the field as it is.
func (o Object) ForController(address, externalAddress string, extraSANs []string) (Object, []string) {
	c := o.Clone()
	if c == nil {
		c = Object{}
	}
	var changes []string
	set := func(value string, names ...string) {
		old := c.text(names...)
		if value == "" || old == value {
			return
		}
		field := strings.Join(names, ".")
		if old == "" {
			changes = append(changes, fmt.Sprintf("%s set to %s", field, value))
		} else {
			changes = append(changes, fmt.Sprintf("%s changed from %s to %s", field, old, value))
		}
		c.parent(names...)[names[len(names)-1]] = value
	}
	if c.text("apiVersion") == "" {
		c["apiVersion"] = "k0s.k0sproject.io/v1beta1"
	}
	if c.text("kind") == "" {
		c["kind"] = "ClusterConfig"
	}
	set(address, "spec", "api", "address")
	set(externalAddress, "spec", "api", "externalAddress")
	sans := c.SANs()
	for _, san := range append([]string{externalAddress}, extraSANs...) {
		if san != "" && !slices.ContainsFunc(sans, func(s string) bool { return sameAddress(s, san) }) {
			sans = append(sans, san)
			changes = append(changes, "spec.api.sans: added "+san)
		}
	}
	if len(sans) > len(c.SANs()) {
		c.parent("spec", "api", "sans")["sans"] = clone(sans)
	}
	if c.StorageType() == "etcd" {
		set(address, "spec", "storage", "etcd", "peerAddress")
	}
	return c, changes
}

// parent returns the mapping that holds the last of the names, made where there is none.
func (o Object) parent(names ...string) map[string]any {
	m := map[string]any(o)
	for _, name := range names[:len(names)-1] {
		next, ok := m[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[name] = next
		}
		m = next
	}
	return m
}

// Differences returns the dotted paths, sorted, at which o says something that running does not. What only running
// has is no difference (k0s fills defaults in), nor are fields that every controller has for itself (its addresses),
// SANs that running has in addition, and the object's own metadata.
func (o Object) Differences(running Object) []string {
	var paths []string
	addDifferences(&paths, "", map[string]any(o), map[string]any(running))
	slices.Sort(paths)
	return paths
}

func addDifferences(paths *[]string, path string, desired, running any) {
	switch path {
	case "apiVersion", "kind", "metadata", "status", "spec.api.address", "spec.storage.etcd.peerAddress":
		return
	case "spec.api.sans":
		have := Object{"spec": map[string]any{"api": map[string]any{"sans": running}}}.SANs()
		for _, san := range (Object{"spec": map[string]any{"api": map[string]any{"sans": desired}}}).SANs() {
			if !slices.ContainsFunc(have, func(s string) bool { return sameAddress(s, san) }) {
				*paths = append(*paths, path)
				return
			}
		}
		return
	case "spec.api.port":
		running = orDefault(running, DefaultAPIPort)
	case "spec.api.k0sApiPort":
		running = orDefault(running, DefaultK0sAPIPort)
	case "spec.konnectivity.agentPort":
		running = orDefault(running, DefaultKonnectivityPort)
	case "spec.storage.type":
		running = orDefault(running, "etcd")
	}
	if m, ok := desired.(map[string]any); ok && (len(m) > 0 || path == "") {
		other, _ := running.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			child := key
			if path != "" {
				child = path + "." + key
			}
			addDifferences(paths, child, m[key], other[key])
		}
		return
	}
	if !equal(desired, running) {
		*paths = append(*paths, path)
	}
}

func orDefault(v, missing any) any {
	if v == nil {
		return missing
	}
	return v
}

// equal compares values as k0s reads them: numbers by value, and what is empty like what is missing.
func equal(a, b any) bool {
	if isEmpty(a) || isEmpty(b) {
		return isEmpty(a) && isEmpty(b)
	}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return false
		}
		for key := range a {
			if !equal(a[key], b[key]) {
				return false
			}
		}
		for key := range b {
			if !equal(a[key], b[key]) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	}
	x, xIsNumber := asFloat(a)
	y, yIsNumber := asFloat(b)
	if xIsNumber && yIsNumber {
		return x == y || math.IsNaN(x) && math.IsNaN(y)
	}
	return a == b
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
