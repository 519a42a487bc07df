// Command snapshot makes on this machine what a release is made of, but for signatures: archives, the syncer's helper and
// image, their checksums, and a krew index, which, committed to a git repository, is what `kubectl krew index add` takes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"github.com/kubectl-ha/kubectl-ha/test/krew"
)

func main() {
	tag := flag.String("tag", "v0.0.0", "the version in the manifests, as v0.3.0")
	url := flag.String("url", "", "folder that the archives are downloaded from; that of the release on GitHub when empty")
	here := flag.Bool("here", false, "for this platform alone")
	folder := flag.String("out", "dist", "folder to write to")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "error: unexpected argument %q: see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	release := krew.Release{Tag: *tag, Archives: *folder, URL: *url, Partial: *here}
	if err := run(release, *here); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// run makes everything of the repository in the present directory.
func run(release krew.Release, here bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	g, err := krew.ReadGoreleaser(".")
	if err != nil {
		return err
	}
	platforms := g.Builds[0].Platforms()
	if here {
		platforms = []string{runtime.GOOS + "/" + runtime.GOARCH}
	}
	for _, platform := range platforms {
		fmt.Fprintln(os.Stderr, platform)
		if err := g.Make(ctx, ".", release.Archives, platform); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr, "image")
	if err := g.MakeExtra(ctx, ".", release.Archives, release.Tag); err != nil {
		return err
	}
	if err := krew.WriteChecksums(release.Archives); err != nil {
		return err
	}
	return release.WriteIndex("krew", filepath.Join(release.Archives, "krew-index"))
}
