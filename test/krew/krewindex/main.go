// Command krewindex makes a krew index of a release's archives: a folder that, committed to a git repository, is what
// `kubectl krew index add` takes.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/kubectl-ha/kubectl-ha/test/krew"
)

func main() {
	var release krew.Release
	flag.StringVar(&release.Tag, "tag", "", "the release, as v0.3.0")
	flag.StringVar(&release.Archives, "archives", "dist", "folder of its archives")
	flag.StringVar(&release.URL, "url", "", "folder that they are downloaded from; that of the release on GitHub when empty")
	templates := flag.String("templates", "krew", "folder of the templates")
	folder := flag.String("out", "dist/krew-index", "folder to write the index to")
	flag.Parse()
	if release.Tag == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "error: name the release with -tag, and give no arguments")
		os.Exit(2)
	}
	if err := release.WriteIndex(*templates, *folder); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}
