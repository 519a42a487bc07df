package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// sameFileScript exits with exitNotExist unless $path has $size bytes with the SHA-256 $sum. Then it sets the mode.
const sameFileScript = `set -eu
[ -f "$path" ] && [ "$(wc -c <"$path")" -eq "$size" ] || exit $missing
got=$(sha256sum <"$path")
[ "${got%% *}" = "$sum" ] || exit $missing
chmod "${mode:-0644}" "$path"
`

// uploadScript makes $path of standard input. A part file belongs to the process in its name; those of processes that
// are gone are leftovers.
const uploadScript = `set -eu
for old in "$path".part-*; do
	[ -e "$old" ] || continue
	owner=${old##*.part-}
	[ -d "/proc/${owner%%-*}" ] || rm -f -- "$old"
done
part="$path.part-$$-$random"
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT TERM
umask 077
cat >"$part"
got=$(wc -c <"$part")
[ "$got" -eq "$size" ] || { echo "only $got of $size bytes arrived" >&2; exit 1; }
got=$(sha256sum <"$part")
[ "${got%% *}" = "$sum" ] || { echo "the SHA-256 of what arrived is ${got%% *}, expected $sum" >&2; exit 1; }
chmod "${mode:-0644}" "$part"
sync -- "$part" 2>/dev/null || sync
mv -f -- "$part" "$path"
sync -- "${path%/*}/" 2>/dev/null || sync
`

// Upload copies size bytes to a file on the host, as root. The file appears in one step, after its SHA-256 was
// verified on the host, with the mode; 0 stands for 0644. Nothing is copied when the file is there already; then only
// its mode is set. The directory has to exist. Progress, which may be nil, is told from another goroutine how many bytes
// were handed to the connection.
func (h *Host) Upload(ctx context.Context, src io.ReaderAt, size int64, sha256hex, path string, mode fs.FileMode,
	progress func(done int64)) (skipped bool, err error) {
	random, err := randomName()
	if err != nil {
		return false, err
	}
	given := variables("path", path, "size", fmt.Sprint(size), "sum", sha256hex, "mode", octal(mode), "random", random,
		"missing", fmt.Sprint(exitNotExist))
	err = h.Stream(ctx, given+sameFileScript, nil, nil)
	if err == nil {
		return true, nil
	}
	var failed *CommandError
	if errors.As(err, &failed) && failed.ExitCode == exitNotExist {
		err = h.Stream(ctx, given+uploadScript, &progressReader{r: io.NewSectionReader(src, 0, size), tell: progress}, nil)
	}
	if err != nil {
		return false, fmt.Errorf("uploading %s to %s: %w", path, h.name, ofScript(err))
	}
	return false, nil
}

// progressReader tells how much was read.
type progressReader struct {
	r    io.Reader
	tell func(done int64)
	done int64
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if n > 0 && p.tell != nil {
		p.tell(p.done)
	}
	return n, err
}

// randomName keeps the temporary files of several runs apart.
func randomName() (string, error) {
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("making a name: %w", err)
	}
	return hex.EncodeToString(random), nil
}
