// Command recordings runs commands on a terminal and writes what is seen there as an animated SVG:
//
//	recordings -o FILE.svg [-dir FOLDER] [-interrupt AFTER] 'kubectl ha-init -f cluster.yaml' ...
//
// The commands are plugins of this project; they are taken from bin/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

const columns, rows = 100, 30

func main() {
	out := flag.String("o", "", "the file to write")
	dir := flag.String("dir", ".", "where the commands run")
	interrupt := flag.Duration("interrupt", 0, "interrupt the last command after that time, as with Ctrl-C")
	flag.Parse()
	if err := record(*out, *dir, *interrupt, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "recording: %v\n", err)
		os.Exit(1)
	}
}

// record runs the commands one after another, as somebody would who types them.
func record(out, dir string, interrupt time.Duration, commands []string) error {
	var frames []frame
	start := time.Now()
	pty, err := terminal.Open(columns, rows, func(screen *terminal.Screen) {
		frames = append(frames, frame{time.Since(start), screen.Cells()})
	})
	if err != nil {
		return err
	}
	for i, line := range commands {
		fmt.Fprintf(pty.Slave, "$ %s\n", line)
		after := time.Duration(0)
		if i == len(commands)-1 {
			after = interrupt
		}
		if err := run(pty, dir, line, after); err != nil {
			pty.Close()
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	fmt.Fprint(pty.Slave, "$ ")
	pty.Close()
	return os.WriteFile(out, []byte(svg(shots(frames))), 0o644)
}

func run(pty *terminal.PTY, dir, line string, interrupt time.Duration) error {
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "kubectl" {
		return errors.New("want kubectl and a plugin")
	}
	program, err := filepath.Abs("bin/kubectl-" + strings.ReplaceAll(words[1], "-", "_"))
	if err != nil {
		return err
	}
	ctx := context.Background()
	if interrupt > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, interrupt)
		defer cancel()
	}
	command := exec.CommandContext(ctx, program, words[2:]...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Dir = dir
	command.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=")
	err = pty.Run(command)
	if interrupt > 0 && command.ProcessState != nil && command.ProcessState.Success() {
		return nil // it was interrupted, and ended as it should
	}
	return err
}
