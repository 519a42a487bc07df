//go:build e2e

package k0sbin

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestResolvedExecutableTellsItsVersion(t *testing.T) {
	start := time.Now()
	path, kind, err := Resolve(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "v1.") {
		t.Errorf("version: %q, %v", out, err)
	}
	t.Logf("%s: %s, %s, after %.1f s", kind, path, strings.TrimSpace(string(out)), time.Since(start).Seconds())
}
