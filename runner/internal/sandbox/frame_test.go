package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func chunk(stream byte, data string) string {
	var h [8]byte
	h[0] = stream
	binary.BigEndian.PutUint32(h[4:], uint32(len(data)))
	return string(h[:]) + data
}

func TestDemux(t *testing.T) {
	d := newDemux(iotest.OneByteReader(strings.NewReader(chunk(1, "he") + chunk(2, "oops\x1b") + chunk(1, "") + chunk(1, "llo\n"))))
	got, err := io.ReadAll(d)
	if err != nil || string(got) != "hello\n" || string(d.stderr) != "oops\x1b" {
		t.Errorf("ReadAll = %q, %v, stderr %q", got, err, d.stderr)
	}
}

func TestDemuxRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want error
	}{
		"stdin's stream":   {chunk(0, "x"), errChunk},
		"unknown stream":   {chunk(3, "x"), errChunk},
		"odd header":       {"\x01\x00\x00\x01\x00\x00\x00\x01x", errChunk},
		"huge chunk":       {"\x01\x00\x00\x00\xff\xff\xff\xff", errChunk},
		"cut header":       {chunk(1, "x")[:5], io.ErrUnexpectedEOF},
		"cut chunk":        {chunk(1, "abcdef")[:10], io.ErrUnexpectedEOF},
		"cut stderr":       {chunk(2, "abcdef")[:10], io.ErrUnexpectedEOF},
		"flood on stderr":  {strings.Repeat(chunk(2, strings.Repeat("e", 1<<16)), 17), errStderr},
		"text of a stream": {"HTTP/1.1 500 no\r\n", errChunk},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDemux(strings.NewReader(tc.in))
			if _, err := io.ReadAll(d); !errors.Is(err, tc.want) {
				t.Errorf("ReadAll(%.20q) = %v, want %v", tc.in, err, tc.want)
			}
			if len(d.stderr) > keptStderr {
				t.Errorf("kept %d bytes of stderr, want at most %d", len(d.stderr), keptStderr)
			}
		})
	}
}

func TestAnswerTakesOneLine(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want string // part of the error, empty for none
	}{
		"one line":             {"{}\n", ""},
		"two lines":            {"{}\n{}\n", "more than one"},
		"a byte behind":        {"{}\n ", "more than one"},
		"an empty line":        {"\n\n", "more than one"},
		"nothing":              {"", "EOF"},
		"no newline":           {"{}", "cut"},
		"as long as it may be": {strings.Repeat("x", wire.MaxFrame-1) + "\n", ""},
		"one byte more":        {strings.Repeat("x", wire.MaxFrame) + "\n", "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			a := make(answer, 1)
			a.read(strings.NewReader(tc.in))
			if err := (<-a).err; (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("read(%.20q) = %v, want %q", tc.in, err, tc.want)
			}
		})
	}
}

func TestParseOutput(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"the answer":          {`{"call":"c1","status":"ok","value":{"a":1},"nonce":"n1"}`, ""},
		"no nonce":            {`{"call":"c1","status":"ok","value":{"a":1}}`, "nonce"},
		"an empty nonce":      {`{"call":"c1","status":"ok","nonce":""}`, "nonce"},
		"another nonce":       {`{"call":"c1","status":"ok","nonce":"n2"}`, "nonce"},
		"more than the nonce": {`{"call":"c1","status":"ok","nonce":"n1 "}`, "nonce"},
		"another call":        {`{"call":"c2","status":"ok"}`, "answered call"},
		"no call":             {`{"status":"ok"}`, "answered call"},
		"no status":           {`{"call":"c1","nonce":"n1"}`, "status"},
		"invented status":     {`{"call":"c1","status":"OK","nonce":"n1"}`, "status"},
		"duplicate status":    {`{"call":"c1","status":"refused","status":"ok"}`, "duplicate"},
		"other letter case":   {`{"Call":"c1","status":"ok"}`, "unknown"},
		"unknown field":       {`{"call":"c1","status":"ok","exit":0}`, "unknown"},
		"a frame of the wire": {`{"result":{"outcome":"finished"}}`, "unknown"},
		"two values":          {`{"call":"c1","status":"ok"}{"call":"c1","status":"ok"}`, "after"},
		"text of a command":   {"uid=0(root)", "invalid"},
		"not UTF-8":           {"{\"call\":\"c1\",\"status\":\"ok\",\"error\":\"\xff\"}", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := parseOutput([]byte(tc.in), "c1", "n1")
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("parseOutput(%s) = %+v, %v, want %q", tc.in, out, err, tc.want)
			}
		})
	}
}

// A task without a nonce has no answer: two empty texts are no proof.
func TestNoNonceNoAnswer(t *testing.T) {
	if out, err := parseOutput([]byte(`{"call":"c1","status":"ok"}`), "c1", ""); err == nil {
		t.Errorf("parseOutput without a nonce = %+v, want an error", out)
	}
}

// Whatever an engine sends: no panic, no more than a frame in memory, and what is accepted is the first
// line of the chunks of stdout.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(chunk(1, "{}\n")))
	f.Add([]byte(chunk(2, "x") + chunk(1, `{"call":"c1",`) + chunk(1, "\"status\":\"ok\",\"nonce\":\"n1\"}\n")))
	f.Add([]byte(chunk(1, "{}\n") + chunk(1, "{}\n")))
	f.Add([]byte(chunk(2, "ready\n") + chunk(2, "ready\n") + chunk(1, "{}\n")))
	f.Fuzz(func(t *testing.T, in []byte) {
		a := make(answer, 1)
		a.read(newDemux(bytes.NewReader(in)))
		first := <-a
		if first.err != nil {
			return
		}
		all, _ := io.ReadAll(newDemux(bytes.NewReader(in)))
		if want, _, ok := bytes.Cut(all, []byte("\n")); !ok || !bytes.Equal(want, first.line) {
			t.Errorf("read(%q) = %q, stdout was %q", in, first.line, all)
		}
		if out, err := parseOutput(first.line, "c1", "n1"); err == nil && (out.Call != "c1" || out.Status == run.OutputStatus("") || out.Nonce != "") {
			t.Errorf("parseOutput(%q) = %+v", first.line, out)
		}
	})
}
