package haproxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// ValidationError says that HAProxy does not take a file. The one in place was not touched.
type ValidationError struct {
	Path string
	// Output is what HAProxy said.
	Output string
}

func (e *ValidationError) Error() string {
	return fmt.Sprintf("HAProxy does not accept the new %s, which was not put in place: %s", e.Path, e.Output)
}

// ReloadError says that HAProxy did not come to run with a new file.
type ReloadError struct {
	Path string
	// Cause is what failed, Log what HAProxy logged of it, if anything.
	Cause error
	Log   string
	// Restored says that the old file is in place again; RestoreErr why it is not.
	Restored   bool
	RestoreErr error
	// Kept is where the file is as it was found, when what was restored is older than that; else empty.
	Kept string
}

func (e *ReloadError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HAProxy does not run with the new %s: %v", e.Path, e.Cause)
	if e.Log != "" {
		fmt.Fprintf(&b, ": %s", e.Log)
	}
	switch {
	case e.Restored:
		b.WriteString("; the old file was restored")
		if e.Kept != "" {
			fmt.Fprintf(&b, ", and the file as it was found is kept in %s", e.Kept)
		}
	case e.RestoreErr != nil:
		fmt.Fprintf(&b, "; restoring the old file failed too: %v", e.RestoreErr)
	}
	return b.String()
}

func (e *ReloadError) Unwrap() error { return e.Cause }

// unconfirmedPath is where the former file is kept from before a change until its reload was seen to succeed. None of
// our file names ends in .cfg, since units may load all of those in a folder.
func unconfirmedPath(config string) string { return config + ".kubectl-ha-unconfirmed" }

// Unconfirm makes every plan reload HAProxy, until a reload was seen to succeed. Call it before a file is changed that
// the block names, such as the client certificate: whoever is killed in between, HAProxy comes to read it.
func (b *Balancer) Unconfirm(ctx context.Context) error {
	return b.locked(ctx, func() error {
		cur, err := b.Current(ctx)
		if err != nil {
			return err
		}
		return b.unconfirm(ctx, cur)
	})
}

func (b *Balancer) unconfirm(ctx context.Context, cur *Current) error {
	if cur.Unconfirmed {
		return nil
	}
	return b.machine.WriteFile(ctx, unconfirmedPath(cur.Path), cur.Config, 0o600)
}

func candidatePath(config string) string { return config + ".kubectl-ha-candidate" }

// BackupPath is where Backup keeps a copy made at that time.
func BackupPath(config string, at time.Time) string {
	return config + ".kubectl-ha-backup-" + at.UTC().Format("20060102T150405Z")
}

// Backup keeps a copy of the configuration beside it, with its owner and mode, and returns where.
func (b *Balancer) Backup(ctx context.Context) (string, error) {
	config, err := b.resolve(ctx)
	if err != nil {
		return "", err
	}
	backup := BackupPath(config, b.options.Now())
	if _, err := b.machine.Output(ctx, "cp -p -- "+shell.Quote(config)+" "+shell.Quote(backup), nil); err != nil {
		return "", fmt.Errorf("keeping a copy of %s: %w", config, err)
	}
	return backup, nil
}

// Validate asks HAProxy, in the way its unit does, whether it would take content as its configuration file. The
// candidate lies in the same folder, so that relative paths mean the same.
func (b *Balancer) Validate(ctx context.Context, content []byte) error {
	config, err := b.resolve(ctx)
	if err != nil {
		return err
	}
	candidate := candidatePath(config)
	if err := b.machine.WriteFile(ctx, candidate, content, 0o600); err != nil {
		return fmt.Errorf("validating the new %s: %w", config, err)
	}
	// EXTRAOPTS (Debian) and OPTIONS (RHEL) come from the unit's environment file. RHEL's unit loads conf.d, too.
	script := `PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
candidate=` + shell.Quote(candidate) + ` folder=` + shell.Quote(path.Join(path.Dir(b.spec.ConfigPath), "conf.d")) + `
set -a
for f in /etc/default/haproxy /etc/sysconfig/haproxy; do
if [ -r "$f" ] && (. "$f") >/dev/null 2>&1; then . "$f"; fi; done
set +a
set -- -f "$candidate"
if [ -d "$folder" ] && systemctl cat ` + shell.Quote(b.options.Unit) + ` 2>/dev/null | grep -q -e CFGDIR -e conf\.d
then set -- "$@" -f "$folder"; fi
out=$(` + shell.Quote(b.options.Executable) + ` -c -W "$@" $EXTRAOPTS $OPTIONS 2>&1 </dev/null)
code=$?
rm -f -- "$candidate"
printf '%s\n%s\n' "$code" "$out"`
	out, err := b.machine.Output(ctx, script, nil)
	if err != nil {
		return fmt.Errorf("validating the new %s: %w", config, err)
	}
	code, said, _ := strings.Cut(out, "\n")
	if code == "0" {
		b.valid = sha256.Sum256(content)
		return nil
	}
	said = strings.ReplaceAll(said, candidate, config)
	return &ValidationError{Path: config, Output: fmt.Sprintf("exit status %s: %s", code, alerts(said))}
}

// Validated says whether content is what Validate last saw HAProxy accept. Validation takes longer than all else that a
// change of membership takes.
func (b *Balancer) Validated(content []byte) bool { return sha256.Sum256(content) == b.valid }

// alertLabel is what an alert begins with: its process, and, before HAProxy 2.4, the time.
var alertLabel = regexp.MustCompile(`^\[ALERT\].*?\(\d+\) : `)

