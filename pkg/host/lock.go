package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// LockedError says that somebody else holds a lock on a host.
type LockedError struct {
	Host   string
	Path   string
	Holder string // "anna@laptop, process 4711, since 2026-01-02T15:04:05Z"
	PID    string // of the process on the host that holds the lock
}

// Error names the holder and what ends a lock that nobody will ever release.
func (e *LockedError) Error() string {
	return fmt.Sprintf("%s on %s is locked by %s: wait for it to finish; if it cannot be running any more, "+
		"run `kill %s` on that host", e.Path, e.Host, e.Holder, e.PID)
}

// lockWait is how long Lock waits for a lock when its context has no deadline.
const lockWait = 30 * time.Second

// A holder says every lockBeat that it is there; one that says nothing for lockPatience is taken for gone.
const (
	lockBeat     = 4 * time.Second
	lockPatience = 20 * time.Second
)

// lockScript holds a lock on $path for as long as standard input is open and bytes come from there. It prints "locked", or
// "busy" and the content of the file, which names the holder. busybox's flock knows no waiting. The processes that read
// do not hold the lock, so that it ends with the one that the file names.
const lockScript = `set -eu
mkdir -p -- "${path%/*}/"
exec 9>>"$path"
end=$(($(date +%s) + wait))
until flock -n 9; do
	if [ "$(date +%s)" -ge "$end" ]; then
		echo busy
		cat -- "$path"
		exit 0
	fi
	sleep 0.2 2>/dev/null || sleep 1
done
printf '%s\n%s\n' "$holder" $$ >"$path"
echo locked
code=0
while beat=$(exec 9>&-; exec timeout "$patience" head -c 1) || code=$?; [ -n "$beat" ]; do :; done
: >"$path"
exit "$code"
`

// Lock takes an exclusive lock on a file of the host. A process on the host holds it, for as long as it has our end of
// the SSH session: unlock, Close, or the death of this process release it. When the network to the host breaks
// silently, or this process is stopped, the lock ends after 20 s.
//
// A lock that somebody holds is waited for until shortly before the deadline of ctx, 30 s if it has none; then the
// error is a *LockedError. Unlock reports a lock that was lost before.
func (h *Host) Lock(ctx context.Context, path string) (unlock func() error, err error) {
	wait := lockWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, time.Until(deadline)-2*time.Second)
	}
	owner := fmt.Sprintf("%s, since %s", h.holder, time.Now().UTC().Format(time.RFC3339))
	command := variables("path", path, "wait", fmt.Sprint(int(wait.Seconds())), "holder", owner,
		"patience", fmt.Sprint(int(lockPatience.Seconds()))) + lockScript

	input, release := io.Pipe()
	output, written := io.Pipe()
	ended := make(chan error, 1)
	held, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	go func() {
		err := h.Stream(held, command, input, written)
		written.CloseWithError(err)
		input.CloseWithError(err)
		ended <- err
	}()
	stopWaiting := context.AfterFunc(ctx, func() { stop(context.Cause(ctx)) })
	answer := bufio.NewReader(output)
	word, err := answer.ReadString('\n')
	if !stopWaiting() && err == nil {
		err = context.Cause(ctx) // too late: the lock is given back
	}
	if err == nil && strings.TrimSpace(word) == "locked" {
		go io.Copy(io.Discard, answer)
		go beat(held, release)
		return sync.OnceValue(func() error {
			defer stop(nil)
			release.Close()
			if err := <-ended; err != nil {
				return fmt.Errorf("the lock %s on %s was lost before it was released: %w", path, h.name, err)
			}
			return nil
		}), nil
	}
	release.Close()
	said, _ := io.ReadAll(answer)
	failed := <-ended
	stop(nil)
	if err == nil {
		holder, pid, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		if holder == "" {
			holder = "a process that has not said who it is"
		}
		return nil, &LockedError{Host: h.name, Path: path, Holder: holder, PID: strings.TrimSpace(pid)}
	}
	if errors.Is(err, io.EOF) || failed != nil {
		err = failed
	}
	return nil, fmt.Errorf("locking %s on %s: %w", path, h.name, ofScript(err))
}

// beat keeps a lock until ctx or the session ends.
func beat(ctx context.Context, session io.Writer) {
	ticker := time.NewTicker(lockBeat)
	defer ticker.Stop()
	for {
		if _, err := session.Write([]byte{'x'}); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
