package etcdmembers

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-ha/kubectl-ha/pkg/report"
)

// namePrefix precedes names in "-o name", as kubectl's would.
const namePrefix = "etcdmember.etcd.k0sproject.io/"

// print writes the list in the form that --output names.
func (l memberList) print(out io.Writer, output string, paint report.Painter) error {
	switch output {
	case "json":
		return l.printObject(out, &printers.JSONPrinter{})
	case "yaml":
		return l.printObject(out, &printers.YAMLPrinter{})
	case "name":
		for _, r := range l.Members {
			name := r.Name
			if name == "" {
				name = r.ID
			}
			fmt.Fprintln(out, namePrefix+name)
		}
		return nil
	}
	l.printTable(out, output == "wide", paint)
	l.printJudgement(out, paint)
	return nil
}

func (l memberList) printObject(out io.Writer, printer printers.ResourcePrinter) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&l)
	if err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return printer.PrintObj(&unstructured.Unstructured{Object: fields}, out)
}

// cell is a text and what to paint it with.
type cell struct {
	text  string
	paint func(string) string
}

// printTable writes the members in columns.
func (l memberList) printTable(out io.Writer, wide bool, paint report.Painter) {
	header := []string{"NAME", "ID", "STATUS", "ROLE", "PEER URL", "CLIENT URL"}
	if wide {
		header = append(header, "VERSION", "DB SIZE", "IN USE", "RAFT TERM", "RAFT INDEX", "LAG", "LATENCY", "ALARMS", "ERRORS")
	}
	lines := [][]cell{plain(header...)}
	for _, r := range l.Members {
		line := plain(orDash(r.Name), r.ID, r.Status, r.Role, orDash(strings.Join(r.PeerURLs, ",")), orDash(strings.Join(r.ClientURLs, ",")))
		line[2].paint = paintStatus(r.Status, paint)
		if wide {
			line = append(line, plain(r.details()...)...)
			line = append(line, cell{orDash(strings.Join(r.Alarms, ",")), nil}, cell{orDash(oneLine(r.Errors)), nil})
		}
		lines = append(lines, line)
	}
	writeTable(out, lines, 3)
}

// writeTable writes lines in columns, with so many spaces between them. Colours are put on after the columns are as wide as
// they need be.
func writeTable(out io.Writer, lines [][]cell, gap int) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, c := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, c := range line {
			text := c.text
			if c.paint != nil {
				text = c.paint(text)
			}
			b.WriteString(text)
			if i < len(line)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+gap))
			}
		}
		fmt.Fprintln(out, b.String())
	}
}

func plain(texts ...string) []cell {
	cells := make([]cell, len(texts))
	for i, t := range texts {
		cells[i].text = report.Printable(t)
	}
	return cells
}

func paintStatus(status string, paint report.Painter) func(string) string {
	switch status {
	case started, joined:
		return paint.Good
	case unstarted, left:
		return paint.Doubtful
	}
	return paint.Bad
}

func (r row) details() []string {
	if r.Detail == nil {
		return slices.Repeat([]string{"-"}, 7)
	}
	d := r.Detail
	lag, latency := "-", "-"
	if d.Lag != nil {
		lag = fmt.Sprint(*d.Lag)
	}
	if d.Latency > 0 {
		latency = time.Duration(d.Latency * float64(time.Second)).Round(100 * time.Microsecond).String()
	}
	return []string{d.Version, sizeText(d.DBSize), sizeText(d.DBInUse), fmt.Sprint(d.RaftTerm), fmt.Sprint(d.RaftIndex), lag, latency}
}

func orDash(text string) string { return cmp.Or(text, "-") }

func oneLine(texts []string) string {
	return strings.Join(strings.Fields(strings.Join(texts, "; ")), " ")
}

// sizeText writes a size as etcdctl does.
func sizeText(n int64) string {
	size, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB"}
	for size >= 1000 && unit < len(units)-1 {
		size, unit = size/1000, unit+1
	}
	if size < 10 && unit > 0 {
		return fmt.Sprintf("%.1f %s", size, units[unit])
	}
	return fmt.Sprintf("%.0f %s", size, units[unit])
}

// printJudgement states the quorum, and what is wrong or worth knowing.
func (l memberList) printJudgement(out io.Writer, paint report.Painter) {
	fmt.Fprintf(out, "\n%s\n", l.Quorum.sentence(paint))
	l.printFindings(out, paint)
}

// printFindings says what is wrong or worth knowing.
func (l memberList) printFindings(out io.Writer, paint report.Painter) {
	for _, problem := range l.Problems {
		fmt.Fprintf(out, "%s %s\n", paint.Bad("problem:"), indented(problem))
	}
	for _, note := range l.Notes {
		fmt.Fprintf(out, "%s %s\n", paint.Doubtful("note:"), indented(note))
	}
}

func indented(text string) string {
	return strings.ReplaceAll(report.Printable(text), "\n", "\n  ")
}

// sentence says how many members may still fail.
func (q quorum) sentence(paint report.Painter) string {
	said := fmt.Sprintf("Quorum: %d of %d voters", q.Needed, q.Voters)
	if q.Healthy == nil {
		return said + "; how many are healthy is not known."
	}
	said += fmt.Sprintf("; %d healthy: ", *q.Healthy)
	switch {
	case *q.MayFail < 0:
		return said + paint.Bad("the quorum is lost") + "."
	case *q.MayFail == 0:
		return said + paint.Doubtful("no member may fail") + "."
	case *q.MayFail == 1:
		return said + "1 member may still fail."
	}
	return said + fmt.Sprintf("%d members may still fail.", *q.MayFail)
}

func peerURL(address netip.Addr) string {
	return "https://" + net.JoinHostPort(address.String(), "2380")
}
