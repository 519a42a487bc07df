package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// exitNotExist is what our scripts exit with when a file does not exist; commands hardly use it.
const exitNotExist = 44

// ReadFile returns the content of a file; the error matches fs.ErrNotExist when there is none.
func (h *Host) ReadFile(ctx context.Context, path string) ([]byte, error) {
	var content bytes.Buffer
	command := fmt.Sprintf("[ -e %[1]s ] || exit %[2]d; cat -- %[1]s", shell.Quote(path), exitNotExist)
	err := h.Stream(ctx, command, nil, &content)
	var failed *CommandError
	if errors.As(err, &failed) && failed.ExitCode == exitNotExist {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s on %s: %w", path, h.name, ofScript(err))
	}
	return content.Bytes(), nil
}

// writeScript replaces the file $path by $size bytes from standard input. It is all or nothing: a connection that
// breaks ends the input early, which the size shows. A symbolic link stays one.
const writeScript = `set -eu
if [ -L "$path" ]; then path=$(readlink -f -- "$path"); fi
part="$path.part-$$-$random"
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT TERM
umask 077
kept=
if [ -z "$mode" ] && [ -e "$path" ]; then
	cp -a -- "$path" "$part"
	kept=yes
fi
cat >"$part"
got=$(wc -c <"$part")
[ "$got" -eq "$size" ] || { echo "only $got of $size bytes arrived" >&2; exit 1; }
[ -n "$kept" ] || chmod "${mode:-0644}" "$part"
sync -- "$part" 2>/dev/null || sync
mv -f -- "$part" "$path"
[ -n "$kept" ] || ! command -v restorecon >/dev/null || restorecon -- "$path" || :
sync -- "${path%/*}/" 2>/dev/null || sync
`

// WriteFile replaces a file in one step, so that whoever reads it sees the old or the new content, and so that a crash
// leaves one of them. Mode 0 keeps owner, mode and SELinux context of the existing file; a new file is then root's with
// mode 0644. Any other mode makes the file root's. The directory has to exist.
func (h *Host) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	random, err := randomName()
	if err != nil {
		return err
	}
	command := variables("path", path, "size", fmt.Sprint(len(data)), "mode", octal(mode), "random", random) + writeScript
	if err := h.Stream(ctx, command, bytes.NewReader(data), nil); err != nil {
		return fmt.Errorf("writing %s on %s: %w", path, h.name, ofScript(err))
	}
	return nil
}

// octal writes a mode for chmod; empty for 0, which stands for "as it is".
func octal(mode fs.FileMode) string {
	if mode == 0 {
		return ""
	}
	return fmt.Sprintf("%04o", mode.Perm())
}

// variables assigns shell variables, given as names and values in turn.
func variables(namesAndValues ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		fmt.Fprintf(&b, "%s=%s\n", namesAndValues[i], shell.Quote(namesAndValues[i+1]))
	}
	return b.String()
}
