package haproxy

import "testing"

func TestDiffShowsWhatChanges(t *testing.T) {
	tests := []struct{ name, before, after, want string }{
		{"nothing", "a\n", "a\n", ""},
		{"a line", "a\nb\nc\n", "a\nB\nc\n", "--- f\n+++ f (new)\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"from nothing", "", "a\n", "--- f\n+++ f (new)\n@@ -0,0 +1 @@\n+a\n"},
		{"CRLF in both", "a\r\nb\r\n", "a\r\nB\r\n", "--- f\n+++ f (new)\n@@ -1,2 +1,2 @@\n a\n-b\n+B\n"},
		{"CRLF in one", "a\n", "a\r\n", "--- f\n+++ f (new)\n@@ -1 +1 @@\n-a\n+a\\x0d\n"},
		{
			"no newline at the end", "a", "a\nb\n",
			"--- f\n+++ f (new)\n@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n",
		},
		{
			"what a terminal would obey", "a\n", "a\x1b[2J\xff\u202e\tä\n",
			"--- f\n+++ f (new)\n@@ -1 +1 @@\n-a\n+a\\x1b[2J\\xff\\xe2\\x80\\xae\tä\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Diff("f", []byte(test.before), []byte(test.after)); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}
