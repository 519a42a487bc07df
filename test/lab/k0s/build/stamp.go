package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sourceFiles are the files that the k0s command is compiled from.
func sourceFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// The build's own output may lie within the module.
		if entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		source := strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".yaml")
		if entry.Type().IsRegular() && source && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return nil
	})
	slices.Sort(files)
	return files, err
}

// hashFiles hashes names and contents.
func hashFiles(paths []string) (string, error) {
	sum := sha256.New()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, path)
		_, err = io.Copy(sum, file)
		_ = file.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func stampOf(inputs ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(inputs, "\x00")))
	return hex.EncodeToString(sum[:])
}

func stampPath(path string) string { return path + ".stamp" }

// fresh reports whether a file exists and was made from what the stamp says.
func fresh(path, stamp string) bool {
	have, err := os.ReadFile(stampPath(path))
	if err != nil || string(have) != stamp {
		return false
	}
	_, err = os.Stat(path)
	return err == nil
}

func writeStamp(path, stamp string) error { return os.WriteFile(stampPath(path), []byte(stamp), 0o644) }
