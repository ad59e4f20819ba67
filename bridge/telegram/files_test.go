package telegram_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func aFile(up wire.Up) *wire.FilePart { return up.File }

// received puts the parts of a message's file together and checks that they fit.
func received(t *testing.T, d *desk, id string) []byte {
	t.Helper()
	var out []byte
	for _, p := range said(d, aFile) {
		if p.Message != id {
			continue
		}
		if p.Offset == 0 {
			out = nil
		}
		if p.Offset != int64(len(out)) || len(p.Data) > wire.MaxChunk {
			t.Fatalf("a part of %d bytes at %d, after %d", len(p.Data), p.Offset, len(out))
		}
		out = append(out, p.Data...)
		if int64(len(out)) > p.Size {
			t.Fatalf("%d bytes of a file of %d", len(out), p.Size)
		}
	}
	return out
}

func TestFilesComeIn(t *testing.T) {
	w := run(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 3*wire.MaxChunk/16)
	for name, tc := range map[string]struct {
		in   fake.UserMessage
		file string
	}{
		"a document":              {fake.UserMessage{Document: &fake.UserFile{Name: "../../a b.txt", Mime: "text/plain", Data: []byte("hello")}, Caption: "see"}, "../../a b.txt"},
		"exactly three chunks":    {fake.UserMessage{Document: &fake.UserFile{Name: "big", Data: big}}, "big"},
		"three chunks and a byte": {fake.UserMessage{Document: &fake.UserFile{Name: "big", Data: append(slices.Clone(big), '!')}}, "big"},
		"nothing in it":           {fake.UserMessage{Document: &fake.UserFile{Name: "empty"}}, "empty"},
		"a photo":                 {fake.UserMessage{Photo: &fake.UserFile{Data: bytes.Repeat([]byte("jpeg"), 100)}, Caption: "look"}, "photo_"},
		"one of an album":         {fake.UserMessage{Photo: &fake.UserFile{Data: []byte("1")}, MediaGroupID: "g"}, "photo_"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.From = owner
			before := len(said(w.d, aMessage))
			update, _ := w.tg.SayAs(tc.in)
			got := nth(w.d, before+1, "message", aMessage)
			if len(got.Files) != 1 || !strings.HasPrefix(got.Files[0], tc.file) || len(got.Refused) > 0 || got.Text != tc.in.Caption {
				t.Errorf("message = %+v, want the file %s", got, tc.file)
			}
			want := tc.in.Photo
			if want == nil {
				want = tc.in.Document
			}
			if data := received(t, w.d, got.ID); !bytes.Equal(data, want.Data) {
				t.Errorf("%d bytes came, want %d", len(data), len(want.Data))
			}
			w.confirmed(update)
		})
	}
}

// A voice, a video and the like carry the id of a document that the fake keeps.
func TestKindsOfFiles(t *testing.T) {
	w := run(t)
	w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a", Data: []byte("sound")}})
	nth(w.d, 1, "message", aMessage)
	id := w.tg.Calls("getFile")[0].Params["file_id"]
	for n, kind := range []string{"audio", "voice", "video", "video_note", "animation"} {
		w.tg.SayAs(fake.UserMessage{From: owner, Text: "", Extra: map[string]any{kind: map[string]any{"file_id": id, "file_size": 5}}})
		got := nth(w.d, n+2, "message", aMessage)
		if len(got.Files) != 1 || !strings.HasPrefix(got.Files[0], kind+"_") {
			t.Errorf("%s: message = %+v", kind, got)
		}
		if data := received(t, w.d, got.ID); string(data) != "sound" {
			t.Errorf("%s: %q came", kind, data)
		}
	}
}

// A file that does not come is named, and the message goes on.
func TestFilesThatAreRefused(t *testing.T) {
	w := run(t)
	for name, tc := range map[string]struct {
		size   int64
		method string
		fault  fake.TelegramFault
		want   string
		loads  bool // something may be asked of Telegram
	}{
		"too large":                       {wire.MaxFile + 1, "", fake.TelegramFault{}, "larger than 20 MB", false},
		"too large, says getFile":         {0, "getFile", fake.TelegramFault{Status: 400, Description: "Bad Request: file is too big"}, "larger than 20 MB", true},
		"expired":                         {0, "getFile", fake.TelegramFault{Status: 400, Description: "Bad Request: wrong file_id or the file is temporarily unavailable"}, "no longer available", true},
		"never loaded":                    {0, "file", fake.TelegramFault{Status: 404, Description: "Not Found", Repeat: 3}, "could not be loaded", true},
		"cut off in the middle each time": {0, "file", fake.TelegramFault{LoseAnswer: true, Repeat: 3}, "could not be loaded", true},
	} {
		t.Run(name, func(t *testing.T) {
			calls := len(w.tg.Calls("getFile", "file"))
			if tc.method != "" {
				w.tg.Fault(tc.method, tc.fault)
			}
			before := len(said(w.d, aMessage))
			update, _ := w.tg.SayAs(fake.UserMessage{From: owner, Caption: "mind this", Document: &fake.UserFile{Name: "a.txt", Data: []byte("hello"), Size: tc.size}})
			got := nth(w.d, before+1, "message", aMessage)
			if got.Text != "mind this" || len(got.Files) > 0 || len(got.Refused) != 1 || !strings.Contains(got.Refused[0], tc.want) || !strings.Contains(got.Refused[0], "a.txt") {
				t.Errorf("message = %+v, want it without its file, which %s", got, tc.want)
			}
			if n := len(w.tg.Calls("getFile", "file")); !tc.loads && n != calls {
				t.Errorf("%d calls for a file whose size was known", n-calls)
			}
			w.confirmed(update)
		})
	}
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.File != nil {
			return []wire.Down{{Fault: &wire.Fault{Ref: up.File.Message, Code: "inbox", What: "no folder is shared as the inbox"}}}
		}
		return yes(up)
	})
	before := len(said(w.d, aMessage))
	w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a.txt", Data: []byte("hello")}})
	if got := nth(w.d, before+1, "message", aMessage); len(got.Refused) != 1 || !strings.Contains(got.Refused[0], "no folder is shared") {
		t.Errorf("message = %+v, want the gateway's reason", got)
	}
}

