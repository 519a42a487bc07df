//go:build !unix

package config

import (
	"io/fs"
	"os"
)

// keepOwner leaves the owner to the folder's rights, from which a new file gets its own where there is no Unix.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
