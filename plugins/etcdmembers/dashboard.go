package etcdmembers

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/report"
)

// dashboard is what --watch shows on a terminal: the members, and what has changed while it was looked at.
type dashboard struct {
	title   string
	wide    bool
	paint   report.Painter
	before  *memberList // of the look before; nil at the first one
	changes []string    // the last ones, the newest first
}

// maxChanges is how many changes stay to be seen.
const maxChanges = 8

// draw shows what a look at that time has found. What differs from the look before is bold.
func (d *dashboard) draw(out io.Writer, l memberList, at time.Time) {
	news := l.changesSince(d.before)
	for _, n := range news {
		d.changes = slices.Insert(d.changes, 0, at.Format(time.TimeOnly)+"  "+n)
	}
	d.changes = d.changes[:min(len(d.changes), maxChanges)]
	fmt.Fprintf(out, "%s, %s\n%s\n\n", d.paint.Strong(d.title), at.Format(time.TimeOnly), l.Quorum.sentence(d.paint))
	d.table(out, l)
	l.printFindings(out, d.paint)
	if len(d.changes) > 0 {
		fmt.Fprintln(out)
	}
	for i, text := range d.changes {
		if i < len(news) {
			text = d.paint.Strong(text)
		}
		fmt.Fprintln(out, text)
	}
	d.before = &l
}

func (d *dashboard) table(out io.Writer, l memberList) {
	header := []string{"NAME", "STATUS", "ROLE", "DB SIZE", "QUOTA", "LAG", "LATENCY", "ALARMS", "VERSION"}
	if d.wide {
		header = append(header, "ID", "PEER URL", "CLIENT URL", "RAFT TERM", "RAFT INDEX")
	}
	lines := [][]cell{plain(header...)}
	for _, r := range l.Members {
		detail := r.details()
		version, size, term, index, lag, latency := detail[0], detail[1], detail[3], detail[4], detail[5], detail[6]
		line := plain(orDash(r.Name), r.Status, r.Role, size, r.ofQuota(), lag, latency, orDash(strings.Join(r.Alarms, ",")), version)
		if d.wide {
			peers, clients := orDash(strings.Join(r.PeerURLs, ",")), orDash(strings.Join(r.ClientURLs, ","))
			line = append(line, plain(r.ID, peers, clients, term, index)...)
		}
		line[1].paint = paintStatus(r.Status, d.paint)
		if len(r.Alarms) > 0 {
			line[7].paint = d.paint.Bad
		}
		if was := d.before.member(r.ID); was != nil && was.Status != r.Status {
			line[1].paint = func(text string) string { return d.paint.Strong(paintStatus(r.Status, d.paint)(text)) }
		}
		if was := d.before.member(r.ID); was != nil && was.Role != r.Role {
			line[2].paint = d.paint.Strong
		}
		lines = append(lines, line)
	}
	writeTable(out, lines, 2)
}

// ofQuota is how much of the database's quota is used, in per cent.
func (r row) ofQuota() string {
	if r.Detail == nil || r.Detail.DBQuota <= 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", r.Detail.DBSize*100/r.Detail.DBQuota)
}

// member finds a member by its ID; nil where it is not in the list, or there is none.
func (l *memberList) member(id string) *row {
	if l == nil {
		return nil
	}
	if i := slices.IndexFunc(l.Members, func(r row) bool { return r.ID == id }); i >= 0 {
		return &l.Members[i]
	}
	return nil
}

// changesSince says what has become of the members since the list before; nothing when there is none.
func (l memberList) changesSince(before *memberList) []string {
	if before == nil {
		return nil
	}
	var changes []string
	note := func(r row, format string, args ...any) {
		changes = append(changes, report.Printable(cmp.Or(r.Name, r.ID)+" "+fmt.Sprintf(format, args...)))
	}
	for _, r := range before.Members {
		if l.member(r.ID) == nil {
			note(r, "is no member any more")
		}
	}
	for _, r := range l.Members {
		was := before.member(r.ID)
		if was == nil {
			note(r, "is a new member: %s, %s", r.Status, r.Role)
			continue
		}
		if r.Status != was.Status {
			note(r, "was %s, is %s", was.Status, r.Status)
		}
		if r.Role != was.Role {
			note(r, "was %s, is %s", was.Role, r.Role)
		}
		if r.Detail != nil && was.Detail != nil && r.Detail.Version != was.Detail.Version {
			note(r, "had version %s, has %s", was.Detail.Version, r.Detail.Version)
		}
		if !slices.Equal(r.Alarms, was.Alarms) {
			note(r, "alarms: %s", cmp.Or(strings.Join(r.Alarms, ","), "none"))
		}
	}
	return changes
}
