package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
)

func sampleReport() benchReport {
	at := func(v float64) spread { return spread{v, 2 * v, 3 * v} }
	return benchReport{
		MeasuredOn: "2026-01-02", Engine: "Docker <28> & sons", Version: "v1", Machine: benchMachine{CPU: `a "fast" <cpu>`, Cores: 2, MemoryGiB: 24, Kernel: "6", Load: "0.1"},
		Calls: []benchKind{
			{Kind: "shell", Count: 50, FoundReady: 50, ReadyToPlain: 0.031, ReadyToExec: 0.12, ColdToPlain: 0.94, ReadyAbove: 2.5,
				Ready: at(4), Cold: at(180), Plain: at(200), Exec: at(50), Blocked: at(1), Pipe: at(0.05), Fork: at(1)},
			{Kind: "web", Count: 15, ColdToPlain: 0.9, Cold: at(700), Plain: at(800), Pipe: at(0.05), Fork: at(1)},
		},
		AtOnce:    []benchMany{{Sessions: 50, Calls: 100, Failed: 1, Why: "busy\nnow", ToPlain: 1.25, CallsPerSecond: 10, PlainPerSecond: 8, Wait: at(5), Plain: at(6), Fairness: 1.9}},
		Ready:     []benchWaiting{{Kind: "shell", Containers: 2, CgroupMB: 1.5}},
		Processes: []benchProcess{{Role: "gateway", ResidentMB: 22.25, CPUMS: 10, IdleSeconds: 30}},
		Start:     benchStart{Starts: 5, ToUp: at(50), ToReady: map[string]spread{"shell": at(300)}},
		Message:   at(2),
	}
}

// element is any element of a picture.
type element struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Text    string     `xml:",chardata"`
	Inner   []element  `xml:",any"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func TestDrawBench(t *testing.T) {
	r := sampleReport()
	var b bytes.Buffer
	drawBench(&b, r)
	for dec := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is not well-formed: %v\n%s", err, b.String())
		}
	}
	var svg element
	if err := xml.Unmarshal(b.Bytes(), &svg); err != nil {
		t.Fatal(err)
	}
	var widths []float64
	var texts []string
	for _, e := range svg.Inner {
		switch e.XMLName.Local {
		case "rect":
			w, err := strconv.ParseFloat(e.attr("width"), 64)
			if err != nil {
				t.Fatal(err)
			}
			widths = append(widths, w)
		case "text":
			texts = append(texts, e.Text)
			if y, _ := strconv.Atoi(e.attr("y")); y <= 0 || e.attr("y") > svg.attr("height") && len(e.attr("y")) >= len(svg.attr("height")) {
				t.Errorf("%q stands at %s, outside of the picture of %s", e.Text, e.attr("y"), svg.attr("height"))
			}
		}
	}
	// Of shell all seven, of web the four that were measured, in the order of benchWays.
	if len(widths) != 11 {
		t.Fatalf("%d bars, want one for each of 11 rows", len(widths))
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{"Docker <28> & sons", `a "fast" <cpu>`, "4.00 ms", "180 ms", "700 ms", "0.050 ms", "shell", "none were ready"} {
		if !strings.Contains(all, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
	ready, cold, plain := widths[0], widths[1], widths[3]
	if plain != svgBars || cold/plain < 0.89 || cold/plain > 0.91 || ready/plain > 0.021 {
		t.Errorf("bars of 4, 180 and 200 ms are %v, %v and %v long, want lengths like the times", ready, cold, plain)
	}
	if !strings.Contains(b.String(), "prefers-color-scheme:dark") {
		t.Error("the picture has no colours for a dark page")
	}
}

// Nothing measured is an empty picture, and no division by zero.
func TestDrawNothing(t *testing.T) {
	var b bytes.Buffer
	drawBench(&b, benchReport{Calls: []benchKind{{Kind: "shell"}}})
	if err := xml.Unmarshal(b.Bytes(), new(element)); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "<rect") {
		t.Errorf("%v:\n%s", err, b.String())
	}
}

func TestPrintBench(t *testing.T) {
	var b bytes.Buffer
	printBench(&b, sampleReport())
	got := b.String()
	for _, want := range []string{
		"| ready call ÷ plain container | **0.031** | – | ≤ 0.067 |\n",
		"| cold call ÷ plain container | **0.94** | **0.90** | ≤ 1.10 |\n",
		"| calls that found a container ready | 50 of 50 | none were ready | all |\n",
		"| **ready call** | 4.00 / 8.00 / 12.0 | – |\n",
		"| 50 | **1.25** | 10.0 | 8.0 |",
		"| 1 of 100 |",
		`50 at once, the first that failed: busy\nnow`,
		"| gateway | **22.2** | ≤ 40 | 10 ms in 30 s |\n",
		"| shell | 2 | 1.5 | not to be seen by this user |",
		"start to the first shell container that waits: 300 / 600 / 900 ms\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %q:\n%s", want, got)
		}
	}
	if ratios, times := strings.Index(got, "÷ plain"), strings.Index(got, "p50 / p95"); ratios > times {
		t.Error("ratios do not come first")
	}
	// Each row of a table has as many cells as its head.
	cells := 0
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		if n := strings.Count(line, "|"); cells == 0 {
			cells = n
		} else if n != cells {
			t.Errorf("%q has %d bars, its head %d", line, n, cells)
		}
	}
}
