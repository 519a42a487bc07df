package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	beginMarker = "# BEGIN kubectl-ha"
	endMarker   = "# END kubectl-ha"
)

// Block is where the managed block lies in a file.
type Block struct {
	// Start and End are byte offsets; the block ends behind the newline of its last line.
	Start, End int
	// FirstLine and LastLine are those of the markers, counted from 1.
	FirstLine, LastLine int
	// Name of the load balancer, from the markers.
	Name string
}

// marker is a line with one of our marks.
type marker struct {
	begin              bool
	name               string
	line, start, after int
}

// FindBlock finds our block in a configuration. It refuses a file where the markers are not exactly one BEGIN and,
// below it, one END of the same name, and one where directives follow the block without a section of their own: they
// would belong to the block's last section.
func FindBlock(cfg []byte) (Block, bool, error) {
	markers := findMarkers(cfg)
	if len(markers) == 0 {
		return Block{}, false, nil
	}
	if len(markers) != 2 || !markers[0].begin || markers[1].begin || markers[0].name != markers[1].name ||
		markers[0].name == "" {
		var found []string
		for _, m := range markers {
			text := endMarker
			if m.begin {
				text = beginMarker
			}
			found = append(found, fmt.Sprintf("line %d: %s", m.line, strings.TrimSpace(text+" "+m.name)))
		}
		return Block{}, false, fmt.Errorf("the markers of the managed block are broken (%s): leave exactly one "+
			"%q line and below it one %q line, or remove all of them with what is between", strings.Join(found, "; "),
			beginMarker+" NAME", endMarker+" NAME")
	}
	block := Block{
		Start: markers[0].start, End: markers[1].after,
		FirstLine: markers[0].line, LastLine: markers[1].line,
		Name: markers[0].name,
	}
	if l, ok := strayDirective(cfg, block.End); ok {
		return Block{}, false, fmt.Errorf("line %d: %s follows the managed block and would belong to its last section: "+
			"move it into a section of its own or above line %d", l.number, describe(l), block.FirstLine)
	}
	return block, true, nil
}

func findMarkers(cfg []byte) []marker {
	var markers []marker
	for start, number := 0, 1; start < len(cfg); number++ {
		after := len(cfg)
		if i := bytes.IndexByte(cfg[start:], '\n'); i >= 0 {
			after = start + i + 1
		}
		text := strings.Trim(string(cfg[start:after]), " \t\r\n")
		for _, mark := range []string{beginMarker, endMarker} {
			rest, ok := strings.CutPrefix(text, mark)
			if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
				continue
			}
			m := marker{begin: mark == beginMarker, line: number, start: start, after: after}
			if fields := strings.Fields(rest); len(fields) > 0 {
				m.name = fields[0]
			}
			markers = append(markers, m)
		}
		start = after
	}
	return markers
}

// strayDirective finds a directive behind offset that no section keyword precedes.
func strayDirective(cfg []byte, offset int) (line, bool) {
	for _, l := range scanLines(cfg) {
		if l.start < offset || strings.HasPrefix(l.words[0], ".") {
			continue
		}
		return l, !isSectionKeyword(l.words[0])
	}
	return line{}, false
}

// ReplaceBlock puts block, as Render makes it, in place of the one in cfg, or at the end of a file without one.
// Every byte outside the block stays, save that a last line without a newline is completed (HAProxy refuses such a
// file). In a file with CRLF line endings the block gets them too. A block of another name is not replaced.
func ReplaceBlock(cfg, block []byte) ([]byte, error) {
	fresh, found, err := FindBlock(block)
	if err != nil {
		return nil, fmt.Errorf("new block: %w", err)
	}
	if !found || fresh.Start != 0 || fresh.End != len(block) {
		return nil, errors.New("new block: it must start and end with its markers")
	}
	old, found, err := FindBlock(cfg)
	if err != nil {
		return nil, err
	}
	if !found {
		cfg = completeLine(cfg)
		return joinBlock(cfg, block, nil, usesCRLF(cfg)), nil
	}
	if old.Name != fresh.Name {
		return nil, fmt.Errorf("line %d: this HAProxy serves the load balancer %q already, not %q: use that name, "+
			"or remove the block (lines %d to %d) to give it up", old.FirstLine, old.Name, fresh.Name, old.FirstLine,
			old.LastLine)
	}
	around := slices.Concat(cfg[:old.Start], cfg[old.End:])
	if !bytes.Contains(around, []byte("\n")) {
		around = cfg
	}
	return joinBlock(cfg[:old.Start], block, cfg[old.End:], usesCRLF(around)), nil
}

// RemoveBlock takes the block out of cfg, and gives back cfg where there is none.
func RemoveBlock(cfg []byte) ([]byte, error) {
	block, found, err := FindBlock(cfg)
	if err != nil || !found {
		return cfg, err
	}
	return slices.Concat(cfg[:block.Start], cfg[block.End:]), nil
}

// joinBlock puts block between two parts of a file, of which the first ends with a line.
func joinBlock(before, block, after []byte, crlf bool) []byte {
	block = toLF(block)
	if !bytes.HasSuffix(block, []byte("\n")) {
		block = append(block, '\n')
	}
	if crlf {
		block = toCRLF(block)
	}
	return slices.Concat(before, block, after)
}

// completeLine gives the file's last line its newline when it has none.
func completeLine(cfg []byte) []byte {
	switch {
	case len(cfg) == 0 || cfg[len(cfg)-1] == '\n':
		return cfg
	case usesCRLF(cfg) && cfg[len(cfg)-1] != '\r':
		return slices.Concat(cfg, []byte("\r\n"))
	}
	return slices.Concat(cfg, []byte("\n"))
}
