package controlplane

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// archive is an OCI archive of the syncer's image on this machine.
type archive struct {
	upload
	image  string // its name
	digest string // of its content
}

// readArchive finds out which image is in an OCI archive.
func readArchive(file string) (archive, error) {
	u, err := measure(file)
	if err != nil {
		return archive{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return archive{}, err
	}
	defer f.Close()
	text, err := indexOf(f)
	if err != nil {
		return archive{}, fmt.Errorf("reading %s: %w: make one with `make image`", file, err)
	}
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return archive{}, fmt.Errorf("reading index.json of %s: %w", file, err)
	}
	if len(index.Manifests) != 1 {
		return archive{}, fmt.Errorf("%s holds %d images: make an archive of the syncer's alone", file, len(index.Manifests))
	}
	m := index.Manifests[0]
	name := cmp.Or(m.Annotations["io.containerd.image.name"], m.Annotations["org.opencontainers.image.ref.name"])
	if name == "" || m.Digest == "" {
		return archive{}, fmt.Errorf("the image in %s has no name: make the archive with `make image IMAGE=NAME:TAG`", file)
	}
	return archive{u, name, m.Digest}, nil
}

// indexOf reads the one file of an OCI archive that says what is in it.
func indexOf(r io.Reader) ([]byte, error) {
	const most = 1 << 20
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("it is no OCI archive: there is no index.json in it")
		case err != nil:
			return nil, fmt.Errorf("it is no OCI archive: %w", err)
		case path.Clean(header.Name) == "index.json":
			return io.ReadAll(io.LimitReader(files, most))
		}
	}
}

// imagePath is where the archive lies on the machine; k0s imports what is there when it starts.
func (m *machine) imagePath() string {
	return path.Join(m.host.DataDirOrDefault(), "images", "ha-syncer.tar")
}

// importImage makes containerd know the image at once, where it runs: k0s itself would within some seconds, and pods
// that start meanwhile would be of the image before.
func (m *machine) importImage(ctx context.Context) error {
	_, err := m.conn.Output(ctx, fmt.Sprintf("[ ! -S /run/k0s/containerd.sock ] || %s ctr --namespace k8s.io images import %s",
		cmp.Or(m.node.Binary, k0s.DefaultBinary), shell.Quote(m.imagePath())), nil)
	if err != nil {
		return fmt.Errorf("importing the syncer's image: %w", err)
	}
	return nil
}

// without lists those of the machines that run pods and do not have the archive.
func (c *Cluster) without(ctx context.Context, machines []*machine, digest string) ([]*machine, error) {
	lacks := make([]bool, len(machines))
	err := c.each(ctx, machines, func(ctx context.Context, m *machine) error {
		if !m.host.RunsKubelet() {
			return nil
		}
		there, err := digestOf(ctx, m.conn, m.imagePath())
		lacks[slices.Index(machines, m)] = there != digest
		return err
	})
	var hosts []*machine
	for i, m := range machines {
		if lacks[i] {
			hosts = append(hosts, m)
		}
	}
	return hosts, err
}

// putImage gives machines the archive of this one.
func (c *Cluster) putImage(ctx context.Context, hosts []*machine) error {
	return c.each(ctx, hosts, func(ctx context.Context, m *machine) error {
		if err := m.makeImageFolder(ctx); err != nil {
			return err
		}
		if _, err := c.uploadTo(ctx, m.conn, m.name(), c.archive.upload, m.imagePath(), 0o644); err != nil {
			return err
		}
		return m.importImage(ctx)
	})
}

func (m *machine) makeImageFolder(ctx context.Context) error {
	_, err := m.conn.Output(ctx, "mkdir -p "+shell.Quote(path.Dir(m.imagePath())), nil)
	return err
}

// imageless lists the joining machines that lack an archive which another controller has.
func (c *Cluster) imageless(ctx context.Context) ([]*machine, error) {
	_, digest, err := c.imageSource(ctx)
	if err != nil || digest == "" {
		return nil, err
	}
	return c.without(ctx, c.joiners, digest)
}

// imageSource is a controller that has the archive; an empty digest says that none has.
func (c *Cluster) imageSource(ctx context.Context) (source *machine, digest string, err error) {
	for _, m := range c.controllers {
		if slices.Contains(c.joiners, m) || !m.host.RunsKubelet() {
			continue
		}
		if digest, err = digestOf(ctx, m.conn, m.imagePath()); err != nil || digest != "" {
			return m, digest, at(m.host.Conn, err)
		}
	}
	return nil, "", nil
}

// copyImage gives joining machines the archive of another controller: this machine may have none.
func (c *Cluster) copyImage(ctx context.Context, hosts []*machine) error {
	if len(hosts) == 0 {
		return nil
	}
	source, digest, err := c.imageSource(ctx)
	if err != nil || digest == "" {
		return err
	}
	content, err := source.conn.ReadFile(ctx, source.imagePath())
	if err != nil {
		return err
	}
	return c.each(ctx, hosts, func(ctx context.Context, m *machine) error {
		if err := m.makeImageFolder(ctx); err != nil {
			return err
		}
		if _, err := m.conn.Upload(ctx, bytes.NewReader(content), int64(len(content)), digest, m.imagePath(), 0o644, nil); err != nil {
			return err
		}
		return m.importImage(ctx)
	})
}
