package executor_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

func TestCaptureKeepsHeadAndTail(t *testing.T) {
	for name, tc := range map[string]struct {
		in    string
		limit int
		want  run.Text
	}{
		"empty":          {"", 300, run.Text{}},
		"fits":           {"abc\n", 300, run.Text{Text: "abc\n", Bytes: 4}},
		"fits exactly":   {strings.Repeat("x", 300), 300, run.Text{Text: strings.Repeat("x", 300), Bytes: 300}},
		"one too many":   {strings.Repeat("x", 300) + "y", 300, run.Text{Text: strings.Repeat("x", 110) + "\n[… 81 of 301 bytes are not shown …]\n" + strings.Repeat("x", 109) + "y", Bytes: 301, Truncated: true}},
		"whole letters":  {strings.Repeat("猫", 200), 300, run.Text{Text: strings.Repeat("猫", 36) + "\n[… 384 of 600 bytes are not shown …]\n" + strings.Repeat("猫", 36), Bytes: 600, Truncated: true}},
		"grows too long": {strings.Repeat("\xff", 100), 300, run.Text{Text: strings.Repeat(`\xff`, 27) + "\n[… 46 of 100 bytes are not shown …]\n" + strings.Repeat(`\xff`, 27), Bytes: 100, Truncated: true, Lossy: true}},
		"ends in a line": {strings.Repeat("0123456789\n", 100), 300, run.Text{Text: strings.Repeat("0123456789\n", 10) + "[… 880 of 1100 bytes are not shown …]\n" + strings.Repeat("0123456789\n", 10), Bytes: 1100, Truncated: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 7, 299, 1 << 20} {
				c := executor.NewCapture(tc.limit)
				for rest := []byte(tc.in); len(rest) > 0; {
					n, err := c.Write(rest[:min(size, len(rest))])
					if err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				if got := c.Text(); got != tc.want {
					t.Errorf("in writes of %d: %+v, want %+v", size, got, tc.want)
				}
			}
		})
	}
}

// Whatever a command prints: the text is UTF-8, within the limit, honest about its size, whole when
// it fits, and two of them fit into a frame.
func FuzzCapture(f *testing.F) {
	f.Add([]byte("abc"), 300, 1)
	f.Add([]byte("\xff\x00\x1b猫\n"), 256, 500)
	f.Add([]byte("\x01"), executor.MaxCap-300, 140_000)
	f.Add([]byte("猫\xe7\x8c"), executor.MaxCap-300, 60_000)
	f.Fuzz(func(t *testing.T, piece []byte, limit, times int) {
		limit, times = 200+abs(limit)%executor.MaxCap, abs(times)%200_000
		if limit > executor.MaxCap || len(piece)*times > 4<<20 {
			return
		}
		in := bytes.Repeat(piece, times)
		c := executor.NewCapture(limit)
		for range times {
			c.Write(piece)
		}
		got := c.Text()
		encoded, err := strict.CanonicalOf(got)
		switch {
		case err != nil || !utf8.ValidString(got.Text):
			t.Fatalf("Text of %d × %q is not JSON: %v", times, piece, err)
		case len(got.Text) > limit:
			t.Fatalf("Text of %d × %q has %d bytes, limit %d", times, piece, len(got.Text), limit)
		case 2*len(encoded) > executor.MaxLine-4096:
			t.Fatalf("Text of %d × %q takes %d bytes as JSON", times, piece, len(encoded))
		case got.Bytes != int64(len(in)):
			t.Fatalf("Bytes = %d, want %d", got.Bytes, len(in))
		case !got.Truncated && !got.Lossy && got.Text != string(in):
			t.Fatalf("Text of %d × %q = %.100q, neither cut nor lossy", times, piece, got.Text)
		case utf8.Valid(in) && got.Lossy:
			t.Fatalf("Text of %d × %q is lossy: a cut made it so", times, piece)
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }
