package main

import (
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

// frame is what was on the screen from a moment on.
type frame struct {
	at   time.Duration
	rows [][]terminal.Cell
}

// shot is what a recording shows for some time.
type shot struct {
	rows  [][]terminal.Cell
	lasts time.Duration
}

// How long a shot lasts: what changes faster is shown together, and nobody waits longer. The last one can be read.
const (
	least = 250 * time.Millisecond
	most  = 2 * time.Second
	last  = 6 * time.Second
)

// shots makes a film of what happened.
func shots(frames []frame) []shot {
	var film []shot
	for i, begun := 0, time.Duration(0); i < len(frames); i++ {
		if i == len(frames)-1 {
			return append(film, shot{frames[i].rows, last})
		}
		next := frames[i+1].at
		if next-begun < least {
			continue
		}
		film = append(film, shot{frames[i].rows, min(next-begun, most)})
		begun = next
	}
	return film
}

// The size of a character, and the space around all of them, in pixels.
const (
	width, height = 8.4, 18
	margin        = 12
)

const style = `text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d0d7de; white-space: pre }
.s31 { fill: #ff7b72 } .s32 { fill: #3fb950 } .s33 { fill: #d29922 } .s36 { fill: #39c5cf } .s2 { fill: #8b949e } .s1 { font-weight: bold }
`

// svg draws a film: its shots stand side by side on a strip, which is moved by one at a time. Lines that are the same in
// several shots are drawn once and used again. Who wants no animations sees the last shot.
func svg(film []shot) string {
	var total time.Duration
	for _, s := range film {
		total += s.lasts
	}
	const w, h = columns*width + 2*margin, rows*height + 2*margin
	lines := map[string]int{}
	var keyframes, defined, strip strings.Builder
	var begin time.Duration
	for i, s := range film {
		fmt.Fprintf(&keyframes, "%.3f%% { transform: translateX(%.0fpx) } ", 100*begin.Seconds()/total.Seconds(), -w*float64(i))
		begin += s.lasts
		fmt.Fprintf(&strip, `<g transform="translate(%.0f)">`, w*float64(i))
		for row, cells := range s.rows {
			text := drawn(cells)
			if text == "" {
				continue
			}
			if _, known := lines[text]; !known {
				lines[text] = len(lines)
				fmt.Fprintf(&defined, "<text id=\"l%d\">%s</text>\n", lines[text], text)
			}
			fmt.Fprintf(&strip, `<use href="#l%d" y="%d"/>`, lines[text], margin+height*row+14)
		}
		strip.WriteString("</g>\n")
	}
	end := fmt.Sprintf("translateX(%.0fpx)", -w*float64(len(film)-1))
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d">
<style>
%[3]s@keyframes film { %[4]s100%% { transform: %[5]s } }
.film { animation: film %.2[6]fs step-end infinite }
@media (prefers-reduced-motion: reduce) { .film { animation: none; transform: %[5]s } }
</style>
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
<defs>
%[7]s</defs>
<g class="film">
%[8]s</g>
</svg>
`, int(w), int(h), style, keyframes.String(), end, total.Seconds(), defined.String(), strip.String())
}

// drawn is one line: its characters, those of one style together.
func drawn(cells []terminal.Cell) string {
	for len(cells) > 0 && cells[len(cells)-1].Rune == ' ' {
		cells = cells[:len(cells)-1]
	}
	var b strings.Builder
	for i := 0; i < len(cells); {
		from := i
		var text strings.Builder
		for ; i < len(cells) && cells[i].Style == cells[from].Style; i++ {
			text.WriteRune(cells[i].Rune)
		}
		class := ""
		if codes := cells[from].Style; codes != "" {
			class = ` class="s` + strings.ReplaceAll(codes, ";", " s") + `"`
		}
		fmt.Fprintf(&b, `<tspan x="%.1f"%s>%s</tspan>`, margin+width*float64(from), class, html.EscapeString(text.String()))
	}
	return b.String()
}
