//go:build docker

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// document is what `chat --json` prints. It is written down here again: a field that comes, goes or
// changes its name breaks scripts of users, and must break a story.
type document struct {
	Session  string          `json:"session"`
	Run      string          `json:"run"`
	Outcome  string          `json:"outcome"`
	Reply    string          `json:"reply"`
	Model    string          `json:"model"`
	Calls    []call          `json:"calls"`
	Usage    map[string]int  `json:"usage"`
	Seconds  float64         `json:"seconds"`
	Approval json.RawMessage `json:"approval"`
}

type call struct {
	Run        string          `json:"run"`
	Call       string          `json:"call"`
	Tool       string          `json:"tool"`
	Input      json.RawMessage `json:"input"`
	Status     string          `json:"status"`
	Tier       string          `json:"tier"`
	Rule       string          `json:"rule"`
	DurationMS float64         `json:"duration_ms"`
	InBoxMS    float64         `json:"container_ms"`
	WaitedMS   float64         `json:"waited_ms"`
	Ready      bool            `json:"ready"`
	Content    string          `json:"content"`
	Line       string          `json:"line"` // of a page: what was done there, in words
}

// shellResult is the content of a shell call that ran.
type shellResult struct {
	ExitCode int       `json:"exit_code"`
	Stdout   shellText `json:"stdout"`
	Stderr   shellText `json:"stderr"`
	Note     string    `json:"note"`
}

type shellText struct {
	Text      string `json:"text"`
	Bytes     int64  `json:"bytes"`
	Truncated bool   `json:"truncated"`
	Lossy     bool   `json:"lossy"`
}

// newTalk says one thing in a fresh session and returns how to wait for the answer.
func (w *world) newTalk(text string, flags ...string) func() document {
	w.t.Helper()
	wait := w.begin(append(append([]string{"chat", "--json"}, flags...), text)...)
	return func() document {
		w.t.Helper()
		out := wait()
		var doc document
		decoder := json.NewDecoder(strings.NewReader(out.stdout))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&doc); err != nil {
			w.t.Fatalf("chat --json %.100q: %v\nstdout %s\nstderr %s", text, err, out.stdout, out.stderr)
		}
		return doc
	}
}

// chat says one thing and waits for the answer.
func (w *world) chat(text string, flags ...string) document {
	w.t.Helper()
	return w.newTalk(text, flags...)()
}

// does lets the model make one call, and returns how it went.
func (w *world) does(c fake.Call) call {
	w.t.Helper()
	w.model.Script(calls(c), says("done"))
	doc := w.chat("do it")
	if doc.Outcome != "done" || len(doc.Calls) != 1 {
		w.t.Fatalf("%s %.200s: outcome %s, %d calls, reply %q", c.Tool, c.Input, doc.Outcome, len(doc.Calls), doc.Reply)
	}
	return doc.Calls[0]
}

// runs is does for a shell command, with what it printed.
func (w *world) runs(command string, seconds int) (call, shellResult) {
	w.t.Helper()
	c := w.does(shell(command, seconds))
	var out shellResult
	// A call that failed or ran into its deadline has a sentence before its value.
	if at := strings.Index(c.Content, "{"); at >= 0 {
		_ = json.Unmarshal([]byte(c.Content[at:]), &out) // an answer without one is for the caller to judge
	}
	return c, out
}

func says(text string) fake.Answer {
	return fake.Answer{Text: text, Usage: fake.Usage{Input: 100, Output: 10}}
}

// calls is an answer with tool calls. Their ids are given here.
func calls(list ...fake.Call) fake.Answer {
	list = slices.Clone(list)
	for i := range list {
		list[i].ID = fmt.Sprintf("toolu_%04d", i)
	}
	return fake.Answer{Calls: list, Usage: fake.Usage{Input: 100, Output: 10}}
}

func shell(command string, seconds int) fake.Call {
	return fake.Call{Tool: "run_shell_command", Input: object(map[string]any{"command": command, "timeout_seconds": seconds})}
}

func writes(path, content string) fake.Call {
	return fake.Call{Tool: "write_file", Input: object(map[string]any{"path": path, "content": content, "mode": "append"})}
}

func object(v map[string]any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps that the tests wrote
	}
	return string(data)
}

// heard is everything that the model was told in its last request: words and results.
func heard(model *fake.Server) string {
	requests := model.Requests()
	if len(requests) == 0 {
		return ""
	}
	var out strings.Builder
	for _, turn := range requests[len(requests)-1].Turns {
		out.WriteString(turn.Text + "\n")
		for _, r := range turn.Results {
			out.WriteString(r.Content + "\n")
		}
	}
	return out.String()
}

// audit returns the lines of the log, oldest first, as they are on disk.
func (w *world) audit() []string {
	w.t.Helper()
	files, err := filepath.Glob(w.path("state/audit/*.jsonl"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("no audit log: %v", err)
	}
	slices.Sort(files)
	var lines []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			lines = append(lines, string(bytes.TrimRight(line, "\n")))
		}
	}
	return lines
}

// entries counts the lines of a kind that hold all texts.
func (w *world) entries(kind string, texts ...string) int {
	w.t.Helper()
	n := 0
	for _, line := range w.audit() {
		if !strings.Contains(line, `"kind":"`+kind+`"`) {
			continue
		}
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// card waits for an open question and returns its code.
func (w *world) card() string {
	w.t.Helper()
	var cards []struct {
		Code string `json:"code"`
	}
	w.eventually("a call asks", func() bool {
		out := w.claw("approvals", "--json")
		cards = nil
		return out.code == 0 && json.Unmarshal([]byte(out.stdout), &cards) == nil && len(cards) > 0
	})
	return cards[0].Code
}
