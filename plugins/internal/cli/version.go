package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// AddVersion gives a command the flag --version.
func AddVersion(command *cobra.Command) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	command.Version = versionText(info, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	command.SetVersionTemplate("{{.Version}}")
	command.Flags().Bool("version", false, "print the version and exit") // cobra's own takes -v too
}

// versionText says what a program was built from. The go command writes that into every program that it builds, so
// that none can be built without it.
func versionText(info *debug.BuildInfo, goVersion, platform string) string {
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	version, commit := info.Main.Version, settings["vcs.revision"]
	if version == "" {
		version = "(devel)" // as the go command calls a module that it knows no version of
	}
	if settings["vcs.modified"] == "true" {
		commit += " (with changes)"
	}
	var text strings.Builder
	for _, line := range []struct{ name, value string }{
		{"Client Version", version},
		{"Git Commit", commit},
		{"Commit Date", settings["vcs.time"]},
		{"Go Version", goVersion},
		{"Platform", platform},
	} {
		if line.value != "" {
			fmt.Fprintf(&text, "%s: %s\n", line.name, line.value)
		}
	}
	return text.String()
}
