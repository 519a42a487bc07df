package docs

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper"
)

// TestPolicy holds docs/reference/ha-syncer.md to every field of the helper's policy and its default, and no others.
func TestPolicy(t *testing.T) {
	described := map[string]string{}
	table := section(t, text(t, "docs/reference/ha-syncer.md"), "lb-helper.json")
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| (?:`([^`]*)`)?").FindAllStringSubmatch(table, -1) {
		described[row[1]] = row[2]
	}
	p, err := lbhelper.ParsePolicy([]byte(`{"name": "a", "networks": ["10.0.0.0/8"]}`))
	if err != nil {
		t.Fatal(err)
	}
	p.Name, p.Networks = "", nil // they are needed and have no defaults
	s := haproxy.Spec{}.WithDefaults()
	p.Bind, p.Ports, p.Balance, p.Check, p.StatsListen, p.Spares = s.Bind, lbhelper.Ports(s.Ports), s.Balance, s.Check, s.StatsListen, s.Spares
	p.ConfigPath, p.SocketPath, p.CAFile, p.ClientFile = s.ConfigPath, s.SocketPath, s.CAFile, s.ClientFile
	there := map[string]string{}
	addFields(there, "", reflect.ValueOf(*p))
	if !maps.Equal(described, there) {
		t.Errorf("the page describes the fields and defaults\n%v, there are\n%v", described, there)
	}
}

// addFields adds the JSON names of a struct's fields, with their values; empty for what says nothing.
func addFields(to map[string]string, prefix string, of reflect.Value) {
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Type().Field(i).Tag.Get("json"), ",")
		name = prefix + name
		switch value := of.Field(i).Interface().(type) {
		case lbhelper.Ports:
			addFields(to, name+".", of.Field(i))
		case []netip.Prefix, netip.Addr:
			if to[name] = ""; !of.Field(i).IsZero() {
				to[name] = fmt.Sprint(value)
			}
		default:
			to[name] = fmt.Sprint(value)
		}
	}
}

// TestHelpersFlags holds docs/reference/ha-syncer.md to name the flags of ha-lb-helper, and no others, and where its policy is.
func TestHelpersFlags(t *testing.T) {
	table := section(t, text(t, "docs/reference/ha-syncer.md"), "Flags of ha-lb-helper")
	if row := "\n| `-policy` | `" + lbhelper.DefaultPolicyPath + "` |"; !strings.Contains(table, row) {
		t.Errorf("the page has no row %s", row)
	}
	described := named(t, table, "(?m)^\\| `-([a-z]+)` \\|")
	there := named(t, text(t, "cmd/ha-lb-helper/main.go"), `flag\.[A-Z][a-zA-Z0-9]*\("([a-z-]+)"`)
	if !slices.Equal(described, there) {
		t.Errorf("the page describes the flags\n%q, ha-lb-helper has\n%q", described, there)
	}
}

// TestAlerts holds docs/operations.md to say what to do about every alert of the syncer, and no others.
func TestAlerts(t *testing.T) {
	described := named(t, section(t, text(t, "docs/operations.md"), "Metrics and alerts"), "(?m)^\\| `([A-Z][A-Za-z]+)`")
	there := named(t, text(t, "manifests/components/prometheusrule/prometheusrule.yaml"), `- alert: (\w+)`)
	if !slices.Equal(described, there) {
		t.Errorf("the page describes the alerts\n%q, there are\n%q", described, there)
	}
}

// text is what a file of the repository says.
func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// named are the names that a pattern finds, sorted. There have to be some.
func named(t *testing.T, text, pattern string) []string {
	t.Helper()
	var names []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	if len(names) == 0 {
		t.Fatalf("nothing is like %s: the test does not see the names any more", pattern)
	}
	slices.Sort(names)
	return names
}
