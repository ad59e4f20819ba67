//go:build docker

package snapshot

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/secureclaw/secureclaw/internal/run"
)

// hostile are pages that are made to be too much. Each is read, or refused in a sentence, in bounded time.
func hostile() map[string]string {
	script := func(s string) string {
		return "<!doctype html><meta charset=utf-8><title>x</title><body><h1>First</h1><script>" + s + "</script>"
	}
	var links, frames strings.Builder
	for i := range 31_000 { // 62,000 elements, of which maxElements are read
		fmt.Fprintf(&links, `<p>text %d <a href="/a%d">link %d</a></p>`, i, i, i)
	}
	fewFrames := 0
	for i := range maxFrames + 50 {
		if i == 3*maxTrees {
			fewFrames = frames.Len()
		}
		fmt.Fprintf(&frames, `<iframe title="f%d" srcdoc="<button>b%d</button>"></iframe>`, i, i)
	}
	return map[string]string{
		"/empty":   "",
		"/many":    script("let f = document.createDocumentFragment(); for (let i = 0; i < 200000; i++) { const d = document.createElement('div'); d.textContent = 'line ' + i; f.append(d) } document.body.append(f)"),
		"/links":   "<!doctype html><title>x</title><h1>First</h1>" + links.String(),
		"/middle":  "<!doctype html><title>x</title><h1>First</h1>" + links.String()[:1_100_000],
		"/deep":    script("let p = document.body; for (let i = 0; i < 20000; i++) { const d = document.createElement('div'); p.append(d); p = d } p.textContent = 'bottom'"),
		"/nested":  script("let p = document.body; for (let i = 0; i < 400; i++) { const d = document.createElement('ul'), l = document.createElement('li'); d.append(l); p.append(d); p = l } p.textContent = 'bottom'"),
		"/text":    "<!doctype html><title>x</title><h1>First</h1><p>" + strings.Repeat("lorem ipsum dolor sit amet ", 200_000),
		"/name":    "<!doctype html><title>x</title><h1>First</h1><button aria-label='" + strings.Repeat("lorem ipsum ", 100_000) + "'>x</button>",
		"/frames":  "<!doctype html><title>x</title><h1>First</h1>" + frames.String()[:fewFrames],
		"/crowd":   "<!doctype html><title>x</title><h1>First</h1>" + frames.String(),
		"/sites":   "<!doctype html><title>x</title><h1>First</h1>" + sites(14),
		"/options": "<!doctype html><title>x</title><h1>First</h1><select>" + strings.Repeat("<option>choice</option>", 20_000) + "</select>",
		"/moving":  script("setInterval(() => { const p = document.createElement('p'); p.textContent = 'more'; document.body.append(p) }, 1)"),
		"/lies":    script("document.getElementsByTagName = () => ({length: 0}); Object.defineProperty(Document.prototype, 'body', {get() { throw 1 }}); Array.prototype.push = String.prototype.slice = () => { throw 2 }"),
	}
}

func sites(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `<iframe src="http://site%d.test/deep.html"></iframe>`, i)
	}
	return b.String()
}

// TestInsideHostilePages reads each page in a browser of its own: what a page has left its renderer
// busy with, a snapshot that nobody waits for any more among it, is no matter of the next one.
func TestInsideHostilePages(t *testing.T) {
	inside(t)
	pages := hostile()
	for _, tc := range []struct {
		path, want, note string
		dies             bool // Chromium itself may give up, or take too long to draw it
	}{
		{path: "/empty"},
		{path: "/nested", want: "bottom"},
		{path: "/text", want: "lorem ipsum dolor sit amet", note: "the page is large"},
		{path: "/name", want: "lorem ipsum"},
		{path: "/frames", want: "button: b0", note: "many frames"},
		{path: "/crowd", want: "First", note: "the page has 450 frames, too many"},
		{path: "/sites", want: "button: Deep", note: "some frames of other sites"},
		{path: "/options", want: "choice | choice"},
		{path: "/moving", want: "more"},
		{path: "/lies", want: "h1: First"},
		{path: "/middle", want: "link 100", note: "the page is large"},
		{path: "/links", want: "text 100", note: "too many"},
		{path: "/many", want: "line 100", note: "too many"},
		{path: "/deep", dies: true},
	} {
		t.Run(tc.path[1:], func(t *testing.T) {
			if tc.dies {
				t.Parallel() // they mostly wait for a patience to end, and may fail to be read
			}
			tree, notes, err := readHostile(t, pages, tc.path)
			if err != nil && !tc.dies {
				// A machine that stood still for a while refuses a page that it can read.
				t.Logf("%v; once more", err)
				tree, notes, err = readHostile(t, pages, tc.path)
			}
			if err != nil {
				if !tc.dies {
					t.Error(err)
				}
				return
			}
			if !strings.Contains(tree, tc.want) || !strings.Contains(notes, tc.note) {
				t.Errorf("%s: notes %q, want %q; tree %.600s…, want %q", tc.path, notes, tc.note, tree, tc.want)
			}
		})
	}
}

