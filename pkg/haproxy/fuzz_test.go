package haproxy

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// addCorpus seeds a fuzz test with real files and with what is special in them.
func addCorpus(f *testing.F) {
	for _, cfg := range userFiles(f) {
		if len(cfg) < 4_000 {
			f.Add(cfg)
		}
	}
	for _, c := range renderCases() {
		f.Add(Render(c.spec, c.slots))
	}
	f.Add([]byte(handMade))
	f.Add([]byte("listen a\n bind :6443\n server a 10.0.0.1\n"))
	f.Add([]byte("listen a\n bind :6443,:8132\n server a 10.0.0.1\n#\nlisten b\n bind :9443\n server b ::1:9443 check\n"))
	f.Add([]byte("#\nfrontend a\n bind :9443\n default_backend b\nlisten c\n#\nbackend b\n server a 10.0.0.1\n #\nlisten d"))
	f.Add(slices.Concat(fixture(f, "user/debian.cfg"), testBlock(), []byte("listen a\n\tbind :80")))
	f.Add(toCRLF(slices.Concat(fixture(f, "user/minimal.cfg"), testBlock())))
	f.Add([]byte(".if defined(X)\nfrontend a\n bind :6443\n.else\n.endif\nno option httpclose\ndefault x\n"))
	f.Add([]byte("# BEGIN kubectl-ha x\n# END kubectl-ha x"))
	f.Add([]byte("# BEGIN kubectl-ha x\r\nlisten \"\\x41\\\" '\\\r\n bind \"${A-:}:6443\"\\\n# END kubectl-ha x\r\n\x00"))
}

func FuzzReplaceBlock(f *testing.F) {
	addCorpus(f)
	standard := testBlock()
	f.Fuzz(func(t *testing.T, cfg []byte) {
		block := standard
		old, found, err := FindBlock(cfg)
		if found {
			spec := testSpec()
			spec.Name = old.Name
			block = Render(spec, NewSlots(guideServers(), 2))
		}
		replaced, replaceErr := ReplaceBlock(cfg, block)
		if err != nil {
			if replaceErr == nil {
				t.Fatalf("replaced in spite of %v", err)
			}
			return
		}
		if replaceErr != nil {
			t.Fatal(replaceErr)
		}
		before, after := cfg, []byte(nil)
		if found {
			before, after = cfg[:old.Start], cfg[old.End:]
		}
		fresh, ok, err := FindBlock(replaced)
		if err != nil || !ok {
			t.Fatalf("the new block is not found: %v", err)
		}
		if !bytes.HasPrefix(replaced, before) || !bytes.Equal(replaced[fresh.End:], after) {
			t.Fatal("bytes outside the block changed")
		}
		if !bytes.Equal(completeLine(before), replaced[:fresh.Start]) {
			t.Fatalf("%q between the user's part and the block", replaced[len(before):fresh.Start])
		}
		if !bytes.Equal(toLF(replaced[fresh.Start:fresh.End]), block) {
			t.Fatal("not the new block")
		}
		again, err := ReplaceBlock(replaced, block)
		if err != nil || !bytes.Equal(again, replaced) {
			t.Fatalf("the second time differs: %v", err)
		}
		removed, err := RemoveBlock(replaced)
		if err != nil {
			t.Fatal(err)
		}
		if !found && !bytes.Equal(removed, completeLine(cfg)) {
			t.Fatalf("after removal: %q, want %q", removed, completeLine(cfg))
		}
	})
}

func FuzzParse(f *testing.F) {
	addCorpus(f)
	f.Fuzz(func(t *testing.T, cfg []byte) {
		offset := 0
		for _, l := range scanLines(cfg) {
			if l.start < offset || l.end <= l.start || l.end > len(cfg) || len(l.words) == 0 {
				t.Fatalf("line %+v behind offset %d of %d", l, offset, len(cfg))
			}
			offset = l.end
		}
		if bound, err := BoundPorts(cfg); err == nil {
			for _, b := range bound {
				if b.First < 1 || b.Last < b.First || b.Last > 65535 || b.Line < 1 {
					t.Fatalf("bound %+v", b)
				}
			}
		}
		parsed, err := ParseBlock(cfg)
		if err != nil {
			return
		}
		// What was read renders to a block that reads the same.
		if parsed.Spec.Validate() != nil || ValidateSlots(parsed.Slots) != nil {
			return
		}
		again, err := ParseBlock(Render(parsed.Spec, parsed.Slots))
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Edits) > 0 || !slices.Equal(again.Slots, parsed.Slots) {
			t.Fatalf("read %+v\nthen %+v", parsed, again)
		}
	})
}

func FuzzAdopt(f *testing.F) {
	addCorpus(f)
	f.Fuzz(func(t *testing.T, cfg []byte) {
		adoption, err := Adopt(cfg, defaultPorts())
		if err != nil {
			var refused *RefusedError
			if errors.As(err, &refused) && len(refused.Refusals) == 0 {
				t.Fatal("refused without a reason")
			}
			return
		}
		if !adoption.Found() {
			if !bytes.Equal(adoption.Remaining(), cfg) {
				t.Fatal("nothing found, but bytes are missing")
			}
			return
		}
		spec, err := adoption.Fit(testSpec())
		if err != nil {
			t.Fatal(err)
		}
		slots := NewSlots(adoption.Servers, 1)
		if ValidateSlots(slots) != nil {
			return
		}
		replaced, err := adoption.Replace(Render(spec, slots))
		if err != nil {
			t.Fatal(err)
		}
		removed, err := RemoveBlock(replaced)
		if err != nil {
			t.Fatal(err)
		}
		remaining := adoption.Remaining()
		if !bytes.Equal(removed, remaining) {
			t.Fatalf("the user's part changed:\n%q\n%q", remaining, removed)
		}
		// What stays is made of the lines that were there, in their order.
		kept := strings.SplitAfter(string(cfg), "\n")
		for _, l := range strings.SplitAfter(string(remaining), "\n") {
			i := slices.Index(kept, l)
			if i < 0 && l != "" {
				t.Fatalf("%q is new", l)
			}
			kept = kept[max(i, 0):]
		}
		parsed, err := ParseBlock(replaced)
		if err != nil || len(parsed.Edits) > 0 || !slices.Equal(parsed.Slots, slots) {
			t.Fatalf("the block in place reads %+v, %v", parsed, err)
		}
		again, err := Adopt(replaced, defaultPorts())
		if err != nil || again.Found() {
			t.Fatalf("found more the second time: %v", err)
		}
	})
}
