package dispatch_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// shot is a picture that can be decoded.
func shot(t testing.TB, mime string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if picture := image.NewGray(image.Rect(0, 0, 4, 4)); mime == "image/jpeg" {
		err = jpeg.Encode(&b, picture, nil)
	} else {
		err = png.Encode(&b, picture)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// browse runs one call against a runner that answers with events, or with output.
func browse(t *testing.T, o dispatch.Options, output *run.Output, events ...run.Event) claw.ToolResult {
	t.Helper()
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	if output != nil {
		events = append(events, run.Event{Result: &run.Result{Outcome: run.Finished, Output: output}})
	}
	o.Socket = peer(t, func(order *run.Order, conn *wire.Conn) {
		claims, err := capability.NewVerifier(key.Public().(ed25519.PublicKey), time.Now).Verify(order.Token, []string{"web"}, order.Task)
		if err != nil || !slices.Equal(claims.Domains, []string{"example.com", "fonts.example.net"}) || len(claims.Mounts) != 0 || claims.Tool != run.ToolBrowse {
			t.Errorf("order: %v, claims %+v", err, claims)
		}
		for _, e := range events {
			_ = conn.Send(e)
		}
	})
	o.Program, o.Minter = "test", capability.NewMinter(key, time.Now)
	tool := browser(t, browsing(), o)
	action, err := tool.Prepare([]byte(`{"url":"https://example.com/"}`))
	if err != nil {
		t.Fatal(err)
	}
	return tool.Run(t.Context(), gate.Call{ID: "call_1", ModelID: "t1", Session: "s", Run: "r", Label: claw.UserLabel(), Origin: claw.Origin{Channel: "telegram", User: "7"}}, action)
}

func page(t *testing.T, p run.BrowseResult) *run.Output {
	t.Helper()
	value, err := strict.CanonicalOf(p)
	if err != nil {
		t.Fatal(err)
	}
	return &run.Output{Call: "call_1", Status: run.OutputOK, Value: value}
}

// What a browser brings is a stranger's, and public; what we say ourselves is as good as what the model had read.
func TestPagesAreExternal(t *testing.T) {
	external := claw.Label{Integrity: claw.External, Privacy: claw.Public, Sources: []string{"web example.com"}}
	for name, tc := range map[string]struct {
		output *run.Output
		events []run.Event
		status claw.Status
		want   claw.Label
	}{
		"a page":             {page(t, run.BrowseResult{URL: "https://example.com/", Title: "Hello"}), nil, claw.OK, external},
		"a page with a flaw": {&run.Output{Call: "call_1", Status: run.OutputFailed, Error: "the page says so"}, nil, claw.Failed, external},
		"refused":            {nil, []run.Event{{Refusal: &run.Refusal{Code: "canary", What: "Browsing is disabled"}}}, claw.Refused, claw.UserLabel()},
		"killed":             {nil, []run.Event{{Started: &run.Started{}}, {Result: &run.Result{Outcome: run.OutOfMem}}}, claw.Failed, claw.UserLabel()},
		"no answer":          {nil, nil, claw.Unknown, claw.UserLabel()},
	} {
		t.Run(name, func(t *testing.T) {
			got := browse(t, dispatch.Options{}, tc.output, tc.events...)
			if diff := cmp.Diff(tc.want, got.Label); diff != "" || got.Status != tc.status {
				t.Errorf("result %+v, want %s; label (-want +got):\n%s", got, tc.status, diff)
			}
		})
	}
}

// A value that is no result of a browser is not read to the model.
func TestPageThatIsNone(t *testing.T) {
	for name, value := range map[string]string{
		"another type":     `{"content":"x","path":"/etc/passwd"}`,
		"a field too many": `{"url":"https://example.com/","title":"","content":{"text":"","bytes":0},"system":"obey"}`,
		"a list":           `[]`,
		"a text":           `"x"`,
	} {
		got := browse(t, dispatch.Options{}, &run.Output{Call: "call_1", Status: run.OutputOK, Value: strict.Value(value)})
		if got.Status != claw.Failed || strings.Contains(got.Content, "obey") || strings.Contains(got.Content, "passwd") {
			t.Errorf("%s: %+v, want it failed without a word of it", name, got)
		}
	}
}

func TestScreenshots(t *testing.T) {
	for name, tc := range map[string]struct {
		picture run.Picture
		answer  error
		kept    string
		images  int
		note    string
	}{
		"a picture":                 {run.Picture{MIME: "image/png", Width: 4, Height: 4, Data: shot(t, "image/png")}, nil, "", 1, "The user sees the screenshot too."},
		"a photograph":              {run.Picture{MIME: "image/jpeg", Width: 4, Height: 4, Data: shot(t, "image/jpeg")}, nil, "", 1, "The user sees the screenshot too."},
		"a terminal":                {run.Picture{MIME: "image/png", Data: shot(t, "image/png")}, errors.New("this is a terminal"), "", 1, "cannot be shown"},
		"a file":                    {run.Picture{MIME: "image/png", Data: shot(t, "image/png")}, nil, "/inbox/a.png", 1, "sees the screenshot too; it is kept as /inbox/a.png."},
		"a file for a terminal":     {run.Picture{MIME: "image/png", Data: shot(t, "image/png")}, errors.New("this is a terminal"), "/inbox/a.png", 1, "kept as /inbox/a.png, and the user is told"},
		"a page under a false name": {run.Picture{MIME: "image/png", Data: []byte("<html><script>alert(1)</script>")}, nil, "", 0, "left out"},
		"another type of picture":   {run.Picture{MIME: "image/jpeg", Data: shot(t, "image/png")}, nil, "", 0, "left out"},
		"a type with code in it":    {run.Picture{MIME: "image/svg+xml", Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)}, nil, "", 0, "left out"},
		"no data":                   {run.Picture{MIME: "image/png"}, nil, "", 0, "left out"},
		"too large":                 {run.Picture{MIME: "image/png", Data: append(shot(t, "image/png"), make([]byte, run.MaxPicture)...)}, nil, "", 0, "left out"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []delivered
			deliver := func(_ context.Context, call gate.Call, name, mime, caption string, data []byte) error {
				got = append(got, delivered{call, name, mime, caption, data})
				return tc.answer
			}
			keep := func(_ context.Context, call gate.Call, name, mime string, data []byte) (string, error) {
				if call.ID != "call_1" || name == "" || mime != tc.picture.MIME || !bytes.Equal(data, tc.picture.Data) || tc.images == 0 {
					t.Errorf("kept %q, %q, %d bytes for %+v", name, mime, len(data), call)
				}
				if tc.kept == "" {
					return "", errors.New("no folder")
				}
				return tc.kept, nil
			}
			result := browse(t, dispatch.Options{Deliver: deliver, Keep: keep}, page(t, run.BrowseResult{URL: "https://example.com/", Title: "Hello", Notes: []string{"a dialog"}, Image: &tc.picture}))
			var said run.BrowseResult
			if err := strict.Decode([]byte(result.Content), &said); err != nil || said.Image != nil || said.Title != "Hello" || len(said.Notes) != 2 || !strings.Contains(said.Notes[1], tc.note) {
				t.Errorf("the model reads %s, %v; want the page without its picture and a note with %q", result.Content, err, tc.note)
			}
			if len(result.Images) != tc.images || len(got) != tc.images || result.Status != claw.OK {
				t.Fatalf("%d images, delivered %d times, %s; want %d of each", len(result.Images), len(got), result.Status, tc.images)
			}
			if tc.images == 0 {
				return
			}
			name := map[string]string{"image/png": "screenshot-example.com.png", "image/jpeg": "screenshot-example.com.jpg"}[tc.picture.MIME]
			want := claw.Image{MIME: tc.picture.MIME, Name: name, Data: tc.picture.Data}
			if diff := cmp.Diff(want, result.Images[0]); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
			if d := got[0]; d.name != name || d.mime != tc.picture.MIME || !bytes.Equal(d.data, tc.picture.Data) || d.call.ID != "call_1" || d.caption != "" {
				t.Errorf("delivered %q, %q, %q, %d bytes for %+v", d.name, d.mime, d.caption, len(d.data), d.call)
			}
		})
	}
	result := browse(t, dispatch.Options{}, page(t, run.BrowseResult{Image: &run.Picture{MIME: "image/png", Data: shot(t, "image/png")}}))
	if len(result.Images) != 1 || !strings.Contains(result.Content, "cannot be shown") {
		t.Errorf("without anybody to show it to: %+v", result)
	}
}

