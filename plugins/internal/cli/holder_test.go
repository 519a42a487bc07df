package cli

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestAbandoned(t *testing.T) {
	me := Holder("kubectl ha-init")
	if !strings.HasSuffix(me, ": kubectl ha-init") || Abandoned(me) {
		t.Errorf("this very process has abandoned %q", me)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(me, "process ")
	gone := before + "process " + strconv.Itoa(ended.Process.Pid) + ": kubectl ha-init"
	if !Abandoned(gone) {
		t.Errorf("%q has ended", gone)
	}
	for _, holder := range []string{"", "kubectl", "anna@elsewhere, boot 1, process " + strconv.Itoa(ended.Process.Pid) + ": x",
		before + "process x: y", before + "process -1: y", strings.Replace(gone, "boot ", "boot 1", 1)} {
		if Abandoned(holder) {
			t.Errorf("%q is taken for abandoned", holder)
		}
	}
}
