package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

func parseObject(t *testing.T, text string) Object {
	t.Helper()
	object, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

const fullObject = `apiVersion: k0s.k0sproject.io/v1beta1
kind: ClusterConfig
metadata:
  name: k0s
spec:
  api:
    address: 10.0.0.1
    externalAddress: '[fd00::1]'
    extraArgs:
      unknown-to-us: "true"
    k0sApiPort: 9444
    port: 7443
    sans:
      - 10.0.0.1
      - api.example
  konnectivity:
    agentPort: 8200
  network:
    controlPlaneLoadBalancing:
      enabled: true
    nodeLocalLoadBalancing:
      enabled: true
  storage:
    etcd:
      peerAddress: 10.0.0.2
    type: kine
  whatever:
    - 1
    - 1.5
    - null
    - "1"
    - "yes"
    - 18446744073709551615
    - {}
    - []
`

func TestObjectIsWrittenAsItWasRead(t *testing.T) {
	text, err := parseObject(t, fullObject).YAML()
	if err != nil || string(text) != fullObject {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestObjectAnswersForWhatIsSet(t *testing.T) {
	o := parseObject(t, fullObject)
	got := []any{o.ExternalAddress(), o.SANs(), o.APIAddress(), o.PeerAddress(), o.StorageType(), o.NodeLocalLB(), o.CPLB(),
		o.APIPort(), o.K0sAPIPort(), o.KonnectivityPort()}
	want := []any{"fd00::1", []string{"10.0.0.1", "api.example"}, "10.0.0.1", "10.0.0.2", "kine", true, true, 7443, 9444, 8200}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestObjectAnswersWithK0sDefaults(t *testing.T) {
	for _, o := range []Object{nil, {}, {"spec": nil}, {"spec": "text"}, {"spec": map[string]any{"api": []any{}, "storage": 1}},
		{"spec": map[string]any{"api": map[string]any{"port": "x", "k0sApiPort": -1, "sans": "x"}}}} {
		got := []any{o.ExternalAddress(), o.SANs(), o.APIAddress(), o.PeerAddress(), o.StorageType(), o.NodeLocalLB(), o.CPLB(),
			o.APIPort(), o.K0sAPIPort(), o.KonnectivityPort()}
		want := []any{"", []string(nil), "", "", "etcd", false, false, 6443, 9443, 8132}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %v, want %v", o, got, want)
		}
	}
}

func TestObjectMadeInGoAnswersAlike(t *testing.T) {
	o := Object{"spec": map[string]any{"api": map[string]any{"port": int64(7443), "sans": []string{"a", "b"}}}}
	if o.APIPort() != 7443 || !slices.Equal(o.SANs(), []string{"a", "b"}) {
		t.Errorf("port %d, SANs %v", o.APIPort(), o.SANs())
	}
	if got, _ := o.ForController("", "c", nil); !slices.Equal(got.SANs(), []string{"a", "b", "c"}) {
		t.Errorf("SANs %v", got.SANs())
	}
}

func TestObjectFromJSONAnswersAlike(t *testing.T) {
	var o Object
	if err := json.Unmarshal([]byte(`{"spec":{"api":{"port":7443,"sans":["a"]}}}`), &o); err != nil {
		t.Fatal(err)
	}
	if o.APIPort() != 7443 || !slices.Equal(o.SANs(), []string{"a"}) {
		t.Errorf("port %d, SANs %v", o.APIPort(), o.SANs())
	}
	if paths := parseObject(t, "spec: {api: {port: 7443, sans: [a]}}").Differences(o); len(paths) > 0 {
		t.Errorf("differs at %v", paths)
	}
}

func TestParseObjectReportsEveryProblem(t *testing.T) {
	_, err := ParseObject([]byte("a: 1\na: 2\nb: !custom x\nc: !!int x\n"))
	want := "k0s.yaml:2: a: given twice, first in line 1: remove one\n" +
		"k0s.yaml:3: b: the YAML tag !custom is not supported: write a plain value\n" +
		"k0s.yaml:4: c: \"x\" is not a !!int: remove the tag"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	for text, want := range map[string]string{
		"- a":             "k0s.yaml:1: must have fields below it, but is a list: write name: value lines",
		"a: 1\n---\nb: 2": "k0s.yaml:3: a second document: k0s reads one, remove the others",
		"a: [":            "k0s.yaml:1: not YAML: did not find expected node content: indent the line as its neighbours are",
	} {
		if _, err := ParseObject([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if o, err := ParseObject(nil); err != nil || o == nil || len(o) > 0 {
		t.Errorf("nothing: %v, %v", o, err)
	}
}

func TestParseObjectReadsBooleansAsK0sDoes(t *testing.T) {
	got := parseObject(t, `{a: yes, b: Off, c: "yes", d: n, e: !!str no, f: true, g: 2001-02-03}`)
	want := Object{"a": true, "b": false, "c": "yes", "d": false, "e": "no", "f": true, "g": "2001-02-03"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseObjectLeavesDollarSignsAlone(t *testing.T) {
	if got := parseObject(t, "a: $HOME ${X} $$"); got["a"] != "$HOME ${X} $$" {
		t.Errorf("got %v", got)
	}
}

func TestForController(t *testing.T) {
	for _, test := range []struct {
		name, object, address, external string
		sans                            []string
		want                            string
		changes                         []string
	}{
		{
			name: "nothing there", object: "{}", address: "10.0.0.1", external: "10.0.0.9", sans: []string{"api.example"},
			want: "{apiVersion: k0s.k0sproject.io/v1beta1, kind: ClusterConfig, spec: {api: {address: 10.0.0.1, externalAddress: 10.0.0.9, " +
				"sans: [10.0.0.9, api.example]}, storage: {etcd: {peerAddress: 10.0.0.1}}}}",
			changes: []string{"spec.api.address set to 10.0.0.1", "spec.api.externalAddress set to 10.0.0.9",
				"spec.api.sans: added 10.0.0.9", "spec.api.sans: added api.example", "spec.storage.etcd.peerAddress set to 10.0.0.1"},
		},
		{
			name: "null and wrong types make way", object: "{spec: {api: null, storage: text}}", address: "10.0.0.1", external: "",
			want: "{apiVersion: k0s.k0sproject.io/v1beta1, kind: ClusterConfig, spec: {api: {address: 10.0.0.1}, " +
				"storage: {etcd: {peerAddress: 10.0.0.1}}}}",
			changes: []string{"spec.api.address set to 10.0.0.1", "spec.storage.etcd.peerAddress set to 10.0.0.1"},
		},
		{
			name: "what is there stays",
			object: "{apiVersion: x, kind: k, spec: {api: {address: 10.0.0.7, externalAddress: '[FD00::9]', sans: [a, 'fd00:0::9'], port: 1, x: {y: z}}, " +
				"storage: {type: etcd, etcd: {peerAddress: 10.0.0.7, extraArgs: {a: b}}}, other: [1]}}",
			address: "10.0.0.1", external: "fd00::9",
			want: "{apiVersion: x, kind: k, spec: {api: {address: 10.0.0.1, externalAddress: 'fd00::9', sans: [a, 'fd00:0::9'], port: 1, x: {y: z}}, " +
				"storage: {type: etcd, etcd: {peerAddress: 10.0.0.1, extraArgs: {a: b}}}, other: [1]}}",
			changes: []string{"spec.api.address changed from 10.0.0.7 to 10.0.0.1",
				"spec.api.externalAddress changed from [FD00::9] to fd00::9", "spec.storage.etcd.peerAddress changed from 10.0.0.7 to 10.0.0.1"},
		},
		{
			name: "kine has no peers", object: "{apiVersion: x, kind: k, spec: {storage: {type: kine}}}", address: "10.0.0.1",
			want:    "{apiVersion: x, kind: k, spec: {api: {address: 10.0.0.1}, storage: {type: kine}}}",
			changes: []string{"spec.api.address set to 10.0.0.1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := parseObject(t, test.object)
			before := object.Clone()
			got, changes := object.ForController(test.address, test.external, test.sans)
			if want := parseObject(t, test.want); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if !slices.Equal(changes, test.changes) {
				t.Errorf("changes %q, want %q", changes, test.changes)
			}
			if !reflect.DeepEqual(object, before) {
				t.Errorf("the receiver changed to %v", object)
			}
			if _, again := got.ForController(test.address, test.external, test.sans); len(again) > 0 {
				t.Errorf("a second time: %q", again)
			}
		})
	}
	if got, _ := Object(nil).ForController("10.0.0.1", "", nil); got.APIAddress() != "10.0.0.1" {
		t.Errorf("from nil: %v", got)
	}
}

func TestDifferences(t *testing.T) {
	for _, test := range []struct {
		name, desired, running string
		want                   []string
	}{
		{"nothing desired", "{}", fullObject, nil},
		{"the same", fullObject, fullObject, nil},
		{"host's own fields and metadata", "{kind: a, metadata: {name: x}, spec: {api: {address: 1.1.1.1}, storage: {etcd: {peerAddress: 1.1.1.1}}}}",
			"{kind: b, spec: {api: {address: 2.2.2.2}}}", nil},
		{"defaults spelled out", "{spec: {api: {port: 6443, k0sApiPort: 9443}, konnectivity: {agentPort: 8132}, storage: {type: etcd}}}", "{}", nil},
		{"other ports", "{spec: {api: {port: 7443}, konnectivity: {agentPort: 1}}}", "{spec: {api: {port: 6443}}}",
			[]string{"spec.api.port", "spec.konnectivity.agentPort"}},
		{"more SANs run", "{spec: {api: {sans: [b, '[FD00::1]']}}}", "{spec: {api: {sans: [a, b, 'fd00:0::1']}}}", nil},
		{"a SAN is missing", "{spec: {api: {sans: [a, c]}}}", "{spec: {api: {sans: [a, b]}}}", []string{"spec.api.sans"}},
		{"empty is missing", "{spec: {a: {}, b: [], c: null}}", "{}", nil},
		{"not empty any more", "{spec: {a: {}, b: []}}", "{spec: {a: {x: 1}, b: [1]}}", []string{"spec.a", "spec.b"}},
		{"numbers by value", "{spec: {a: 1, b: [1.0, {c: 2}]}}", "{spec: {a: 1.0, b: [1, {c: 2}]}}", nil},
		{"lists by order and length", "{spec: {a: [1, 2], b: [{x: 1}], c: [1], d: [{x: 1}]}}", "{spec: {a: [2, 1], b: [{x: 1, y: 2}], c: 1, d: [1]}}",
			[]string{"spec.a", "spec.b", "spec.c", "spec.d"}},
		{"big numbers", "{spec: {a: 18446744073709551615}}", "{spec: {a: 1}}", []string{"spec.a"}},
		{"fields of list items", "{spec: {a: [{x: 1}]}}", "{spec: {a: [{x: 2}]}}", []string{"spec.a"}},
		{"text is no number", "{spec: {a: '1', b: {c: true}}}", "{spec: {a: 1, b: true}}", []string{"spec.a", "spec.b.c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := parseObject(t, test.desired).Differences(parseObject(t, test.running))
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCloneIsDeep(t *testing.T) {
	o := Object{"a": map[string]any{"b": []any{map[string]any{"c": 1}}}, "d": []string{"x"}, "e": Object{"f": 1}}
	c := o.Clone()
	c["a"].(map[string]any)["b"].([]any)[0].(map[string]any)["c"] = 2
	if o["a"].(map[string]any)["b"].([]any)[0].(map[string]any)["c"] != 1 {
		t.Error("the clone shares its content")
	}
	if Object(nil).Clone() != nil {
		t.Error("a clone of nothing is something")
	}
}