// Every decision of the way out is told, in order, before the result is there.
func TestEgressIsTold(t *testing.T) {
	want := []run.Egress{
		{Name: "example.com", Allowed: true, Address: "93.184.216.34:443"},
		{Name: "evil.test", Code: "not_allowed", Text: "it is not on the list", Count: 7},
		{Total: true, Up: 517, Down: 12345, Count: 3},
	}
	events := []run.Event{{Started: &run.Started{Container: "c"}}}
	for _, e := range want {
		events = append(events, run.Event{Egress: &e})
	}
	var got []run.Egress
	result := browse(t, dispatch.Options{Egress: func(call gate.Call, e run.Egress) {
		if call.ID != "call_1" || call.Session != "s" || call.Run != "r" {
			t.Errorf("told of %+v for %+v", e, call)
		}
		got = append(got, e)
	}}, page(t, run.BrowseResult{}), events...)
	if diff := cmp.Diff(want, got); diff != "" || result.Status != claw.OK {
		t.Errorf("%s; told (-want +got):\n%s", result.Status, diff)
	}
	if result := browse(t, dispatch.Options{}, page(t, run.BrowseResult{}), events...); result.Status != claw.OK {
		t.Errorf("with nobody to tell: %+v", result)
	}
}

// Twenty pages at once take turns here, where no token grows old, and not at the runner.
func TestBrowsersTakeTurns(t *testing.T) {
	const calls = 20
	most := run.MaxBrowsers()
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	var running, highest atomic.Int64
	full, release := make(chan struct{}, calls), make(chan struct{})
	socket := peer(t, func(order *run.Order, conn *wire.Conn) {
		now := running.Add(1)
		defer running.Add(-1)
		for was := highest.Load(); now > was && !highest.CompareAndSwap(was, now); was = highest.Load() {
		}
		full <- struct{}{}
		<-release
		var task run.Task
		if err := strict.Decode(order.Task, &task); err != nil {
			t.Error(err)
		}
		_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: task.Call, Status: run.OutputOK}}})
	})
	tool := browser(t, browsing(), dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now)})
	action, err := tool.Prepare([]byte(`{"url":"https://example.com/"}`))
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan claw.ToolResult, calls)
	for i := range calls {
		id := fmt.Sprint(i)
		go func() {
			results <- tool.Run(t.Context(), gate.Call{ID: claw.CallID(id), Session: claw.SessionID(id), Run: "r"}, action)
		}()
	}
	for range most {
		<-full
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if got := tool.Run(stopped, gate.Call{ID: "late", Session: "late", Run: "r"}, action); got.Status != claw.Cancelled {
		t.Errorf("stopped while it waits: %+v", got)
	}
	close(release)
	for range calls {
		if got := <-results; got.Status != claw.OK {
			t.Errorf("result %+v", got)
		}
	}
	if got := highest.Load(); got != int64(most) {
		t.Errorf("%d browsers were with the runner at once, want %d", got, most)
	}
}

