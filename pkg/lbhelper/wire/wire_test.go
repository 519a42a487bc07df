package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
)

func TestARequestThatIsNotExactlyOneIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"nothing":                  {`{"id":1}`, "not 0"},
		"two at once":              {`{"id":1,"state":{},"hello":{"protocol":1}}`, "not 2"},
		"null":                     {`{"id":1,"state":null}`, "not 0"},
		"unknown request":          {`{"id":1,"exec":{"command":"id"}}`, `unknown field "exec"`},
		"unknown field":            {`{"id":1,"state":{"path":"/etc/shadow"}}`, `unknown field "path"`},
		"a port":                   {`{"id":1,"apply":{"servers":[{"name":"a","address":"10.0.0.1","port":22,"active":true}]}}`, `unknown field "port"`},
		"a line in a name":         {`{"id":1,"apply":{"servers":[{"name":"a\nprogram x","address":"10.0.0.1","active":true}]}}`, "letters, digits"},
		"a word in a name":         {`{"id":1,"apply":{"servers":[{"name":"a backup","address":"10.0.0.1","active":true}]}}`, "letters, digits"},
		"a comment in a name":      {`{"id":1,"apply":{"servers":[{"name":"a#","address":"10.0.0.1","active":true}]}}`, "letters, digits"},
		"a command in a name":      {`{"id":1,"apply":{"servers":[{"name":"a;shutdown","address":"10.0.0.1","active":true}]}}`, "letters, digits"},
		"a long name":              {`{"id":1,"apply":{"servers":[{"name":"` + strings.Repeat("a", 254) + `","address":"10.0.0.1"}]}}`, "up to 253"},
		"a name as address":        {`{"id":1,"apply":{"servers":[{"name":"a","address":"localhost","active":true}]}}`, "unable to parse IP"},
		"a line in an address":     {`{"id":1,"apply":{"servers":[{"name":"a","address":"10.0.0.1\nx","active":true}]}}`, "unexpected character"},
		"a zone":                   {`{"id":1,"apply":{"servers":[{"name":"a","address":"fe80::1%eth0","active":true}]}}`, "no address"},
		"a mapped address":         {`{"id":1,"apply":{"servers":[{"name":"a","address":"::ffff:10.0.0.1","active":true}]}}`, "no address"},
		"no address":               {`{"id":1,"apply":{"servers":[{"name":"a","active":true}]}}`, "no address"},
		"no JSON":                  {`cat /etc/shadow`, "invalid character"},
		"an array":                 {`[]`, "cannot unmarshal"},
		"something behind it":      {`{"id":1,"state":{}} {"id":2,"state":{}}`, "more than one"},
		"a negative ID":            {`{"id":-1,"state":{}}`, "cannot unmarshal"},
		"a path for a certificate": {`{"id":1,"renew":{"certificate":"c","key":"k","path":"/etc/shadow"}}`, `unknown field "path"`},
		"a long certificate":       {`{"id":1,"renew":{"certificate":"` + strings.Repeat("a", 8<<10+1) + `","key":"k"}}`, "at most 8192 bytes"},
		"too many servers": {`{"id":1,"apply":{"servers":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a","address":"10.0.0.1"},`, MaxServers+1), ",") +
			`]}}`, "at most 256"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := DecodeRequest([]byte(c.line))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v; want an error with %q", request, err, c.want)
			}
		})
	}
}

func TestLinesAreBounded(t *testing.T) {
	lines := NewLineReader(strings.NewReader("ab\n\nabc\nabcd\nx\n"), 3)
	for _, want := range []string{"ab", "", "abc"} {
		if got, err := lines.Next(); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if got, err := lines.Next(); !errors.Is(err, ErrTooLong) {
		t.Errorf("%q, %v; want %v", got, err, ErrTooLong)
	}

	endless := NewLineReader(endlessReader{}, MaxRequest)
	if _, err := endless.Next(); !errors.Is(err, ErrTooLong) {
		t.Errorf("a line without an end: %v", err)
	}
	cut := NewLineReader(strings.NewReader("{\"id\":1"), MaxRequest)
	if _, err := cut.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a line that is cut off: %v", err)
	}
	if _, err := NewLineReader(strings.NewReader(""), 1).Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestClientTakesNoAnswerOfAnotherRequest(t *testing.T) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		if _, err := NewLineReader(far, MaxRequest).Next(); err == nil {
			fmt.Fprintln(far, `{"id":7,"state":{"managed":false,"running":false}}`)
		}
	}()
	client := NewClient(near)
	if report, err := client.State(t.Context()); err == nil {
		t.Errorf("took %+v", report)
	}
	if _, err := client.State(t.Context()); err == nil {
		t.Error("the session went on")
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, line := range []string{
		`{"id":1,"hello":{"protocol":1}}`, `{"id":2,"state":{}}`,
		`{"id":3,"apply":{"servers":[{"name":"cp1","address":"10.10.0.2","active":true},{"name":"cp2","address":"fd00::1","active":false}]}}`,
		`{"id":3,"apply":{"servers":[{"name":"a\u000aprogram x","address":"10.0.0.1%x","active":true}]}}`,
		`{"id":1,"state":{}}{"id":2}`, `{"ID":1,"State":{}}`, `{"id":1,"apply":{"servers":null}}`, "{}", "null", "[]", "\x00",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		request, err := DecodeRequest(line)
		if err != nil {
			return
		}
		if request.Apply != nil {
			for _, s := range request.Apply.Servers {
				if strings.ContainsAny(s.Name, " \t\r\n\\\"'#;$<>|&`") || strings.ContainsAny(s.Address.String(), " \n;%") {
					t.Fatalf("let through %+v", s)
				}
			}
		}
		written, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeRequest(written)
		if err != nil || again.ID != request.ID || !sameServers(again.Apply, request.Apply) {
			t.Fatalf("%s reads as %+v, %v", written, again, err)
		}
	})
}

func sameServers(a, b *Apply) bool {
	if a == nil || b == nil {
		return a == b
	}
	return len(a.Servers) == len(b.Servers) && (len(a.Servers) == 0 || reflect.DeepEqual(a.Servers, b.Servers))
}
