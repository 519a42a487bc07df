package k0s

import (
	"os/exec"
	"strings"
	"testing"
	"testing/quick"
)

// A shell gives each quoted word back as it was.
func TestAShellReadsQuotedWordsBack(t *testing.T) {
	words := []string{
		"", "plain", "a b", "it's", `"double"`, "`ls`", "$HOME", "~", "*", "a;b", "#c", "a\nb", "\t", `back\slash`, "!x",
		"--labels=a=b,c=d", "ü", "'", "''", `'\''`, "-n", "a=b", "{a,b}", "[a]", "&&", ">x", "100%",
	}
	if got := readByShell(t, words); got != strings.Join(words, "\x00")+"\x00" {
		t.Errorf("the shell read %q", got)
	}

	property := func(text string) bool {
		text = strings.ReplaceAll(text, "\x00", "") // no argument can hold one
		return readByShell(t, []string{text}) == text+"\x00"
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 50}); err != nil {
		t.Error(err)
	}
}

func readByShell(t *testing.T, words []string) string {
	t.Helper()
	command := shellJoin(append([]string{"printf", `%s\0`}, words...))
	out, err := exec.Command("sh", "-c", command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

func TestPlainWordsAreNotQuoted(t *testing.T) {
	got := shellJoin([]string{"/usr/local/bin/k0s", "install", "--labels=a=b,c=d", "a b"})
	if want := "/usr/local/bin/k0s install --labels=a=b,c=d 'a b'"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
