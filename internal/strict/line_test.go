package strict_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/secureclaw/secureclaw/internal/strict"
)

func TestReadLine(t *testing.T) {
	const limit = 8 // the newline counts
	for name, tc := range map[string]struct {
		in   string
		want []string
		err  error
	}{
		"nothing":                {"", nil, io.EOF},
		"one":                    {"abc\n", []string{"abc"}, io.EOF},
		"two":                    {"abc\ndef\n", []string{"abc", "def"}, io.EOF},
		"empty lines":            {"\n\n", []string{"", ""}, io.EOF},
		"exactly the limit":      {"1234567\n", []string{"1234567"}, io.EOF},
		"one byte more":          {"12345678\n", nil, strict.ErrLine},
		"much more":              {strings.Repeat("x", 1000), nil, strict.ErrLine},
		"cut":                    {"abc\nde", []string{"abc"}, strict.ErrLine},
		"cut at the limit":       {"12345678", nil, strict.ErrLine},
		"carriage return stays":  {"abc\r\n", []string{"abc\r"}, io.EOF},
		"NUL and invalid UTF-8":  {"a\x00\xff\n", []string{"a\x00\xff"}, io.EOF},
		"other line ends do not": {"a\u2028b\n", []string{"a\u2028b"}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			// 16 bytes is the smallest buffer there is; one byte at a time is the slowest peer.
			r := bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(tc.in)), 16)
			var got []string
			for {
				line, err := strict.ReadLine(r, limit)
				if err != nil {
					if !errors.Is(err, tc.err) {
						t.Errorf("ReadLine(%.40q) ends with %v, want %v", tc.in, err, tc.err)
					}
					break
				}
				got = append(got, string(line))
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") || len(got) != len(tc.want) {
				t.Errorf("ReadLine(%.40q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

// An endless line is refused when the limit is passed, not when memory is full.
func TestReadLineStopsAtTheLimit(t *testing.T) {
	in := &endless{}
	if _, err := strict.ReadLine(bufio.NewReaderSize(in, 4096), 1<<20); !errors.Is(err, strict.ErrLine) {
		t.Errorf("ReadLine(endless) = %v, want ErrLine", err)
	}
	if in.read > 1<<20+4096 {
		t.Errorf("ReadLine read %d bytes, limit %d", in.read, 1<<20)
	}
}

// endless is a stream without a newline.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

// A broken stream is the reader's error, and half a line is not a line.
func TestReadLinePassesOtherErrors(t *testing.T) {
	broken := errors.New("broken")
	r := bufio.NewReader(io.MultiReader(strings.NewReader("abc\nde"), iotest.ErrReader(broken)))
	if line, err := strict.ReadLine(r, 100); string(line) != "abc" || err != nil {
		t.Errorf("ReadLine = %q, %v", line, err)
	}
	if line, err := strict.ReadLine(r, 100); line != nil || !errors.Is(err, broken) {
		t.Errorf("ReadLine = %q, %v, want %v", line, err, broken)
	}
}

// The lines and their newlines are the input again, up to the first that is refused.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\nbc\n\n"), 8)
	f.Add([]byte("a\nbcdefghijklmnopqrstuvwxyz\nd"), 20)
	f.Fuzz(func(t *testing.T, in []byte, limit int) {
		r := bufio.NewReaderSize(bytes.NewReader(in), 16)
		var back []byte
		for {
			line, err := strict.ReadLine(r, limit)
			if err == io.EOF {
				if !bytes.Equal(back, in) {
					t.Fatalf("ReadLine(%q): lines are %q", in, back)
				}
				return
			}
			if err != nil {
				rest := in[len(back):]
				end := bytes.IndexByte(rest, '\n')
				if !errors.Is(err, strict.ErrLine) || !bytes.HasPrefix(in, back) || end >= 0 && end < limit {
					t.Fatalf("ReadLine(%q, %d) = %v after %q", rest, limit, err, back)
				}
				return
			}
			if len(line) >= limit || bytes.IndexByte(line, '\n') >= 0 {
				t.Fatalf("ReadLine(%q, %d) = %q", in, limit, line)
			}
			back = append(append(back, line...), '\n')
		}
	})
}
