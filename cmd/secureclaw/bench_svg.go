package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
)

// Sizes of the picture, in its own units.
const (
	svgWidth  = 820
	svgLabels = 270 // where bars begin
	svgBars   = 440 // the longest
	svgRow    = 24
	svgBar    = 16
	svgHead   = 40
)

// svgStyle is readable on a light page and on a dark one: the picture has no ground of its own.
const svgStyle = `text{font:13px system-ui,sans-serif;fill:#1f2328}.head{font-weight:600;font-size:15px}.note{fill:#59636e;font-size:12px}` +
	`.ours{fill:#1a7f37}.theirs{fill:#8c959f}` +
	`@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.ours{fill:#3fb950}.theirs{fill:#6e7681}}`

// writeBenchSVG draws a report into a file.
func writeBenchSVG(path string, r benchReport) error {
	var b bytes.Buffer
	drawBench(&b, r)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// drawBench draws the medians of each kind as bars. The scale is linear and begins at nothing, so lengths
// compare as times do; each kind has its own, since a browser takes longer than all others together.
func drawBench(w io.Writer, r benchReport) {
	height := svgHead + 30
	for _, k := range r.Calls {
		height += svgHead + svgRow*len(barsOf(k))
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", svgWidth, height, svgWidth, height)
	fmt.Fprintf(w, "<title>%s</title>\n<style>%s</style>\n", escaped("One tool call, median in milliseconds"), svgStyle)
	y := 24
	svgText(w, 8, y, "note", fmt.Sprintf("One tool call, median in ms: shorter is better. %s · %s", r.MeasuredOn, r.Engine))
	for _, k := range r.Calls {
		y += svgHead
		svgText(w, 8, y, "head", kindHead(k))
		most := 0.0
		for _, b := range barsOf(k) {
			most = max(most, b.ms)
		}
		for _, b := range barsOf(k) {
			y += svgRow
			class := "theirs"
			if b.way.ours {
				class = "ours"
			}
			length := max(1, b.ms/most*svgBars)
			svgText(w, 8, y, "", b.way.short)
			fmt.Fprintf(w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, svgLabels, y-svgBar+4, length, svgBar)
			svgText(w, svgLabels+int(length)+8, y, "", figure(b.ms)+" ms")
		}
	}
	svgText(w, 8, y+32, "note", r.Machine.String())
	fmt.Fprintln(w, "</svg>")
}

// bar is one way and its median.
type bar struct {
	way benchWay
	ms  float64
}

// barsOf leaves out what was not measured.
func barsOf(k benchKind) []bar {
	var out []bar
	for _, way := range benchWays {
		if s := way.of(k); s != (spread{}) {
			out = append(out, bar{way, s.P50})
		}
	}
	return out
}

func kindHead(k benchKind) string {
	words := k.Kind
	if k.Kind == "web" {
		words += " (Chromium; the page cannot be reached)"
	}
	if k.FoundReady == 0 {
		words += ": none were ready"
	}
	return words
}

func svgText(w io.Writer, x, y int, class, text string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(w, `<text%s x="%d" y="%d">%s</text>`+"\n", class, x, y, escaped(text))
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}