// Passing trouble is got over.
func TestFilesThroughTrouble(t *testing.T) {
	for name, f := range map[string]struct {
		method string
		fake.TelegramFault
	}{
		"getFile 500":    {"getFile", fake.TelegramFault{Status: 500, Description: "Internal Server Error"}},
		"getFile 429":    {"getFile", fake.TelegramFault{Status: 429, Description: "Too Many Requests: retry after 1", RetryAfter: 1}},
		"getFile page":   {"getFile", fake.TelegramFault{Garbage: true}},
		"download drops": {"file", fake.TelegramFault{Drop: true}},
		"half a file":    {"file", fake.TelegramFault{LoseAnswer: true}},
		"a stall":        {"file", fake.TelegramFault{Hang: 10 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := run(t)
			w.tg.Fault(f.method, f.TelegramFault)
			data := bytes.Repeat([]byte("x"), wire.MaxChunk+5)
			w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a", Data: data}})
			got := nth(w.d, 1, "message", aMessage)
			if len(got.Files) != 1 || !bytes.Equal(received(t, w.d, got.ID), data) {
				t.Errorf("message = %+v, want its file", got)
			}
		})
	}
}

// A size that lies gets nothing through: not more than the limit, and not another length than was announced.
func TestLyingSizes(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for range 2 * (wire.MaxFile >> 20) {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}
	for name, serve := range map[string]func(http.ResponseWriter, *http.Request){
		"stalls in its middle": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = w.Write([]byte("fi"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"endless": endless,
		"announced as big": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999999")
			endless(w, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			to, _ := url.Parse(w.tg.URL())
			proxy := httputil.NewSingleHostReverseProxy(to)
			liar := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/file/") {
					serve(rw, r)
					return
				}
				proxy.ServeHTTP(rw, r)
			}))
			defer liar.Close()
			defer w.stop()
			o := w.options()
			o.APIURL = liar.URL
			w.start(o)
			w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a", Data: []byte("five!")}})
			got := nth(w.d, 1, "message", aMessage)
			if len(got.Files) != 0 || len(got.Refused) != 1 {
				t.Errorf("message = %+v, want the file refused", got)
			}
			for _, p := range said(w.d, aFile) {
				if p.Size > wire.MaxFile || p.Offset+int64(len(p.Data)) > 5 {
					t.Errorf("%d bytes at %d of %d got through", len(p.Data), p.Offset, p.Size)
				}
			}
		})
	}
}

// The gateway dies between a file and its message, or in the file: both come again, whole.
func TestGatewayDiesInMidUpload(t *testing.T) {
	w := run(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 2*wire.MaxChunk/16)
	parts := 0
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.File != nil {
			if parts++; parts == 2 {
				go w.d.close()
				return nil
			}
		}
		return yes(up)
	})
	w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a", Data: data}})
	w.d.await("the gateway's end", func([]wire.Up) bool { return w.d.ln == nil })
	w.d.open()
	got := nth(w.d, 1, "message", aMessage)
	if len(got.Files) != 1 || !bytes.Equal(received(t, w.d, got.ID), data) {
		t.Errorf("message = %+v", got)
	}
	// A gateway that lost the file says so, and gets it again.
	missing := 1
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Message != nil && missing > 0 {
			missing--
			return []wire.Down{{Fault: &wire.Fault{Ref: up.Message.ID, Code: "file", What: "the file is not here"}}}
		}
		return yes(up)
	})
	before := len(said(w.d, aFile))
	update, _ := w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "b", Data: []byte("b")}})
	w.confirmed(update)
	if n := len(said(w.d, aFile)) - before; n != 2 {
		t.Errorf("the file came %d times, want twice", n)
	}
}

// A download does not hold up "/stop" or a tap.
func TestStopOvertakesADownload(t *testing.T) {
	w, id := shown(t, func(t *telegram.Timing) { t.Idle(10 * time.Second) })
	w.tg.Fault("file", fake.TelegramFault{Slow: 2 * time.Second})
	slow, _ := w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a", Data: []byte("x")}})
	w.until("the download", func(tg *fake.Telegram) bool { return len(tg.Calls("file")) > 0 })
	before := len(said(w.d, aMessage))
	began := time.Now()
	w.tg.Say(owner, "/stop")
	w.tg.Press(owner, id, data("d"))
	if got := nth(w.d, before+1, "/stop", aMessage); got.Text != "/stop" {
		t.Errorf("the gateway got %+v first", got)
	}
	nth(w.d, 1, "decide", aDecide)
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("/stop and a tap took %v", took)
	}
	if w.tg.Confirmed() >= slow {
		t.Error("the file's message is confirmed already")
	}
	w.until("all is done", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
}
