package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
)

// browserEnd is a pipe and the two files that a browser would hold.
func browserEnd(t testing.TB) (p *pipe, in *bufio.Reader, out *os.File) {
	t.Helper()
	commands, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p = newPipe(from, to)
	t.Cleanup(func() { p.Close(); commands.Close(); out.Close() })
	return p, bufio.NewReader(commands), out
}

// Answers reach who asked; events reach who wants them; nothing else is kept.
func TestPipe(t *testing.T) {
	p, in, out := browserEnd(t)
	heard := make(chan string, 10)
	p.hear(map[string]bool{"Page.loadEventFired": true}, func(method string, m *cdproto.Message) { heard <- method + string(m.SessionID) })
	go func() {
		for {
			line, err := in.ReadBytes(0)
			if err != nil {
				return
			}
			id, _ := answerTo(line)
			fmt.Fprintf(out, `{"method":"Page.frameResized","params":{},"sessionId":"S"}`+"\x00")
			fmt.Fprintf(out, `{"method":"Page.loadEventFired","params":{"timestamp":1},"sessionId":"S"}`+"\x00")
			if bytes.Contains(line, []byte("getNavigationHistory")) {
				fmt.Fprintf(out, `{"id":%d,"error":{"code":-1,"message":"not now"},"sessionId":"S"}`+"\x00", id)
				continue
			}
			fmt.Fprintf(out, `{"id":%d,"result":{"frameId":"F","isDownload":true},"sessionId":"S"}`+"\x00", id)
		}
	}()
	s := session{p, "S"}
	got, err := cdp.Call(t.Context(), s, page.Navigate, page.NavigateParams{URL: "x"})
	if err != nil || got.FrameID != "F" || !got.IsDownload {
		t.Errorf("Navigate = %+v, %v", got, err)
	}
	if _, err := cdp.Call(t.Context(), s, page.GetNavigationHistory, cdp.Empty{}); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("GetNavigationHistory = %v, want the browser's error", err)
	}
	if first := <-heard; first != "Page.loadEventFiredS" {
		t.Errorf("heard %q", first)
	}
	// chromedp gets answers to its own questions, and of events only what it waits for.
	if err := p.Write(t.Context(), &cdproto.Message{ID: 1, SessionID: "S", Method: "Page.navigate"}); err != nil {
		t.Fatal(err)
	}
	var m cdproto.Message
	if err := p.Read(t.Context(), &m); err != nil || m.ID != 1 || m.SessionID != "S" {
		t.Errorf("Read = %+v, %v", m, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Read(ctx, &m); err != io.EOF {
		t.Errorf("a second Read = %+v, %v, want nothing", m, err)
	}
	if len(p.own) != 0 || len(p.theirs) != 0 {
		t.Errorf("%d and %d questions are still open", len(p.own), len(p.theirs))
	}
}

// A browser that ends is an error for whoever waits, at once.
func TestPipeEnds(t *testing.T) {
	p, _, out := browserEnd(t)
	asked := make(chan error, 1)
	go func() {
		_, err := cdp.Call(t.Context(), session{p, "S"}, page.Navigate, page.NavigateParams{URL: "x"})
		asked <- err
	}()
	time.Sleep(10 * time.Millisecond)
	out.Close()
	select {
	case err := <-asked:
		if !errors.Is(err, errGone) {
			t.Errorf("Call = %v, want %v", err, errGone)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the call waits for a browser that has ended")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Nobody who asks waits for a browser that does not read.
func TestPipeIsNotRead(t *testing.T) {
	p, _, _ := browserEnd(t)
	big := strings.Repeat("x", 100_000)
	began := time.Now()
	for range 20 {
		session{p, "S"}.tell("Page.navigate", page.NavigateParams{URL: big})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := cdp.Call(ctx, session{p, "S"}, page.Navigate, page.NavigateParams{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call = %v, want its deadline", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("{\"id\":1}\x00{\"method\":\"a\"}\x00"), 16)
	f.Add([]byte("no end"), 4)
	f.Add([]byte(strings.Repeat("x", 300)+"\x00{\"id\":2}\x00"), 100)
	f.Add(bytes.Repeat([]byte("x"), 300), 100)
	f.Add([]byte("\x00\x00\x00"), 0)
	f.Fuzz(func(t *testing.T, raw []byte, limit int) {
		limit = max(64, limit%1024)
		r := bufio.NewReaderSize(bytes.NewReader(raw), 16)
		for _, want := range bytes.SplitAfter(raw, []byte{0}) {
			line, whole, err := readMessage(r, nil, limit)
			body, ended := bytes.CutSuffix(want, []byte{0})
			switch {
			case !ended && err == nil:
				t.Fatalf("readMessage gave %q, which has no end", line)
			case !ended:
				return
			case err != nil:
				t.Fatalf("readMessage: %v, want %q", err, body)
			case whole && (!bytes.Equal(line, body) || len(want) > limit):
				t.Fatalf("readMessage = %q, want %q", line, body)
			case !whole && (len(want) <= limit || !bytes.HasPrefix(body, line[:min(len(line), 16)]) || len(line) > limit):
				t.Fatalf("readMessage gave up on %d bytes with a limit of %d and kept %q", len(want), limit, line)
			}
			_, _ = answerTo(line)
			_ = eventOf(line)
		}
	})
}
