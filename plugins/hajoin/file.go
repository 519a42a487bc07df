package hajoin

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
)

// newEntries are hosts that get an entry in the cluster file.
type newEntries struct {
	targets []string // [USER@]HOST[:PORT]
	role    config.Role
}

// edited is the file with the entries of the hosts that it does not name yet, and what was done for that.
type edited struct {
	data    []byte
	entries []string
	leftOut []string
}

// addTo reads the file as it is now and adds the entries that it lacks.
func (n newEntries) addTo(path string) (edited, error) {
	var e edited
	var err error
	if e.data, err = os.ReadFile(path); err != nil {
		return e, fmt.Errorf("reading cluster file: %w", err)
	}
	for _, target := range n.targets {
		file, err := config.Parse(path, e.data)
		if err != nil {
			return e, err
		}
		if file.Cluster.Find(target) != nil {
			continue
		}
		added, err := config.AddController(path, e.data, target, n.role)
		if err != nil {
			return e, err
		}
		e.data = added.Data
		e.entries = append(e.entries, added.Entry)
		for _, what := range added.LeftOut {
			e.leftOut = append(e.leftOut, fmt.Sprintf("%s gets no %s, which the other controllers have: where it needs some of "+
				"its own, write its entry into %s first", target, what, path))
		}
	}
	return e, nil
}

// step adds the entries to the file.
func (n newEntries) step(path string) step.Step {
	return step.Step{
		Title: "Add the new hosts to the cluster file",
		Skip: func(context.Context) (string, error) {
			e, err := n.addTo(path)
			if err == nil && len(e.entries) == 0 {
				return "it names them all", nil
			}
			return "", err
		},
		Detail: func(context.Context) ([]string, error) {
			e, err := n.addTo(path)
			var lines []string
			for _, entry := range e.entries {
				lines = append(lines, strings.Split("- "+strings.ReplaceAll(entry, "\n", "\n  "), "\n")...)
			}
			return lines, err
		},
		Run: func(context.Context) error {
			e, err := n.addTo(path)
			if err != nil {
				return err
			}
			return config.Replace(path, e.data)
		},
	}
}