// alerts picks what the lines say that tell what is wrong, if there are such lines. The same file gives the same text.
func alerts(output string) string {
	var picked []string
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); strings.Contains(line, "[ALERT]") {
			picked = append(picked, alertLabel.ReplaceAllString(line, ""))
		}
	}
	if len(picked) == 0 {
		return strings.TrimSpace(output)
	}
	return strings.Join(picked, "; ")
}

// replaceFile puts content in place of the file as it was read, once HAProxy has accepted it.
func (r *run) replaceFile(ctx context.Context, content []byte, beforeReload bool) error {
	config := r.plan.cur.Path
	if err := r.Validate(ctx, content); err != nil {
		return err
	}
	if beforeReload {
		if err := r.checkPorts(ctx, content); err != nil {
			return err
		}
	}
	old, err := r.machine.ReadFile(ctx, config)
	mode := fs.FileMode(0) // as it is
	if errors.Is(err, fs.ErrNotExist) {
		mode = 0o644
	} else if err != nil {
		return err
	}
	if sha256.Sum256(old) != r.hash {
		return &ChangedError{Path: config}
	}
	// One that is there holds the last file that was seen to run.
	if beforeReload && !r.plan.cur.Unconfirmed {
		if err := r.machine.WriteFile(ctx, unconfirmedPath(config), old, 0o600); err != nil {
			return err
		}
	}
	if err := r.machine.WriteFile(ctx, config, content, mode); err != nil {
		return err
	}
	r.file, r.hash = content, sha256.Sum256(content)
	return nil
}

// reload makes HAProxy run with the file, and sees that it does; else the file from before is put back.
func (r *run) reload(ctx context.Context, kind ActionKind) error {
	if bytes.Equal(r.file, r.plan.cur.Config) { // else it was looked at before it was written
		if err := r.checkPorts(ctx, r.file); err != nil {
			return err
		}
	}
	err := r.callService(ctx, kind)
	if err == nil {
		err = r.awaitLoaded(ctx)
	}
	config := r.plan.cur.Path
	if err == nil {
		r.before = r.file
		return r.remove(ctx, unconfirmedPath(config))
	}
	if ctx.Err() != nil {
		return err
	}
	failure := &ReloadError{Path: config, Cause: err, Log: r.recentAlerts(ctx)}
	if !bytes.Equal(r.before, r.file) {
		failure.Kept, failure.RestoreErr = r.keepFound(ctx)
		if failure.RestoreErr == nil {
			failure.RestoreErr = r.restore(ctx)
		}
		failure.Restored = failure.RestoreErr == nil
	}
	return failure
}

func (r *run) callService(ctx context.Context, kind ActionKind) error {
	if kind == ActReload {
		return r.service.Reload(ctx)
	}
	if err := r.service.Enable(ctx); err != nil {
		return err
	}
	return r.service.Start(ctx)
}

// awaitLoaded waits until a new worker answers that has the slots of the file.
func (r *run) awaitLoaded(ctx context.Context) error {
	loaded := &Current{Config: r.file}
	if err := loaded.parse(r.plan.spec); err != nil {
		return err
	}
	reason := ""
	err := r.poll(ctx, time.Now().Add(r.options.ReloadTimeout), func() (bool, error) {
		runtime, err := r.runtime(ctx)
		if err != nil {
			// The socket is away for a moment while the worker changes.
			reason = err.Error()
			return false, nil
		}
		if runtime.PID == r.pid {
			reason = fmt.Sprintf("the old worker (pid %d) still runs", r.pid)
			return false, nil
		}
		loaded.Runtime = runtime
		if !loaded.Loaded() {
			reason = "the new worker has other server lines than the file"
			return false, nil
		}
		r.pid = runtime.PID
		return true, nil
	})
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("waited %v: %s", r.options.ReloadTimeout, reason)
	}
	return err
}

// keepFound keeps the file as it was found beside it, when the one to be restored is from before an interrupted run: the
// user may have written something since.
func (r *run) keepFound(ctx context.Context) (kept string, err error) {
	found := r.plan.cur
	if !found.Unconfirmed || bytes.Equal(found.Config, r.before) {
		return "", nil
	}
	kept = BackupPath(found.Path, r.options.Now())
	return kept, r.machine.WriteFile(ctx, kept, found.Config, 0o600)
}

// restore puts the old file back and lets HAProxy read it, if it ran before.
func (r *run) restore(ctx context.Context) error {
	config := r.plan.cur.Path
	if len(r.before) == 0 {
		return errors.Join(r.remove(ctx, config), r.remove(ctx, unconfirmedPath(config)))
	}
	if err := r.machine.WriteFile(ctx, config, r.before, 0); err != nil {
		return err
	}
	r.file, r.hash = r.before, sha256.Sum256(r.before)
	if r.plan.cur.Running {
		if err := r.service.Reload(ctx); err != nil {
			return err
		}
		if running, err := r.service.Running(ctx); err != nil || !running {
			return errors.Join(err, errors.New("HAProxy does not run"))
		}
	}
	return r.remove(ctx, unconfirmedPath(config))
}

func (b *Balancer) remove(ctx context.Context, path string) error {
	_, err := b.machine.Output(ctx, "rm -f -- "+shell.Quote(path), nil)
	return err
}

// recentAlerts is what HAProxy logged last of what went wrong, as far as systemd knows it.
func (b *Balancer) recentAlerts(ctx context.Context) string {
	out, err := b.machine.Output(ctx, "journalctl -u "+shell.Quote(b.options.Unit)+
		" -n 20 -o cat --no-pager 2>/dev/null | grep -F '[ALERT]' | tail -n 3", nil)
	if err != nil {
		return ""
	}
	return alerts(out)
}
