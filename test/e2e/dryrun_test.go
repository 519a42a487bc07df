//go:build e2e

package e2e

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

func TestADryRunPrintsThePlanThatARunExecutes(t *testing.T) {
	t.Parallel()
	s := bareSite(t, "guide")
	s.write(clusterFile{members: controller(guide...)})
	before := s.everything()
	dry := s.mustInit("--dry-run=client")
	if after := s.everything(); after != before {
		t.Errorf("a dry run changed something:\n%s\nbecame\n%s", before, after)
	}
	planned := titles(`(?m)^\W+\d+\. run +(.*)$`, dry.stdout)
	screen := s.initOnATerminal()
	if ran := titles(`(?m)^✓ (.*) \(\d+\.\ds\)$`, screen); len(planned) == 0 || !slices.Equal(planned, ran) {
		t.Errorf("planned\n%q\nran\n%q", planned, ran)
	}
	// That the distribution's part of the file logs is known once its package is there.
	file := s.sh(loadBalancer, "grep -v '^    option tcplog$' "+haproxyConfig)
	if promised := added(haproxyConfig, dry.stdout); promised == "" || !strings.Contains(file, promised) {
		t.Errorf("the plan promised\n%s\nand the file is\n%s", promised, file)
	}
	last := s.sh(guide[len(guide)-1], "cat "+k0s.ConfigPath)
	if promised := added(k0s.ConfigPath, dry.stdout); promised != last {
		t.Errorf("the plan promised\n%s\nand the last k0s.yaml is\n%s", promised, last)
	}
	t.Run("by k0s kubectl", func(t *testing.T) { s.in(t).checkK0sKubectl() })
}

// added is what the last diff of a file in a tree adds to it.
func added(path, tree string) string {
	var lines []string
	plus := regexp.MustCompile(`^[│ ]+\+(.*)$`)
	diff := tree[strings.LastIndex(tree, "+++ "+path)+1:]
	for line := range strings.Lines(diff) {
		if match := plus.FindStringSubmatch(strings.TrimRight(line, "\n")); match != nil {
			lines = append(lines, match[1])
		} else if len(lines) > 0 {
			break
		}
	}
	return strings.Join(lines, "\n")
}

// titles are the steps of what was printed.
func titles(pattern, text string) []string {
	var found []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// initOnATerminal runs ha-init as a person does, who widens the terminal while k0s is uploaded. It returns what is there
// in the end: what was live is gone, and the result stands below the steps.
func (s *site) initOnATerminal() string {
	s.t.Helper()
	var pty *terminal.PTY
	var widen sync.Once
	uploading := regexp.MustCompile(`└ .*: \d+% of \d+ MB, \d+ MB/s, [\d.]+s left\n`)
	pty, err := terminal.Open(80, 24, func(screen *terminal.Screen) {
		if uploading.MatchString(screen.String()) {
			widen.Do(func() {
				s.t.Logf("before it is widened:\n%s", screen)
				if err := pty.Resize(200, 50); err != nil {
					s.t.Error(err)
				}
			})
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer pty.Close()
	command := s.command(s.t.Context(), haInit, "-f", s.path("cluster.yaml"))
	command.Env = append(command.Env, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=")
	ran := pty.Run(command)
	screen, err := pty.Settle()
	s.t.Logf("at the end:\n%s", screen)
	if ran != nil || err != nil {
		s.t.Fatal(ran)
	}
	if columns, _ := screen.Size(); columns != 200 {
		s.t.Error("nobody saw an upload with its rate and the time left")
	}
	if !screen.AtLineStart() || !screen.Coloured() || strings.ContainsAny(screen.String(), "└⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏") {
		s.t.Error("the terminal is not left with colours, without the live lines, and at the start of a line")
	}
	if !strings.Contains(screen.String(), "highly available") {
		s.t.Error("the result is not there")
	}
	return screen.String()
}
