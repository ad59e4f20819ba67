package main

import (
	"bytes"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// bitmap reads a code off the screen as a phone would: by the colour that each half of a character
// has there. Dark is true.
func bitmap(t *testing.T, screen string) [][]bool {
	t.Helper()
	var rows [][]bool
	for line := range strings.Lines(screen) {
		line, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "\x1b[38;5;16;48;5;231m") // black on white, not the theme's
		if !ok {
			continue
		}
		line, ok = strings.CutSuffix(line, "\x1b[0m")
		if !ok {
			t.Fatalf("the colours go on behind the code: %q", line)
		}
		var upper, lower []bool
		for _, r := range line {
			upper, lower = append(upper, r == '█' || r == '▀'), append(lower, r == '█' || r == '▄')
		}
		rows = append(rows, upper, lower)
	}
	return rows
}

// shownQR fails unless the screen shows exactly the code for text, with its margin.
func shownQR(t *testing.T, screen, text string) {
	t.Helper()
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	rows := bitmap(t, screen)
	size := code.Size + 8
	if len(rows) < size || len(rows) > size+1 {
		t.Fatalf("%d rows are on the screen, want %d", len(rows), size)
	}
	for y, row := range rows {
		if len(row) != size {
			t.Fatalf("row %d has %d modules, want %d", y, len(row), size)
		}
		for x, dark := range row {
			if dark != code.Black(x-4, y-4) {
				t.Fatalf("module %d,%d is dark=%t", x, y, dark)
			}
		}
	}
	if got := decodeQR(t, rows); got != text {
		t.Errorf("the code on the screen says %q, want %q", got, text)
	}
}

func TestQRLines(t *testing.T) {
	for _, text := range []string{"x", "https://t.me/a?start=b", "https://t.me/" + strings.Repeat("a", 32) + "?start=" + strings.Repeat("Zz_-", 6)} {
		code, err := qr.Encode(text, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		var screen bytes.Buffer
		writeQR(&screen, qrLines(code))
		shownQR(t, screen.String(), text)
	}
}

// Where a code could not be read, only the link is shown.
func TestInitWithoutQR(t *testing.T) {
	for name, tc := range map[string]struct {
		env           string
		columns, rows uint16
	}{
		"NO_COLOR": {"NO_COLOR=1", 100, 50}, "a dumb terminal": {"TERM=dumb", 100, 50}, "narrow": {"X=", 40, 50}, "low": {"X=", 100, 20}, "no size": {"X=", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tg := fake.NewTelegram(t, initToken)
			master, slave := openPTY(t)
			resize(t, slave, tc.columns, tc.rows)
			d := sitAt(t, master, slave, t.TempDir(), []string{tc.env, "TELEGRAM_API_URL=" + tg.URL()})
			toPairing(d)
			d.code()
			if rows := bitmap(t, d.shown()); len(rows) > 0 || strings.ContainsAny(d.shown(), "█▀▄") {
				t.Error("a code is drawn")
			}
			d.types("\n")
			d.sees("skipped")
		})
	}
}

// decodeQR reads a code by the standard (ISO/IEC 18004) and none of the encoder's code, as far as links
// need it: versions 1 to 5, level L, bytes. Rows have their margin.
func decodeQR(t *testing.T, rows [][]bool) string {
	t.Helper()
	const margin = 4
	size := len(rows[0]) - 2*margin
	version := (size - 17) / 4
	if version < 1 || version > 5 {
		t.Fatalf("version %d", version)
	}
	dark := func(x, y int) bool { return rows[y+margin][x+margin] }
	// The format: five bits and their check, under a mask, read from beside the upper left finder.
	format := 0
	for i := range 15 {
		x, y := 8, i
		switch {
		case i >= 6 && i < 8:
			y = i + 1
		case i == 8:
			x, y = 7, 8
		case i > 8:
			x, y = 14-i, 8
		}
		if dark(x, y) {
			format |= 1 << i
		}
	}
	format ^= 0b101010000010010
	if level := format >> 13; level != 0b01 {
		t.Fatalf("level bits %02b, want L", level)
	}
	mask := format >> 10 & 7
	// What is no data: finders with their format, timing, and one alignment pattern.
	last := size - 7 // middle of the alignment pattern
	reserved := func(x, y int) bool {
		switch {
		case x < 9 && y < 9, x < 9 && y >= size-8, x >= size-8 && y < 9, x == 6, y == 6:
			return true
		}
		return version > 1 && x >= last-2 && x <= last+2 && y >= last-2 && y <= last+2
	}
	flips := func(x, y int) bool {
		switch mask {
		case 0:
			return (x+y)%2 == 0
		case 1:
			return y%2 == 0
		case 2:
			return x%3 == 0
		case 3:
			return (x+y)%3 == 0
		case 4:
			return (y/2+x/3)%2 == 0
		case 5:
			return x*y%2+x*y%3 == 0
		case 6:
			return (x*y%2+x*y%3)%2 == 0
		}
		return ((x+y)%2+x*y%3)%2 == 0
	}
	var bits []bool
	up := true
	for right := size - 1; right > 0; right -= 2 {
		if right == 6 {
			right--
		}
		for i := range size {
			y := i
			if up {
				y = size - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if !reserved(x, y) {
					bits = append(bits, dark(x, y) != flips(x, y))
				}
			}
		}
		up = !up
	}
	take := func(n int) (v int) {
		for range n {
			v <<= 1
			if bits[0] {
				v |= 1
			}
			bits = bits[1:]
		}
		return v
	}
	if mode := take(4); mode != 0b0100 {
		t.Fatalf("mode %04b, want bytes", mode)
	}
	text := make([]byte, take(8))
	for i := range text {
		text[i] = byte(take(8))
	}
	return string(text)
}
