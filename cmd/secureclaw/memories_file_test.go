package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Every line of a file is a memory or a problem, in its place; what is a memory is one when it is written again.
func FuzzReadMemories(f *testing.F) {
	f.Add([]byte("{\"content\":\"likes tea\"}\n"))
	f.Add([]byte("{\"content\":\"x\",\"label\":{\"integrity\":\"user\"}}\n\n{\"content\":1}\n"))
	f.Add([]byte("{\"content\":\"x\",\"content\":\"y\"}\n{\"content\":\"cut\""))
	f.Add([]byte("{\"content\":\"\\ud800\"}\n\xff\n"))
	f.Add([]byte("\xef\xbb\xbf{\"content\":\"x\"}"))
	f.Add([]byte("[{\"content\":\"x\"}]\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, problems, err := readMemories(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("readMemories(%q) = %v", data, err)
		}
		data = bytes.TrimPrefix(data, []byte("\ufeff"))
		lines := bytes.Count(data, []byte("\n"))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			lines++
		}
		if len(rows)+len(problems) != lines && len(data) < maxMemoryLine {
			t.Fatalf("readMemories(%q) has %d memories and %d problems, want %d lines", data, len(rows), len(problems), lines)
		}
		seen := map[int]bool{}
		for _, r := range rows {
			seen[r.Line] = true
			again, err := strict.Encode(r.Memory)
			if err != nil {
				t.Fatalf("a memory cannot be written: %v", err)
			}
			var m wire.Memory
			if err := strict.Decode(again, &m); err != nil || m.Content != r.Memory.Content {
				t.Fatalf("%s is read as %+v, %v", again, m, err)
			}
		}
		for _, p := range problems {
			if seen[p.Line] || p.What == "" || p.Line < 1 || p.Line > lines {
				t.Fatalf("readMemories(%q): problem %+v", data, p)
			}
			seen[p.Line] = true
		}
	})
}

// Files that people write by hand.
func TestFilesByHand(t *testing.T) {
	for name, tc := range map[string]struct {
		file    string
		rows    int
		problem string
	}{
		"no newline at its end": {"{\"content\":\"a\"}\n{\"content\":\"b\"}", 2, ""},
		"a mark at its begin":   {"\ufeff{\"content\":\"a\"}\n", 1, ""},
		"a list":                {"[{\"content\":\"a\"},{\"content\":\"b\"}]", 0, "one memory a line"},
		"an empty line":         {"{\"content\":\"a\"}\n\n", 1, "the line is empty"},
		"cut":                   {"{\"content\":\"a\"}\n{\"content\":", 1, "EOF"},
		"nothing":               {"", 0, ""},
	} {
		rows, problems, err := readMemories(strings.NewReader(tc.file))
		if err != nil || len(rows) != tc.rows || (tc.problem == "") != (len(problems) == 0) || tc.problem != "" && !strings.Contains(problems[0].What, tc.problem) {
			t.Errorf("%s: readMemories(%q) = %d rows, %+v, %v, want %d and %q", name, tc.file, len(rows), problems, err, tc.rows, tc.problem)
		}
	}
}

// No request is larger than a frame, and every row is in one.
func TestBatches(t *testing.T) {
	var rows []wire.MemoryLine
	for i := range 1200 {
		size := 10
		if i%7 == 0 {
			size = 200_000
		}
		rows = append(rows, wire.MemoryLine{Line: i + 1, Memory: wire.Memory{Content: strings.Repeat("\"", size)}})
	}
	next := 1
	for batch := range batches(rows) {
		data, err := strict.Encode(wire.MemoriesImport{File: "f", Rows: batch})
		if err != nil || len(batch) == 0 || len(batch) > maxRows || len(data) > wire.MaxFrame-1024 {
			t.Fatalf("a batch of %d rows and %d bytes, %v", len(batch), len(data), err)
		}
		for _, row := range batch {
			if row.Line != next {
				t.Fatalf("line %d comes where %d should", row.Line, next)
			}
			next++
		}
	}
	if next != 1201 {
		t.Errorf("%d lines came", next-1)
	}
}
