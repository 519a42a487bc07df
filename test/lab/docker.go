package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// The labels on everything a lab starts: the lab's name, and on a container the host's.
const (
	labelLab  = "kubectl-ha.lab"
	labelHost = "kubectl-ha.lab.host"
)

// docker runs the docker command and returns its standard output without the final newline. An error carries what
// the command wrote to standard error.
func docker(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return strings.TrimSuffix(stdout.String(), "\n"), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("the lab's hosts are containers, and there is no docker command here: install Docker")
	case ctx.Err() != nil:
		return "", fmt.Errorf("docker %s: %w", args[0], context.Cause(ctx))
	}
	return stdout.String(), &dockerError{verb: args[0], stderr: strings.TrimSpace(stderr.String()), err: err}
}

// makeLimit is how long Docker may take to make a container or a network.
const makeLimit = 2 * time.Minute

// dockerMake runs a docker command that makes something. Docker goes on making it when the command is interrupted, and
// a clean-up at that moment would miss it; so the command runs to its end, and only then ctx counts.
func dockerMake(ctx context.Context, args ...string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeLimit)
	defer cancel()
	_, err := docker(limited, nil, args...)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// dockerError is a docker command that ended with an exit code other than 0.
type dockerError struct {
	verb   string
	stderr string
	err    error
}

func (e *dockerError) Error() string {
	if e.stderr == "" {
		return fmt.Sprintf("docker %s: %v", e.verb, e.err)
	}
	return fmt.Sprintf("docker %s: %s", e.verb, e.stderr)
}

func (e *dockerError) Unwrap() error { return e.err }

// lines splits the output of a docker command that prints one item per line; no output is no items.
func lines(output string) []string {
	return strings.FieldsFunc(output, func(r rune) bool { return r == '\n' })
}
