package openai

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func read(r io.Reader) (all []string, err error) {
	e := newEvents(r)
	for {
		data, err := e.next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, string(data))
	}
}

func TestEvents(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"one":                    {"data: a\n\n", []string{"a"}},
		"no space":               {"data:a\n\n", []string{"a"}},
		"one space only is cut":  {"data:  a\n\n", []string{" a"}},
		"two lines":              {"data: a\ndata: b\n\n", []string{"a\nb"}},
		"empty data":             {"data:\n\ndata\n\n", []string{"", ""}},
		"empty and one":          {"data\ndata: a\n\n", []string{"\na"}},
		"CR LF":                  {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"CR":                     {"data: a\r\rdata: b\r\r", []string{"a", "b"}},
		"mixed":                  {"data: a\r\n\ndata: b\n\r", []string{"a", "b"}},
		"comments":               {": hello\n\n:\n\ndata: a\n: in between\n\n", []string{"a"}},
		"other fields":           {"event: x\nid: 1\nretry: 2\ndataset: z\n data: y\ndata: a\n\n", []string{"a"}},
		"byte order mark":        {"\ufeffdata: a\n\n", []string{"a"}},
		"cut before a blank":     {"data: a\n\ndata: b\n", []string{"a"}},
		"cut in a line":          {"data: a\n\ndata: b", []string{"a"}},
		"blank lines":            {"\n\n\ndata: a\n\n\n", []string{"a"}},
		"colon in the value":     {"data: a: b\n\n", []string{"a: b"}},
		"longer than the buffer": {"data: " + strings.Repeat("x", 100_000) + "\n\n", []string{strings.Repeat("x", 100_000)}},
	} {
		for way, r := range map[string]io.Reader{"": strings.NewReader(tc.in), ", byte by byte": iotest.OneByteReader(strings.NewReader(tc.in))} {
			if got, err := read(r); err != nil || !cmp.Equal(got, tc.want) {
				t.Errorf("%s%s: events(%.60q) = %.60q, %v; want %.60q", name, way, tc.in, got, err, tc.want)
			}
		}
	}
}

// An answer that waits for the blank line's LF would come one event late.
func TestEventComesAtOnce(t *testing.T) {
	r, w := io.Pipe()
	got := make(chan string)
	go func() {
		data, _ := newEvents(r).next()
		got <- string(data)
	}()
	if _, err := w.Write([]byte("data: a\r\n\r")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "a" {
		t.Errorf("next = %q, want a", s)
	}
	w.Close()
}

// The events do not depend on how the bytes arrive, and no event holds a byte that was not in the stream.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "data: a\r\n\r\ndata:b\r\rdata", ":\n\ufeffdata: x\n\n", "data: {\"error\":1}\n\n", "\r\n\r\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		whole, err := read(strings.NewReader(in))
		drip, err2 := read(iotest.OneByteReader(strings.NewReader(in)))
		if err != nil || err2 != nil || !cmp.Equal(whole, drip) {
			t.Fatalf("events(%q) = %q, %v; byte by byte %q, %v", in, whole, err, drip, err2)
		}
		lf := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(in)
		if other, _ := read(strings.NewReader(lf)); !cmp.Equal(whole, other) {
			t.Fatalf("events(%q) = %q, with LF only %q", in, whole, other)
		}
		for _, event := range whole {
			for line := range strings.SplitSeq(event, "\n") {
				if !strings.Contains(lf, line) {
					t.Fatalf("events(%q) has %q", in, line)
				}
			}
		}
	})
}

// Whatever the stream holds, an answer is whole or an error, and ends.
func FuzzAnswer(f *testing.F) {
	f.Add(`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"n","arguments":"{"}}]}}]}`+"\n\n", true)
	f.Add(`data: {"choices":[{"delta":{"content":[{"type":"text","text":"x"}]},"finish_reason":"stop"}]}`+"\n\n", false)
	f.Add(`data: {"error":"x"}`+"\n\n", false)
	f.Add(`data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"a","arguments":{}}},{"id":"call_0_0","function":{"name":"b"}}]},"finish_reason":"stop"}]}`+"\n\n", false)
	f.Add(`data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"n","arguments":{"a":1,"a":2}}}]},"finish_reason":"tool_calls"}]}`+"\n\n", false)
	f.Fuzz(func(t *testing.T, in string, end bool) {
		if end {
			in += `data: {"choices":[{"finish_reason":"tool_calls"}]}` + "\n\n"
		}
		a := &answer{}
		e := newEvents(strings.NewReader(in))
		for {
			data, err := e.next()
			if err != nil {
				break
			}
			if a.take(data, time.Time{}) != nil {
				return
			}
		}
		reply, failure := a.reply()
		if failure == nil && (a.finish == "" || len(reply.Calls) > 0 && reply.Stop != "tools") {
			t.Fatalf("reply(%q) = %+v without an end", in, reply)
		}
		ids := map[string]bool{}
		for _, c := range reply.Calls {
			if ids[c.ModelID] || c.ModelID == "" || c.Input == "" {
				t.Fatalf("reply(%q) = %+v: ids are not of their own, or an input is empty", in, reply)
			}
			ids[c.ModelID] = true
		}
	})
}
