package controlplane

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/step"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/discover"
)

// Entries are the hosts that get an entry in the cluster file once they have joined.
type Entries struct {
	targets []string // [USER@]HOST[:PORT]
	role    config.Role
	path    string // of the file; empty where none was given
	kept    bool   // the file stays as it is
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
			return g, e, fmt.Errorf("%s is a %s in %s: remove that entry first, or name another host", target, h.Role, o.Cluster.Name)
		}
		g.Wanted = append(g.Wanted, h)
		if slices.Contains(e.targets, target) {
			g.Unwritten = append(g.Unwritten, h)
			h.K0sBinaryPath = cmp.Or(o.K0sBinary, h.K0sBinaryPath)
		}
	}
	return g, e, nil
}

// readWith reads the cluster file as it will be with the entries, or, without one, adds them to what was found in the
// cluster.
func (o *Options) readWith(e Entries) error {
	if len(e.targets) == 0 {
		return nil
	}
	var file edited
	var err error
	if o.Fileless {
		if file, err = e.addedTo(discover.Source, o.found); err != nil {
			return err
		}
		err = o.CompleteText(file.data)
	} else {
		if file, err = e.added(); err != nil {
			return err
		}
		o.Cluster, err = config.LoadText(o.File, file.data, o.LoadBalancers...)
	}
	if err != nil {
		return err
	}
	remedy := "write its entry into " + o.File + " first"
	if o.Fileless {
		remedy = "name a cluster file with -f FILE"
	}
	for _, what := range file.leftOut {
		o.Cluster.Warnings = append(o.Cluster.Warnings, what+", which the other controllers have: where it needs some of its own, "+remedy)
	}
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
	leftOut []string // "HOST gets no FIELD"
}

// added reads the file as it is now and adds the entries that it lacks.
func (e Entries) added() (edited, error) {
	data, err := os.ReadFile(e.path)
	if err != nil {
		return edited{}, fmt.Errorf("reading cluster file: %w", err)
	}
	return e.addedTo(e.path, data)
}

// addedTo adds the entries that a text lacks; its name is for errors.
func (e Entries) addedTo(name string, data []byte) (edited, error) {
	file := edited{data: data}
	for _, target := range e.targets {
		parsed, err := config.Parse(name, file.data)
		if err != nil {
			return file, err
		}
		if parsed.Cluster.Find(target) != nil {
			continue
		}
		added, err := config.AddController(name, file.data, target, e.role)
		if err != nil {
			return file, err
		}
		file.data = added.Data
		file.entries = append(file.entries, added.Entry)
		for _, what := range added.LeftOut {
			file.leftOut = append(file.leftOut, fmt.Sprintf("%s gets no %s", target, what))
		}
	}
	return file, nil
}

// Add adds the entries to the file.
func (e Entries) Add(title string) step.Step {
	return step.Step{
		Title: title,
		Skip: func(context.Context) (string, error) {
			if e.path == "" {
				return "no file was given", nil
			}
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
			before, err := os.ReadFile(e.path)
			if err != nil {
				return nil, fmt.Errorf("reading cluster file: %w", err)
			}
			file, err := e.addedTo(e.path, before)
			return diffLines(e.path, before, file.data), err
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
