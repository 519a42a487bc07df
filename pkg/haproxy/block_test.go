package haproxy

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func testBlock() []byte { return Render(testSpec(), NewSlots(guideServers(), 2)) }

// userFiles are configurations as users have them, some in odd shape.
func userFiles(t testing.TB) map[string][]byte {
	files := map[string][]byte{
		"empty":        nil,
		"one newline":  []byte("\n"),
		"not UTF-8":    []byte("# \xff\xfe caf\xe9\nglobal\n    description \xc3\x28\n"),
		"long line":    []byte("global\n    description " + strings.Repeat("x", 100_000) + "\n"),
		"mixed ending": []byte("global\r\n\tmaxconn 1 \n\n\r\ndefaults\n    mode\ttcp   # odd\t\n   \n"),
	}
	for _, name := range []string{"guide", "debian", "rhel", "minimal", "conditional", "ingress"} {
		data := fixture(t, "user/"+name+".cfg")
		files[name] = data
		files[name+" with CRLF"] = toCRLF(data)
		files[name+" without final newline"] = bytes.TrimRight(data, "\n")
	}
	return files
}

func TestReplaceBlockKeepsEveryByteOutside(t *testing.T) {
	other := Render(testSpec(), NewSlots(guideServers()[:1], 0))
	for name, cfg := range userFiles(t) {
		t.Run(name, func(t *testing.T) {
			replaced, err := ReplaceBlock(cfg, testBlock())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(replaced, cfg) {
				t.Fatal("the user's part changed")
			}
			replaced = append(replaced, "\n# behind the block\nlisten more\n    bind :80"...)
			again, err := ReplaceBlock(replaced, other)
			if err != nil {
				t.Fatal(err)
			}
			before, _, _ := FindBlock(replaced)
			after, _, _ := FindBlock(again)
			if !bytes.Equal(again[:after.Start], replaced[:before.Start]) ||
				!bytes.Equal(again[after.End:], replaced[before.End:]) {
				t.Error("the user's part changed when the block was replaced")
			}
			if block := toLF(again[after.Start:after.End]); !bytes.Equal(block, other) {
				t.Errorf("not the new block:\n%s", block)
			}
		})
	}
}

func TestReplaceBlockTwiceIsReplaceBlockOnce(t *testing.T) {
	for name, cfg := range userFiles(t) {
		t.Run(name, func(t *testing.T) {
			once, err := ReplaceBlock(cfg, testBlock())
			if err != nil {
				t.Fatal(err)
			}
			twice, err := ReplaceBlock(once, testBlock())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(once, twice) {
				t.Error(Diff(name, once, twice))
			}
		})
	}
}

func TestRemoveBlockGivesTheFileBack(t *testing.T) {
	for name, cfg := range userFiles(t) {
		t.Run(name, func(t *testing.T) {
			replaced, err := ReplaceBlock(cfg, testBlock())
			if err != nil {
				t.Fatal(err)
			}
			removed, err := RemoveBlock(replaced)
			if err != nil {
				t.Fatal(err)
			}
			if want := completeLine(cfg); !bytes.Equal(removed, want) {
				t.Errorf("got %q\nwant %q", removed, want)
			}
			if _, found, _ := FindBlock(removed); found {
				t.Error("the block is still there")
			}
		})
	}
}

func TestLastLineIsCompleted(t *testing.T) {
	for cfg, want := range map[string]string{
		"": "", "a\n": "a\n", "a": "a\n", "a\r\nb": "a\r\nb\r\n", "a\r\n": "a\r\n", "a\r": "a\r\n", "a\nb\r": "a\nb\r\n",
	} {
		if got := completeLine([]byte(cfg)); string(got) != want {
			t.Errorf("%q: got %q, want %q", cfg, got, want)
		}
	}
}

func TestBlockHasTheLineEndingsOfItsFile(t *testing.T) {
	for _, ending := range []string{"\n", "\r\n"} {
		cfg := bytes.ReplaceAll(fixture(t, "user/debian.cfg"), []byte("\n"), []byte(ending))
		for _, old := range [][]byte{nil, testBlock(), toCRLF(testBlock())} {
			replaced, err := ReplaceBlock(slices.Concat(cfg, old), testBlock())
			if err != nil {
				t.Fatal(err)
			}
			lines, crlf := bytes.Count(replaced, []byte("\n")), bytes.Count(replaced, []byte("\r\n"))
			if want := map[string]int{"\n": 0, "\r\n": lines}[ending]; crlf != want {
				t.Errorf("%q: %d of %d lines end in CRLF, want %d", ending, crlf, lines, want)
			}
		}
	}
}

func TestBrokenMarkersAreRefusedWithTheirLines(t *testing.T) {
	const begin, end = "# BEGIN kubectl-ha cp\n", "# END kubectl-ha cp\n"
	tests := []struct{ name, cfg, want string }{
		{"only begin", "global\n" + begin, "line 2: # BEGIN kubectl-ha cp"},
		{"only end", "\n\n" + end, "line 3: # END kubectl-ha cp"},
		{"end first", end + begin, "line 1: # END kubectl-ha cp; line 2: # BEGIN kubectl-ha cp"},
		{"begin twice", begin + begin + end, "line 2: # BEGIN kubectl-ha cp"},
		{"two blocks", begin + end + begin + end, "line 4: # END kubectl-ha cp"},
		{"other name", begin + "# END kubectl-ha other\n", "line 2: # END kubectl-ha other"},
		{"no name", "# BEGIN kubectl-ha\n# END kubectl-ha\n", "line 1: # BEGIN kubectl-ha"},
		{"indented", "  " + begin + "\t" + begin + end, "line 2: # BEGIN kubectl-ha cp"},
		{"directive behind", begin + end + "\n    maxconn 5\n", `line 4: "maxconn 5" follows the managed block`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, found, err := FindBlock([]byte(test.cfg))
			if found || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("found %t, error %v; want an error with %q", found, err, test.want)
			}
			if _, err := ReplaceBlock([]byte(test.cfg), testBlock()); err == nil {
				t.Error("ReplaceBlock did not refuse")
			}
			if _, err := RemoveBlock([]byte(test.cfg)); err == nil {
				t.Error("RemoveBlock did not refuse")
			}
		})
	}
}

func TestBlockOfAnotherLoadBalancerIsNotReplaced(t *testing.T) {
	spec := testSpec()
	spec.Name = "other"
	_, err := ReplaceBlock(Render(spec, nil), testBlock())
	if err == nil || !strings.Contains(err.Error(), `line 1: this HAProxy serves the load balancer "other" already`) {
		t.Errorf("got error %v", err)
	}
}

func TestOnlyAWholeBlockIsPutInPlace(t *testing.T) {
	for _, block := range []string{"", "global\n", "\n" + string(testBlock()), string(testBlock()) + "# more\n"} {
		if _, err := ReplaceBlock(nil, []byte(block)); err == nil {
			t.Errorf("took %q", block)
		}
	}
}

func TestTextThatLooksLikeAMarkerIsNone(t *testing.T) {
	for _, text := range []string{
		"# BEGIN kubectl-haproxy cp\n", "## BEGIN kubectl-ha cp\n", "#BEGIN kubectl-ha cp\n",
		"    description \"# BEGIN kubectl-ha cp\"\n",
	} {
		if _, found, err := FindBlock([]byte(text)); found || err != nil {
			t.Errorf("%q: found %t, error %v", text, found, err)
		}
	}
}
