package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func addSeeds(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		paths := readTestdata(f, pattern)
		for _, data := range paths {
			f.Add(data)
		}
	}
	for _, seed := range []string{
		"", "\xef\xbb\xbfa: 1\r\nb: 2\r\n", "a: &x {b: *x}", "<<: *x", "a: !!int x", "a: .nan", "? [a]\n: b", "a: \"\\x00\"",
		"- |+\n\n  x\n\n", "a: 2001-01-01", "%YAML 1.1\n---\na: 1\n...\n", "a: 0x7fffffffffffffffffff", "{a: [}", "a:\tb",
	} {
		f.Add([]byte(seed))
	}
}

func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		first, again := outcome(t, data), outcome(t, data)
		if first != again {
			t.Fatalf("read twice with different results:\n%s\n%s", first, again)
		}
	})
}

// outcome reads and completes a file, checks what must hold of any, and returns all that came of it as text.
func outcome(t *testing.T, data []byte) string {
	t.Helper()
	file, err := source("file.yaml").Parse(data)
	if err != nil {
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("an error of type %T: %v", err, err)
		}
		lines := len(splitLines(data))
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Message == "" || !strings.HasPrefix(p.Error(), fmt.Sprintf("file.yaml:%d: ", p.Line)) {
				t.Fatalf("a problem without its place in a file of %d lines: %+v", lines, p)
			}
		}
		return err.Error()
	}
	for _, w := range file.Warnings {
		if !strings.HasPrefix(w, "file.yaml:") {
			t.Fatalf("a warning without its place: %s", w)
		}
	}
	checkRoundTrip(t, file.Cluster.K0s.Config)
	if len(file.Cluster.Controllers()) == 0 {
		t.Fatal("a cluster without a controller")
	}
	err = file.Complete()
	if err == nil && (file.LoadBalancer == nil || file.LoadBalancer.Address == "" || len(file.LoadBalancer.Hosts) == 0) {
		t.Fatal("complete without a load balancer")
	}
	return fmt.Sprintf("%s\n%v", asJSON(t, file), err)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	var unsupported *json.UnsupportedValueError // NaN and infinities
	if err != nil && !errors.As(err, &unsupported) {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzObject(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := ParseObject(data)
		if err != nil {
			return
		}
		checkRoundTrip(t, object)
		before := object.Clone()
		changed, _ := object.ForController("10.0.0.1", "10.0.0.9", []string{"api.example"})
		if !same(object, before) {
			t.Fatal("ForController changed its receiver")
		}
		checkRoundTrip(t, changed)
		again, changes := changed.ForController("10.0.0.1", "10.0.0.9", []string{"api.example"})
		if len(changes) > 0 || !same(again, changed) {
			t.Fatalf("ForController is not stable: %v", changes)
		}
		if paths := changed.Differences(changed); len(paths) > 0 {
			t.Fatalf("an object differs from itself at %v", paths)
		}
	})
}

func checkRoundTrip(t *testing.T, object Object) {
	t.Helper()
	text, err := object.YAML()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseObject(text)
	if err != nil {
		t.Fatalf("cannot read what was written: %v\n%s", err, text)
	}
	if !same(object, back) {
		t.Fatalf("changed by writing and reading:\n%#v\n%#v\n%s", object, back, text)
	}
	again, err := back.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(text) {
		t.Fatalf("written in two ways:\n%s\n%s", text, again)
	}
}

// same is reflect.DeepEqual with NaN equal to itself and 1.0 equal to 1, which YAML does not tell apart when it writes.
func same(a, b any) bool { return reflect.DeepEqual(plainly(a), plainly(b)) }

func plainly(v any) any {
	switch v := v.(type) {
	case Object:
		return plainly(map[string]any(v))
	case map[string]any:
		m := map[string]any{}
		for key, item := range v {
			m[key] = plainly(item)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plainly(item)
		}
		return list
	case float64:
		if math.IsNaN(v) {
			return "NaN"
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case int, int64, uint64:
		number, _ := asFloat(v)
		if math.Abs(number) < 1<<53 {
			return strconv.FormatFloat(number, 'g', -1, 64)
		}
		return fmt.Sprint(v)
	}
	return v
}
