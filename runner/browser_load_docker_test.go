//go:build docker

package runner

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/runner/internal/egress"
)

const gib = 1 << 30

// endless serves n bytes and counts what was taken.
func endless(n int64, taken *atomic.Int64, header map[string]string) http.HandlerFunc {
	block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	return func(w http.ResponseWriter, r *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		for left := n; left > 0 && r.Context().Err() == nil; {
			got, err := w.Write(block[:min(int64(len(block)), left)])
			taken.Add(int64(got))
			left -= int64(got)
			if err != nil {
				return
			}
		}
	}
}

// downloads: 2 GiB in every shape end as a clear result, with a bounded number of bytes moved.
func downloads(t *testing.T, s *browsers) {
	length := fmt.Sprint(2 * gib)
	for name, tc := range map[string]struct {
		header map[string]string
		page   string // of its own; empty: the body itself is opened
	}{
		"opened as an attachment": {map[string]string{"Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="x.iso"`, "Content-Length": length}, ""},
		"opened as binary":        {map[string]string{"Content-Type": "application/octet-stream"}, ""},
		"opened as text":          {map[string]string{"Content-Type": "text/plain", "Content-Length": length}, ""},
		"opened as HTML":          {map[string]string{"Content-Type": "text/html"}, ""},
		"a link that is clicked":  {map[string]string{"Content-Disposition": "attachment"}, `<a id=a href="/big" download="x.bin">get</a><script>a.click(); setTimeout(() => a.click(), 500)</script>`},
		"kept in memory":          {map[string]string{"Content-Type": "text/plain"}, `<p id=p>loading</p><script>const all=[];fetch("/big").then(async r=>{const s=r.body.getReader();for(;;){const {value,done}=await s.read();if(done)break;all.push(value)}}).catch(e=>{p.textContent="ended "+e.name})</script>`},
		"many pictures":           {map[string]string{"Content-Type": "image/png", "Content-Length": length}, strings.Repeat(`<img src="/big?i=`, 1) + `"><img src="/big?2"><img src="/big?3"><img src="/big?4"><script src="/big?5"></script>`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var taken atomic.Int64
			b := s.open(t, nil)
			b.site.mux.HandleFunc("/big", endless(2*gib, &taken, tc.header))
			url := "https://site.example.com/big"
			if tc.page != "" {
				b.site.page("/start", tc.page)
				url = "https://site.example.com/start"
			}
			began := time.Now()
			claims := pageClaims(t, b.cfg, "site.example.com")
			claims.TimeoutMS = 25_000
			v := b.visitWith(t, claims, run.Browse{URL: url})
			if v.result == nil {
				t.Fatalf("events = %+v, want a result", v.events)
			}
			down := v.egress[len(v.egress)-1].Down
			t.Logf("%v, %s %+v, %d MiB down, %d MiB written", time.Since(began).Round(time.Millisecond), v.result.Outcome, v.result.Output, down>>20, taken.Load()>>20)
			if v.result.Outcome != run.Finished {
				t.Errorf("outcome = %s (%s), want a clear result", v.result.Outcome, v.result.Detail)
			}
			if most := egress.DefaultLimits().Down; down > most || taken.Load() > most+(16<<20) {
				t.Errorf("%d bytes came down and %d were written, want at most %d", down, taken.Load(), most)
			}
			awaitRemoval(t, claims.Call)
			b.nothingEscaped(t, s, v)
		})
	}
}

// bomb is a gzip file of n zeros, of which one block is packed and repeated: packing all would take
// longer than the test.
func bomb(t *testing.T, n int64) []byte {
	t.Helper()
	var block bytes.Buffer
	w, err := flate.NewWriter(&block, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	var blocks [2][]byte // the first, and one that has another before it, as all that follow
	for i := range blocks {
		block.Reset()
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		blocks[i] = bytes.Clone(block.Bytes())
	}
	sum := crc32.NewIEEE()
	out := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	for i := range n >> 20 {
		_, _ = sum.Write(zeros)
		out = append(out, blocks[min(i, 1)]...)
	}
	out = append(out, 3, 0) // an empty last block
	out = binary.LittleEndian.AppendUint32(out, sum.Sum32())
	return binary.LittleEndian.AppendUint32(out, uint32(n))
}

// bombs: what is small on the wire and large inside ends in the container's limits.
func bombs(t *testing.T, s *browsers) {
	packed := bomb(t, 2*gib)
	for name, page := range map[string]string{
		"packed":  `<p>x</p><script>fetch("/packed").then(r=>r.arrayBuffer()).then(b=>document.title=b.byteLength).catch(e=>document.title="ended "+e.name)</script>`,
		"memory":  `<p>x</p><script>const all=[];setInterval(()=>{for(let i=0;i<20;i++)all.push(new Uint8Array(4<<20).fill(7))},10)</script>`,
		"workers": `<p>x</p><script>const u=URL.createObjectURL(new Blob(["for(;;);"]));for(let i=0;i<300;i++)try{new Worker(u)}catch(e){}</script>`,
		"loop":    `<p>x</p><script>for(;;);</script>`,
		"disk":    `<p>x</p><script>(async()=>{const c=await caches.open("x");for(let i=0;;i++)await c.put("/c"+i,new Response(new Uint8Array(8<<20)))})().catch(e=>document.title="ended "+e.name)</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := s.open(t, nil)
			b.site.page("/bomb", page)
			b.site.mux.HandleFunc("/packed", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(packed)
			})
			claims := pageClaims(t, b.cfg, "site.example.com")
			claims.TimeoutMS = 15_000
			began := time.Now()
			v := b.visitWith(t, claims, run.Browse{URL: "https://site.example.com/bomb", Actions: []run.BrowseAction{{Do: run.DoWait, Seconds: 3}}})
			if v.result == nil {
				t.Fatalf("events = %+v, want a result", v.events)
			}
			t.Logf("%v, %s %s %+v", time.Since(began).Round(time.Millisecond), v.result.Outcome, v.result.Detail, v.result.Output)
			if v.result.Outcome == run.Broken || v.result.Outcome == run.TimedOut || time.Since(began) > 30*time.Second {
				t.Errorf("outcome = %s (%s) after %v, want a clear end", v.result.Outcome, v.result.Detail, time.Since(began))
			}
			awaitRemoval(t, claims.Call)
			b.nothingEscaped(t, s, v)
		})
	}
}

// flood: ten thousand requests end as one result; what is told of them is bounded, and counts them all.
func flood(t *testing.T, s *browsers) {
	for name, js := range map[string]string{
		"to as many hosts": `fetch("https://h" + i + ".EVIL/x", {mode: "no-cors"})`,
		"to one host":      `fetch("https://one.EVIL/x" + i, {mode: "no-cors"})`,
		"to the page's":    `fetch("/alive?" + i)`,
		"of sockets":       `new Promise((ok, no) => { const w = new WebSocket("wss://w" + i + ".EVIL/"); w.onerror = no; w.onopen = ok; })`,
	} {
		t.Run(name, func(t *testing.T) {
			b := s.open(t, nil)
			b.site.page("/flood", `<p id=p>x</p><script>let n=0;for(let i=0;i<10000;i++)`+js+`.catch(()=>0).then(()=>{n++;if(n==10000)p.textContent="FLOOD DONE"})</script>`)
			began := time.Now()
			v := b.visitWith(t, pageClaims(t, b.cfg, "site.example.com"), run.Browse{
				URL: "https://site.example.com/flood", Extract: run.ExtractText, Actions: []run.BrowseAction{{Do: run.DoWait, Text: "FLOOD DONE", Seconds: 5}},
			})
			if v.result == nil || v.result.Outcome != run.Finished || v.result.Output == nil {
				t.Fatalf("events = %+v, want a result", v.events)
			}
			if err := strict.Decode(v.result.Output.Value, &v.page); err != nil {
				t.Fatal(err)
			}
			var decided int64
			for _, e := range v.egress {
				if !e.Total {
					decided += max(e.Count, 1)
				}
			}
			total := v.egress[len(v.egress)-1]
			t.Logf("%v: %q; %d events for %d decisions, totals %+v, %d hosts blocked, %d bytes of result", time.Since(began).Round(time.Millisecond), v.page.Content.Text, len(v.egress), decided, total, len(v.page.Blocked), len(v.result.Output.Value))
			if len(v.page.Blocked) > 50 {
				t.Errorf("%d hosts stand in the result, want a bounded number", len(v.page.Blocked))
			}
			if len(v.egress) > 300 {
				t.Errorf("%d events about one task, want a bounded number", len(v.egress))
			}
			if decided < 50 && name != "to the page's" {
				t.Errorf("%d decisions: the flood did not come", decided)
			}
			b.nothingEscaped(t, s, v)
		})
	}
}
