// Package version says what a program was built from. The go command writes that into every program that it builds, so
// that none can be built without it.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// devel is what the go command calls a module that it knows no version of.
const devel = "(devel)"

// Short is the module's version, or else the commit that the program was built from.
func Short() string { return short(buildInfo()) }

func short(info *debug.BuildInfo) string {
	if commit := settings(info)["vcs.revision"]; commit != "" && version(info) == devel {
		return commit
	}
	return version(info)
}

// Text is all that is known, one line each, in the words of `kubectl version`.
func Text() string { return text(buildInfo(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH) }

func text(info *debug.BuildInfo, goVersion, platform string) string {
	of := settings(info)
	commit := of["vcs.revision"]
	if of["vcs.modified"] == "true" {
		commit += " (with changes)"
	}
	var b strings.Builder
	for _, line := range []struct{ name, value string }{
		{"Client Version", version(info)},
		{"Git Commit", commit},
		{"Commit Date", of["vcs.time"]},
		{"Go Version", goVersion},
		{"Platform", platform},
	} {
		if line.value != "" {
			fmt.Fprintf(&b, "%s: %s\n", line.name, line.value)
		}
	}
	return b.String()
}

func buildInfo() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return &debug.BuildInfo{}
}

func version(info *debug.BuildInfo) string { return cmp.Or(info.Main.Version, devel) }

func settings(info *debug.BuildInfo) map[string]string {
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	return settings
}
