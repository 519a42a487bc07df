package shell

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
	for _, w := range words {
		if got := readByShell(t, "printf '%s' "+Quote(w)); got != w {
			t.Errorf("the shell read %q, not %q", got, w)
		}
	}
	if got := readByShell(t, printed(words...)); got != strings.Join(words, "\x00")+"\x00" {
		t.Errorf("the shell read %q", got)
	}

	property := func(text string) bool {
		text = strings.ReplaceAll(text, "\x00", "") // no argument can hold one
		return readByShell(t, printed(text)) == text+"\x00"
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 50}); err != nil {
		t.Error(err)
	}
}

func printed(words ...string) (command string) {
	return Join(append([]string{"printf", `%s\0`}, words...))
}

func readByShell(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

func TestPlainWordsAreNotQuoted(t *testing.T) {
	got := Join([]string{"/usr/local/bin/k0s", "install", "--labels=a=b,c=d", "a b"})
	if want := "/usr/local/bin/k0s install --labels=a=b,c=d 'a b'"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
