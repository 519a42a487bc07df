package version

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	for name, c := range map[string]struct {
		info        debug.BuildInfo
		short, text string
	}{
		"a release": {
			debug.BuildInfo{
				Main: debug.Module{Version: "v0.3.0"},
				Settings: []debug.BuildSetting{
					{Key: "vcs.revision", Value: "80fc9ff"}, {Key: "vcs.time", Value: "2026-11-29T11:00:00Z"},
					{Key: "vcs.modified", Value: "false"},
				},
			},
			"v0.3.0", "Client Version: v0.3.0\nGit Commit: 80fc9ff\nCommit Date: 2026-11-29T11:00:00Z\n",
		},
		"a checkout with changes": {
			debug.BuildInfo{
				Main: debug.Module{Version: "v0.3.1-0.20261129110000-80fc9ff00000+dirty"},
				Settings: []debug.BuildSetting{
					{Key: "vcs.revision", Value: "80fc9ff"}, {Key: "vcs.modified", Value: "true"},
				},
			},
			"v0.3.1-0.20261129110000-80fc9ff00000+dirty",
			"Client Version: v0.3.1-0.20261129110000-80fc9ff00000+dirty\nGit Commit: 80fc9ff (with changes)\n",
		},
		"a module's version, from go install": {
			debug.BuildInfo{Main: debug.Module{Version: "v0.3.0"}}, "v0.3.0", "Client Version: v0.3.0\n",
		},
		"a commit without a version": {
			debug.BuildInfo{
				Main:     debug.Module{Version: "(devel)"},
				Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "80fc9ff"}},
			},
			"80fc9ff", "Client Version: (devel)\nGit Commit: 80fc9ff\n",
		},
		"a folder without a repository": {
			debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "(devel)", "Client Version: (devel)\n",
		},
		"a build that says nothing": {debug.BuildInfo{}, "(devel)", "Client Version: (devel)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := short(&c.info); got != c.short {
				t.Errorf("got %s, want %s", got, c.short)
			}
			want := c.text + "Go Version: go1.26.8\nPlatform: linux/arm64\n"
			if got := text(&c.info, "go1.26.8", "linux/arm64"); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}