// readHostile opens a page in a fresh browser and reads it. It is late with neither a page nor a refusal.
func readHostile(t *testing.T, pages map[string]string, path string) (tree, notes string, _ error) {
	t.Helper()
	tab, end := start(t, pages)
	defer end()
	ctx, cancel := context.WithTimeout(tab, 30*time.Second)
	defer cancel()
	err := chromedp.Do(ctx, chromedp.Navigate("http://example.test"+path))
	if err != nil && ctx.Err() == nil { // a page that is not there to its end by then is read as it is
		return "", "", fmt.Errorf("Navigate(%s): %v", path, err)
	}
	begun := time.Now()
	p, err := Read(tab)
	took := time.Since(begun)
	if took > 40*time.Second {
		t.Errorf("Read(%s) took %v", path, took)
	}
	if err != nil {
		fmt.Printf("%-9s %6d ms  %v\n", path, took.Milliseconds(), err)
		return "", "", fmt.Errorf("Read(%s): %v", path, err)
	}
	seen, text := p.Tree(256<<10), p.Text(256<<10)
	fmt.Printf("%-9s %6d ms  + %d ms  tree %d of %d bytes  text %d of %d bytes  notes %q\n", path, took.Milliseconds(),
		(time.Since(begun) - took).Milliseconds(), len(seen.Text), seen.Bytes, len(text.Text), text.Bytes, p.capture.Notes)
	if len(seen.Text) > 256<<10 || len(text.Text) > 256<<10 {
		t.Errorf("%s: %d bytes of tree, %d of text", path, len(seen.Text), len(text.Text))
	}
	return seen.Text, strings.Join(p.capture.Notes, "\n"), nil
}

// TestInsideDeadline: what the caller's time allows is what is read. A page that a busy machine still
// draws gets more than one chance to answer; a reading that overstays gets none.
func TestInsideDeadline(t *testing.T) {
	const limit = 5 * time.Second
	tab := browse(t, hostile())
	visit(t, tab, "http://example.test/many")
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(tab, limit)
		begun := time.Now()
		p, err := Read(ctx)
		took := time.Since(begun)
		cancel()
		if took > limit+2*time.Second {
			t.Fatalf("Read took %v of %v", took, limit)
		}
		if err != nil && try < 4 {
			t.Logf("%v after %v; once more", err, took)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if text := p.Text(100_000); !strings.Contains(text.Text, "line 100") || !text.Truncated {
			t.Errorf("Text() = %.300s…, truncated %v, want its start", text.Text, text.Truncated)
		}
		return
	}
}

// TestInsideFrames clicks in frames of other sites, one in the other, by the refs of the tree.
func TestInsideFrames(t *testing.T) {
	tab := browse(t, map[string]string{"/": `<!doctype html><title>x</title><body style="margin:50px"><div style="height:3000px">tall</div><iframe src="http://other.test/frame.html" style="border:7px solid;width:500px;height:400px"></iframe><iframe srcdoc="<button onclick='this.textContent=&quot;Pressed inside&quot;'>Inside</button>"></iframe>`})
	visit(t, tab, "http://example.test/")
	for _, step := range []struct{ name, becomes string }{{"Press", "Pressed"}, {"Deep", "Pressed deep"}, {"Inside", "Pressed inside"}} {
		p, err := Read(tab)
		if err != nil {
			t.Fatal(err)
		}
		refs := refsOf(p)["button "+step.name]
		if len(refs) != 1 {
			t.Fatalf("refs of %q: %v, want one; the tree is\n%s", step.name, refs, p.Tree(10_000).Text)
		}
		e, ok := p.Element(refs[0])
		if !ok {
			t.Fatalf("Element(%s) found nothing", refs[0])
		}
		x, y, err := e.Point(tab)
		if err != nil {
			t.Fatalf("Point of %q: %v", step.name, err)
		}
		for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
			if _, err := chromedp.Call(tab, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(200 * time.Millisecond)
		after, err := Read(tab)
		if err != nil {
			t.Fatal(err)
		}
		if tree := after.Tree(10_000).Text; !strings.Contains(tree, ": "+step.becomes+"]") {
			t.Errorf("after a click at %.0f,%.0f on %q the tree is\n%s\nwant %q", x, y, step.name, tree, step.becomes)
		}
	}
}

// TestInsideRefsHold: the same page read again, and loaded again, has the same refs.
func TestInsideRefsHold(t *testing.T) {
	tab := browse(t, nil)
	var last string
	for i := range 4 {
		if i%2 == 0 {
			visit(t, tab, "http://example.test/shop.html")
		}
		p, err := Read(tab)
		if err != nil {
			t.Fatal(err)
		}
		tree := p.Tree(1 << 20).Text
		if last != "" && tree != last {
			t.Errorf("reading %d differs from the one before", i)
		}
		last = tree
	}
}

func TestInsideScreenshot(t *testing.T) {
	noise := `<!doctype html><body style="margin:0"><canvas id=c width=1280 height=800></canvas><script>
		const x = c.getContext('2d'), d = x.createImageData(1280, 800);
		for (let i = 0; i < d.data.length; i++) d.data[i] = i % 4 == 3 ? 255 : Math.random() * 256;
		x.putImageData(d, 0, 0)</script>`
	tab := browse(t, map[string]string{"/noise": noise})
	visit(t, tab, "http://example.test/form.html")
	got, err := Screenshot(tab)
	if err != nil {
		t.Fatal(err)
	}
	if got.MIME != "image/png" || got.Width != 1280 || got.Height != 800 || len(got.Data) > run.MaxPicture {
		t.Errorf("Screenshot(form) = %s, %d×%d, %d bytes", got.MIME, got.Width, got.Height, len(got.Data))
	}
	visit(t, tab, "http://example.test/noise")
	for _, limit := range []int{run.MaxPicture, 200 << 10, 60 << 10} {
		got, err := screenshot(tab, limit)
		if err != nil {
			t.Errorf("screenshot(noise, %d): %v", limit, err)
			continue
		}
		if got.MIME != "image/jpeg" || len(got.Data) > limit || got.Width*10 != got.Height*16 {
			t.Errorf("screenshot(noise, %d) = %s, %d×%d, %d bytes", limit, got.MIME, got.Width, got.Height, len(got.Data))
		}
		fmt.Printf("noise, at most %d: %d×%d, %d bytes\n", limit, got.Width, got.Height, len(got.Data))
	}
}
