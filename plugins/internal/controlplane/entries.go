package controlplane

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
)

// Entries are the hosts that get an entry in the cluster file once they have joined.
type Entries struct {
	targets []string // [USER@]HOST[:PORT]
	role    config.Role
	path    string
	kept    bool // the file stays as it is
}

// LetIn finds the hosts [USER@]HOST[:PORT] in the cluster file, which Complete has read. Those that it does not name get
// an entry: in o.Cluster alone, until the step of Entries is taken.
func (o *Options) LetIn(role config.Role, targets ...string) (Growth, Entries, error) {
	e := Entries{role: role, path: o.File}
	for _, target := range targets {
		if o.Cluster.Cluster.Find(target) == nil {
			e.targets = append(e.targets, target)
		}
	}
	if err := o.readWith(e); err != nil {
		return Growth{}, e, err
	}
	var g Growth
	for _, target := range targets {
		h := o.Cluster.Cluster.Find(target)
		if !h.IsController() {
			return g, e, fmt.Errorf("%s is a %s in %s: remove that entry first, or name another host", target, h.Role, o.File)
		}
		g.Wanted = append(g.Wanted, h)
		if slices.Contains(e.targets, target) {
			g.Unwritten = append(g.Unwritten, h)
		}
	}
	return g, e, nil
}

// readWith reads the cluster file as it will be with the entries.
func (o *Options) readWith(e Entries) error {
	if len(e.targets) == 0 {
		return nil
	}
	file, err := e.added()
	if err != nil {
		return err
	}
	if o.Cluster, err = config.LoadText(o.File, file.data, o.LoadBalancers...); err != nil {
		return err
	}
	o.Cluster.Warnings = append(o.Cluster.Warnings, file.leftOut...)
	return nil
}

// Kept leaves the file as it is.
func (e Entries) Kept() Entries {
	e.kept = true
	return e
}

// edited is the file with the entries of the hosts that it does not name yet, and what was done for that.
type edited struct {
	data    []byte
	entries []string
	leftOut []string
}

// added reads the file as it is now and adds the entries that it lacks.
func (e Entries) added() (edited, error) {
	var file edited
	var err error
	if file.data, err = os.ReadFile(e.path); err != nil {
		return file, fmt.Errorf("reading cluster file: %w", err)
	}
	for _, target := range e.targets {
		parsed, err := config.Parse(e.path, file.data)
		if err != nil {
			return file, err
		}
		if parsed.Cluster.Find(target) != nil {
			continue
		}
		added, err := config.AddController(e.path, file.data, target, e.role)
		if err != nil {
			return file, err
		}
		file.data = added.Data
		file.entries = append(file.entries, added.Entry)
		for _, what := range added.LeftOut {
			file.leftOut = append(file.leftOut, fmt.Sprintf("%s gets no %s, which the other controllers have: where it needs some of "+
				"its own, write its entry into %s first", target, what, e.path))
		}
	}
	return file, nil
}

// Add adds the entries to the file.
func (e Entries) Add(title string) step.Step {
	return step.Step{
		Title: title,
		Skip: func(context.Context) (string, error) {
			file, err := e.added()
			switch {
			case err != nil:
				return "", err
			case len(file.entries) == 0:
				return "it names them all", nil
			case e.kept:
				return "not wanted (--edit-file=false): add the entry of " + strings.Join(e.targets, ", ") + " yourself", nil
			}
			return "", nil
		},
		Detail: func(context.Context) ([]string, error) {
			file, err := e.added()
			var lines []string
			for _, entry := range file.entries {
				lines = append(lines, strings.Split("- "+strings.ReplaceAll(entry, "\n", "\n  "), "\n")...)
			}
			return lines, err
		},
		Run: func(context.Context) error {
			file, err := e.added()
			if err != nil {
				return err
			}
			return config.Replace(e.path, file.data)
		},
	}
}
