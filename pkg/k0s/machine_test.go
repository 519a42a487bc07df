package k0s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// scriptedMachine answers commands as told and keeps files. A command it was not told about fails.
type scriptedMachine struct {
	t       *testing.T
	answers map[string]answer
	files   map[string]file

	commands []string
}

type answer struct {
	output string
	err    error
}

type file struct {
	data string
	mode fs.FileMode
}

func newMachine(t *testing.T, answers map[string]answer) *scriptedMachine {
	t.Helper()
	return &scriptedMachine{t: t, answers: answers, files: map[string]file{}}
}

func (m *scriptedMachine) Output(_ context.Context, command string, stdin io.Reader) (string, error) {
	m.commands = append(m.commands, command)
	if stdin != nil {
		m.t.Errorf("%s got a standard input", command)
	}
	a, known := m.answers[command]
	if !known {
		return "", fmt.Errorf("unexpected command: %s", command)
	}
	return a.output, a.err
}

func (m *scriptedMachine) ReadFile(_ context.Context, path string) ([]byte, error) {
	f, found := m.files[path]
	if !found {
		return nil, fmt.Errorf("reading %s: %w", path, fs.ErrNotExist)
	}
	return []byte(f.data), nil
}

func (m *scriptedMachine) WriteFile(_ context.Context, path string, data []byte, mode fs.FileMode) error {
	m.files[path] = file{string(data), mode}
	return nil
}

func (m *scriptedMachine) expect(commands ...string) {
	m.t.Helper()
	if !slices.Equal(m.commands, commands) {
		m.t.Errorf("commands on the host:\n%s\nwant:\n%s", strings.Join(m.commands, "\n"), strings.Join(commands, "\n"))
	}
}

var errBroken = errors.New("broken")
