// Command build makes the stand-in: the components from their Go modules, the
// k0s command, and both in one executable. Run it in the folder above it:
//
//	go run ./build -o DIR
//
// It leaves DIR/k0s, does nothing when the sources have not changed, and
// builds components again only when their versions have.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	out := flag.String("o", "", "folder for the executable and what it is made of")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: go run ./build -o DIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	began := time.Now()
	b := &builder{out: *out, log: os.Stderr}
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "building the stand-in:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%s (%s)\n", b.result(), time.Since(began).Round(10*time.Millisecond))
}
