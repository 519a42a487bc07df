package controlplane

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// helperName is what ha-lb-helper is called on this machine; one for another architecture may have its name after it.
const helperName = "ha-lb-helper"

// findHelper finds ha-lb-helper for an architecture: the file that is named, or one in the folders.
func findHelper(named, arch string, folders []string) (upload, error) {
	if named != "" {
		if is, err := archOf(named); err != nil || is != arch {
			return upload{}, fmt.Errorf("spec.syncer.helper: %w", wrongHelper(named, is, arch, err))
		}
		return measure(named)
	}
	for _, folder := range folders {
		for _, name := range []string{helperName + "-" + arch, helperName} {
			file := filepath.Join(folder, name)
			is, err := archOf(file)
			if err == nil && is == arch {
				return measure(file)
			}
		}
	}
	return upload{}, fmt.Errorf("no %s for %s is beside this program or in PATH: put the file %s-%[2]s of this version's release there, or name it in spec.syncer.helper",
		helperName, arch, helperName)
}

func wrongHelper(file, is, want string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s: correct it", file)
	case err != nil:
		return fmt.Errorf("%s is no program for Linux: %w", file, err)
	}
	return fmt.Errorf("%s is for %s, but the load balancer is %s: leave it out and put one for each beside this program, as %s-%[3]s",
		file, is, want, helperName)
}

// helperFolders are where ha-lb-helper is looked for: beside this program, wherever a link to it lies, then in PATH.
func helperFolders() []string {
	var folders []string
	if program, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(program); err == nil {
			program = resolved
		}
		folders = append(folders, filepath.Dir(program))
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(folder) { // never what happens to lie in the folder that one is in
			folders = append(folders, folder)
		}
	}
	return folders
}

// archOf is the architecture that a program for Linux is made for, as k0s names its releases.
func archOf(file string) (string, error) {
	program, err := elf.Open(file)
	if err != nil {
		return "", err
	}
	defer program.Close()
	switch program.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	case elf.EM_ARM:
		return "arm", nil
	case elf.EM_RISCV:
		return "riscv64", nil
	}
	return strings.ToLower(strings.TrimPrefix(program.Machine.String(), "EM_")), nil
}
