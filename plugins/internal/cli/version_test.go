package cli

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestVersionText(t *testing.T) {
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"a release": {
			debug.BuildInfo{
				Main: debug.Module{Version: "v0.3.0"},
				Settings: []debug.BuildSetting{
					{Key: "vcs.revision", Value: "80fc9ff"}, {Key: "vcs.time", Value: "2026-11-29T11:00:00Z"},
					{Key: "vcs.modified", Value: "false"},
				},
			},
			"Client Version: v0.3.0\nGit Commit: 80fc9ff\nCommit Date: 2026-11-29T11:00:00Z\n",
		},
		"a checkout with changes": {
			debug.BuildInfo{
				Main: debug.Module{Version: "v0.3.1-0.20261129110000-80fc9ff00000+dirty"},
				Settings: []debug.BuildSetting{
					{Key: "vcs.revision", Value: "80fc9ff"}, {Key: "vcs.modified", Value: "true"},
				},
			},
			"Client Version: v0.3.1-0.20261129110000-80fc9ff00000+dirty\nGit Commit: 80fc9ff (with changes)\n",
		},
		"a module's version, from go install": {
			debug.BuildInfo{Main: debug.Module{Version: "v0.3.0"}}, "Client Version: v0.3.0\n",
		},
		"a folder without a repository": {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "Client Version: (devel)\n"},
		"a build that says nothing":     {debug.BuildInfo{}, "Client Version: (devel)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want + "Go Version: go1.26.8\nPlatform: linux/arm64\n"
			if got := versionText(&c.info, "go1.26.8", "linux/arm64"); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func TestVersionIsPrintedInPlaceOfARun(t *testing.T) {
	var out bytes.Buffer
	command := &cobra.Command{Use: "kubectl-ha_init", RunE: func(*cobra.Command, []string) error {
		t.Error("the command ran")
		return nil
	}}
	AddVersion(command)
	command.SetOut(&out)
	command.SetArgs([]string{"--version"})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	if last := "Platform: " + runtime.GOOS + "/" + runtime.GOARCH + "\n"; !strings.HasSuffix(out.String(), last) {
		t.Errorf("got %q, want it to end with %q", out.String(), last)
	}
	if command.Flags().ShorthandLookup("v") != nil {
		t.Error("-v is taken, which is kubectl's flag for more words")
	}
}
