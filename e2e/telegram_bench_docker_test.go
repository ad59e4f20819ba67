//go:build docker

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// BenchmarkTelegramMessage measures from a user's message to the question that the model gets: poll, bridge,
// socket, store, audit log, history, request. The baseline, in turn with it, is a bot of a few lines on
// the same fakes that polls and asks the model at once. added-ms is the difference of the medians.
func BenchmarkTelegramMessage(b *testing.B) {
	model := fake.NewAnthropic(b)
	asked := make(chan time.Time, 1)
	w := newTelegram(b, setting{model: model, ready: true})
	model.Play(func(fake.Request) fake.Step {
		asked <- time.Now()
		return says("heard")
	})
	w.start()
	w.isReady("shell", "file", "web") // else what is prepared at the start is measured, too
	plain := newPlainBot(b, model.URL)
	phone := w.phone(owner)
	for range 3 { // the first ones open files and connections
		phone.says("warm up")
		<-asked
		phone.answered()
		plain.ask()
		<-asked
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		began := time.Now()
		phone.says("a question")
		ours = append(ours, (<-asked).Sub(began))
		phone.answered()
		began = time.Now()
		plain.ask()
		theirs = append(theirs, (<-asked).Sub(began))
	}
	b.ReportMetric(median(ours), "asked-ms")
	b.ReportMetric(median(theirs), "plain-ms")
	b.ReportMetric(median(ours)-median(theirs), "added-ms")
	b.ReportMetric(w.resident("bridge"), "bridge-MB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTelegramTap measures from a press on "Approve once" to the moment at which the engine has made the container,
// its own work of making it included, and to its start.
func BenchmarkTelegramTap(b *testing.B) {
	w := startTelegram(b, setting{ready: true})
	phone := w.phone(owner)
	events := newEngineEvents(b, w)
	var created, started []time.Duration
	for i := 0; b.Loop(); i++ {
		phone.says(fmt.Sprintf("errand %s b%d", errandAsk, i))
		card := phone.card(fmt.Sprintf("ask-b%d", i))
		began := time.Now()
		phone.press(card, approve)
		created = append(created, events.next("create").Sub(began))
		started = append(started, events.next("start").Sub(began))
		phone.shows(ending(fmt.Sprintf("b%d", i)))
	}
	b.ReportMetric(median(created), "tap-to-created-ms")
	b.ReportMetric(median(started), "tap-to-started-ms")
	b.ReportMetric(0, "ns/op")
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds()) / 1000
}

// answered waits until the newest message is the model's answer in full, so that one run does not meet the next.
func (p *phone) answered() {
	p.w.t.Helper()
	before := p.w.tg.Pending()
	p.sees("an answer", func(chat []fake.Shown) bool {
		return before >= p.w.tg.Pending() && len(chat) > 0 && strings.Contains(chat[len(chat)-1].Text, "heard")
	})
	p.w.t.Helper()
}

// resident is the memory of a role's process that is in RAM, in MB.
func (w *world) resident(role string) float64 {
	w.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid(role)))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return kb / 1024
}

// plainBot is the least that a bot does between a message and the model.
type plainBot struct {
	b      *testing.B
	tg     *fake.Telegram
	model  string
	token  string
	offset int64
	polled chan struct{}
}

func newPlainBot(b *testing.B, model string) *plainBot {
	const token = "987654321:plain-bot-plain-bot-plain-bot-plain"
	p := &plainBot{b: b, tg: fake.NewTelegram(b, token), model: model, token: token, polled: make(chan struct{}, 1)}
	go p.run()
	return p
}

func (p *plainBot) ask() { p.tg.Say(owner, "a question") }

func (p *plainBot) run() {
	for {
		resp, err := http.Post(fmt.Sprintf("%s/bot%s/getUpdates", p.tg.URL(), p.token), "application/json", strings.NewReader(fmt.Sprintf(`{"offset":%d,"timeout":50}`, p.offset)))
		if err != nil {
			return // the test is over
		}
		var page struct {
			Result []struct {
				ID int64 `json:"update_id"`
			} `json:"result"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close()
		if err != nil {
			return
		}
		for _, u := range page.Result {
			p.offset = u.ID + 1
			req, _ := http.NewRequest(http.MethodPost, p.model+"/v1/messages", bytes.NewReader([]byte(`{"model":"claude-sonnet-5-5","max_tokens":1024,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"a question"}]}]}`)))
			req.Header.Set("X-Api-Key", "sk-plain")
			req.Header.Set("Anthropic-Version", "2023-06-01")
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
}

// engineEvents are the engine's own words, with its own clock.
type engineEvents struct {
	b     *testing.B
	lines chan engineEvent
}

type engineEvent struct {
	Action   string
	TimeNano int64 `json:"timeNano"`
}

func newEngineEvents(b *testing.B, w *world) *engineEvents {
	cmd := exec.Command("docker", "events", "--filter", "type=container", "--filter", "label=org.secureclaw.instance="+w.instance(), "--format", "{{json .}}")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	e := &engineEvents{b: b, lines: make(chan engineEvent, 100)}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var event engineEvent
			if json.Unmarshal(lines.Bytes(), &event) == nil {
				e.lines <- event
			}
		}
	}()
	return e
}

func (e *engineEvents) next(action string) time.Time {
	e.b.Helper()
	timeout := time.After(patience)
	for {
		select {
		case event := <-e.lines:
			if event.Action == action {
				return time.Unix(0, event.TimeNano)
			}
		case <-timeout:
			e.b.Fatalf("the engine told of no %q", action)
		}
	}
}