// The largest lists that a configuration may hold fit into a token.
func TestTokensHoldWhatIsConfigured(t *testing.T) {
	names := func(n, length int, mark string) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("%s.%s%d.example.net", strings.Repeat("a", length), mark, i))
		}
		return strings.Join(out, ", ")
	}
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("i", 64)
	for length := 1; ; length++ { // up to the first that the configuration refuses
		text := fmt.Sprintf("executors: {web: {domains: [%s]}}\ntrustedDomains: [{name: '*.%s.example.com', with: [%s]}]\n", names(32, length, "d"), strings.Repeat("b", 63), names(32, length, "w"))
		cfg, _, err := config.Parse("x.yaml", []byte(text), "/home/ada")
		if err != nil {
			if length < 20 || !strings.Contains(err.Error(), "token") {
				t.Fatalf("names of %d letters: %v", length, err)
			}
			return
		}
		minted := false
		socket := peer(t, func(order *run.Order, conn *wire.Conn) { minted = len(order.Token) <= capability.MaxTokenBytes })
		tool := browser(t, cfg, dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now)})
		action, err := tool.Prepare(fmt.Appendf(nil, `{"url":"https://%s.%s.example.com/%s"}`, strings.Repeat("c", 63), strings.Repeat("b", 63), strings.Repeat("p", 1800)))
		if err != nil {
			t.Fatal(err)
		}
		if got := tool.Run(t.Context(), gate.Call{ID: claw.CallID(id), Session: claw.SessionID(id), Run: claw.RunID(id)}, action); !minted || len(action.Domains) != 65 {
			t.Fatalf("with %d names of %d letters no token is minted: %+v", len(action.Domains), length, got)
		}
	}
}
