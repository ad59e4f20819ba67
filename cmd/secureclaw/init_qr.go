package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"
)

// quietZone is the light margin that a reader needs, in modules.
const quietZone = 4

// Black on white from the fixed part of the 256 colours: a theme may change the first sixteen, and
// half of the readers refuse a code that is light on dark.
const qrColours, qrReset = "\x1b[38;5;16;48;5;231m", "\x1b[0m"

// drawQR draws text as a QR code, two modules in the height of a character, or nothing when it does
// not fit: a torn code is only noise. NO_COLOR means none: without colours of its own it could be
// read on half of all terminals.
func drawQR(out *os.File, text string, getenv func(string) string) bool {
	columns, rows, err := term.GetSize(int(out.Fd()))
	if err != nil || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return false
	}
	code, err := qr.Encode(text, qr.L) // a screen has no stains
	if err != nil {
		return false
	}
	lines := qrLines(code)
	if columns < code.Size+2*quietZone || rows < len(lines) {
		return false
	}
	writeQR(out, lines)
	return true
}

func writeQR(out io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(out, "%s%s%s\n", qrColours, line, qrReset)
	}
}

// qrLines are the lines of characters; a dark module is the ink of a block.
func qrLines(code *qr.Code) []string {
	var lines []string
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		var b strings.Builder
		for x := -quietZone; x < code.Size+quietZone; x++ {
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); { // outside it is light
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteRune(' ')
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}
