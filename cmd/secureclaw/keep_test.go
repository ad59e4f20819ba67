package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// gatewayAt runs the gateway of a home as a process of its own. Without more environment its model is the one that rehearses.
func gatewayAt(t *testing.T, home string, environ ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "gateway")
	cmd.Env = append(environ, "SECURECLAW_UNDER_TEST=main", "SECURECLAW_HOME="+home, "PATH="+os.Getenv("PATH"), "HOME="+home,
		"CAPABILITY_SECRET=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gateway ended with %v\n%s", err, &log)
		}
	})
	await(t, "the gateway answers", func() bool {
		_, _, code := claw(t, home, "memories")
		return code == 0
	})
}

// does runs a verb that must end with a code, and returns what it said.
func does(t *testing.T, home string, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, got := claw(t, home, args...)
	if got != code {
		t.Fatalf("secureclaw %s = exit %d, want %d\n%s\n%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout, stderr
}

func has(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

func exported(t *testing.T, path string) []wire.Memory {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []wire.Memory
	for line := range strings.Lines(string(data)) {
		var m wire.Memory
		if err := strict.Decode([]byte(strings.TrimSuffix(line, "\n")), &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestMemoriesOnTheCommandLine(t *testing.T) {
	home := t.TempDir()
	gatewayAt(t, home)
	file := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, errs := does(t, home, 0, "memories")
	has(t, "an empty list", errs, "Nothing is remembered.")

	// Any wrong line, and nothing comes in; every one of them is named.
	bad := file("bad.jsonl", strings.Join([]string{
		`{"content":"likes tea"}`,
		`{"content":""}`,
		`{"content":"x","rank":1}`,
		``,
		`{"content":"x","content":"y"}`,
		`{"content":"x","label":{"integrity":"holy"}}`,
		`{"content":"x","owner":"telegram:42"}`,
		`{"content":"x","owner":"owner","author":"god"}`,
		`{"content":"x","category":"two words"}`,
		`{"content":"x"`,
	}, "\n"))
	_, errs = does(t, home, exitFailed, "memories", "import", bad)
	has(t, "the refusal", errs, "bad.jsonl:2: ", "bad.jsonl:3: ", "bad.jsonl:4: the line is empty", "bad.jsonl:5: ", "bad.jsonl:6: label: unknown integrity", "bad.jsonl:7: it belongs to telegram:42", "bad.jsonl:8: ", "bad.jsonl:9: category", "bad.jsonl:10: ", "nothing was imported", "9 lines are wrong")
	if strings.Contains(errs, "bad.jsonl:1:") {
		t.Errorf("a good line is called wrong:\n%s", errs)
	}
	if out, _ := does(t, home, 0, "memories", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("after a refused import there are memories: %s", out)
	}

	// What a file says of itself is not believed: label, author and source.
	good := file("good.jsonl", `{"content":"likes green tea","category":"preference","tags":["tea"],"author":"user","source":"terminal","label":{"integrity":"user","privacy":"public","sources":["terminal"]},"created":"2025-01-02T03:04:05Z"}
{"content":"Ada lives in Berlin\u202e\nand \u001b[2Jhides"}
{"content":"likes green tea"}
`)
	out, _ := does(t, home, 0, "memories", "import", good)
	has(t, "the import", out, "Imported: 2 new, 1 merged.", "external, private")
	out, _ = does(t, home, 0, "--json", "memories", "search", "tea")
	var found []wire.Memory
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
		t.Fatalf("search tea = %v, %s", err, out)
	}
	if m := found[0]; m.Author != "import" || m.Source != "import good.jsonl" || m.Owner != "owner" || m.Category != "preference" ||
		!cmp.Equal(m.Label, wire.Label{Integrity: "external", Privacy: "private", Sources: []string{"import good.jsonl", "terminal"}}) {
		t.Errorf("an imported memory is %+v", m)
	}
	out, _ = does(t, home, 0, "memories")
	has(t, "the list", out, "likes green tea", "preference", "[external, private]")
	if strings.ContainsAny(out, "\u202e\x1b") {
		t.Errorf("the list moves the cursor or turns the reading order: %q", out)
	}

	// An export comes back as it was, to whoever trusts it, on another machine.
	copied := filepath.Join(home, "copy.jsonl")
	_, errs = does(t, home, 0, "memories", "export", copied)
	has(t, "the export", errs, "Exported: 2 memories.")
	if _, errs = does(t, home, exitFailed, "memories", "export", copied); !strings.Contains(errs, "exists") {
		t.Errorf("an export over a file says %q", errs)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the export is %v, %v, want it for its owner alone", info.Mode(), err)
	}
	other := t.TempDir()
	gatewayAt(t, other)
	does(t, other, 0, "memories", "import", copied, "--trust")
	again := filepath.Join(other, "again.jsonl")
	does(t, other, 0, "memories", "export", again)
	// When it was merged or used is of the place where that was.
	if diff := cmp.Diff(exported(t, copied), exported(t, again), cmpopts.IgnoreFields(wire.Memory{}, "ID", "Updated", "Used", "Uses", "Before")); diff != "" {
		t.Errorf("export, import --trust, export (-first +second)\n%s", diff)
	}
	// Not trusted, labels stay as bad as they are, and the way is remembered.
	out, _ = does(t, other, 0, "memories", "import", copied)
	has(t, "the second import", out, "0 new, 2 merged")

	// Nothing is deleted without a yes; then it is gone for good.
	out, errs = does(t, home, exitUsage, "memories", "forget", "tea")
	has(t, "forget without a terminal", out+errs, "likes green tea", "nothing was deleted", "--yes")
	does(t, home, exitFailed, "memories", "forget", "#99", "--yes")
	does(t, home, exitUsage, "memories", "forget", "#1", "tea", "--yes")
	_, errs = does(t, home, exitFailed, "memories", "forget", fmt.Sprint(found[0].ID), "--of", "telegram:42", "--yes")
	has(t, "somebody else's", errs, "belongs to owner, not to telegram:42")
	out, _ = does(t, home, 0, "memories", "forget", "tea", "--yes")
	has(t, "forget", out, "likes green tea", "Forgotten: 1 memory.")
	_, errs = does(t, home, exitFailed, "memories", "forget", "tea", "--yes")
	has(t, "forget twice", errs, "nothing of that is remembered")
	out, _ = does(t, home, 0, "--json", "memories")
	if strings.Contains(out, "tea") || !strings.Contains(out, "Berlin") {
		t.Errorf("after forgetting tea there is %s", out)
	}
	out, _ = does(t, home, 0, "memories", "categories")
	has(t, "categories", out, "       1  note")
	await(t, "the audit log says so", func() bool {
		out, _ := does(t, home, 0, "audit", "query", "--kind", "memories")
		return strings.Contains(out, "memories.imported") && strings.Contains(out, "memories.forgotten") && !strings.Contains(out, "green")
	})
}

func TestSessionsOnTheCommandLine(t *testing.T) {
	home := t.TempDir()
	gatewayAt(t, home)
	does(t, home, 0, "chat", "--session", "talk", "hello\u202e there")
	out, _ := does(t, home, 0, "sessions")
	has(t, "the list", out, "talk  ", " · terminal · 2 turns", "user, private")
	out, _ = does(t, home, 0, "sessions", "show", "talk")
	has(t, "the conversation", out, "1  user · ", `  │ hello\u{202e} there`, "2  assistant · ")
	_, errs := does(t, home, exitFailed, "sessions", "show", "nothing")
	has(t, "an unknown one", errs, `there is no session "nothing"`)

	path := filepath.Join(home, "talk.jsonl")
	_, errs = does(t, home, 0, "sessions", "export", "talk", path)
	has(t, "the export", errs, "Exported: 2 turns of 1 conversation.")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for line := range strings.Lines(string(data)) {
		var l wire.SessionLine
		if err := strict.Decode([]byte(strings.TrimSuffix(line, "\n")), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if l.Turn != nil {
			var turn struct{ Role, Text string }
			if err := json.Unmarshal(l.Turn.Turn, &turn); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, turn.Role+": "+turn.Text)
		}
	}
	if len(texts) != 2 || texts[0] != "user: hello\u202e there" {
		t.Errorf("the exported turns are %q", texts)
	}
	does(t, home, exitFailed, "sessions", "export", "nothing", filepath.Join(home, "no.jsonl"))
	if _, err := os.Stat(filepath.Join(home, "no.jsonl")); err == nil {
		t.Error("the export of nothing left a file")
	}
	out, _ = does(t, home, 0, "sessions", "stop", "talk")
	has(t, "stop", out, "Nothing was running.")
	does(t, home, exitFailed, "sessions", "stop", "nothing")
}

func TestUsageOnTheCommandLine(t *testing.T) {
	home := t.TempDir()
	model := fake.NewAnthropic(t)
	model.Play(func(fake.Request) fake.Step {
		return fake.Answer{Text: "Hello.", Usage: fake.Usage{Input: 1200, Output: 34, CacheRead: 5, CacheWrite: 6}}
	})
	gatewayAt(t, home, "ANTHROPIC_API_KEY=sk-test", "ANTHROPIC_BASE_URL="+model.URL)
	out, _ := does(t, home, 0, "usage")
	has(t, "nothing spent", out, "Nothing was spent since ", "today: 0 of 5,000,000 tokens (0 %)")
	does(t, home, 0, "chat", "--session", "talk", "hello")
	for by, want := range map[string]string{"day": "DAY", "session": "talk", "model": "claude"} {
		out, _ := does(t, home, 0, "usage", "--by", by)
		has(t, "usage by "+by, out, want, "CACHE READ", "since ", "  1,200  ", "  1,245", "today: 1,245 of 5,000,000 tokens (0 %)")
	}
	out, _ = does(t, home, 0, "--json", "usage", "--days", "1")
	var table wire.UsageTable
	if err := json.Unmarshal([]byte(out), &table); err != nil || len(table.Rows) != 1 || table.Rows[0].Tokens != 1245 || table.Today != table.Total.Tokens || table.TodayMost != 5_000_000 {
		t.Errorf("usage = %v, %s", err, out)
	}
	out, _ = does(t, home, exitFailed, "status") // without a runner
	has(t, "status", out, fmt.Sprintf("today    %s of 5,000,000 tokens", thousands(table.Today)))
	for _, args := range []string{
		"usage --by colour", "usage --days 0", "usage --days 99999999", "usage --limit -1", "memories --limit 0", "memories search --limit 0 tea", "memories search --limit 101 tea",
		"memories search \xff", "memories forget --limit -1 tea", "memories --of nobody", "memories --all --of owner", "heartbeats show x --limit -1", "memories show tea", "sessions --limit 0",
	} {
		does(t, home, exitUsage, strings.Fields(args)...)
	}
}

// What does not fit into a frame comes in pages and pieces, and whole.
func TestMoreThanAFrameHolds(t *testing.T) {
	home := t.TempDir()
	long := strings.Repeat("\"Zäher\" \\ Teig…\n", 80_000) // 1.5 MB, more than twice that in a frame
	model := fake.NewAnthropic(t)
	model.Play(func(fake.Request) fake.Step { return fake.Answer{Text: long, Chunks: []int{1 << 16}} })
	gatewayAt(t, home, "ANTHROPIC_API_KEY=sk-test", "ANTHROPIC_BASE_URL="+model.URL)
	does(t, home, 0, "chat", "--session", "talk", "hello")
	out, _ := does(t, home, 0, "sessions", "export", "talk")
	whole := false
	for line := range strings.Lines(out) {
		var l wire.SessionLine
		if err := strict.Decode([]byte(strings.TrimSuffix(line, "\n")), &l); err != nil {
			t.Fatal(err)
		}
		if l.Turn != nil {
			var turn struct{ Text string }
			if err := json.Unmarshal(l.Turn.Turn, &turn); err != nil {
				t.Fatal(err)
			}
			whole = whole || strings.TrimSpace(turn.Text) == strings.TrimSpace(long)
		}
	}
	if !whole {
		t.Errorf("the exported conversation has %d bytes, and not the answer of %d", len(out), len(long))
	}
	out, _ = does(t, home, 0, "sessions", "show", "talk")
	has(t, "what is shown of it", out, "bytes in all; secureclaw sessions export has them")

	var file strings.Builder
	for i := range 700 {
		data, err := strict.Encode(wire.Memory{Content: fmt.Sprintf("fact %d: %s", i, strings.TrimSpace(strings.Repeat(fmt.Sprintf("\"w%d\"\n", i), 400))), Category: "facts", Tags: []string{fmt.Sprint("t", i)}})
		if err != nil {
			t.Fatal(err)
		}
		file.Write(append(data, '\n'))
	}
	path := filepath.Join(home, "many.jsonl")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = does(t, home, 0, "memories", "import", path)
	has(t, "the import", out, "Imported: 700 new, 0 merged.")
	copied := filepath.Join(home, "copy.jsonl")
	does(t, home, 0, "memories", "export", copied)
	if diff := cmp.Diff(exported(t, path), exported(t, copied), cmpopts.IgnoreFields(wire.Memory{}, "ID", "Owner", "Author", "Source", "Label", "Created")); diff != "" {
		t.Errorf("imported and exported (-in +out)\n%.2000s", diff)
	}
	out, _ = does(t, home, 0, "--json", "memories", "--limit", "650")
	var found []wire.Memory
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 650 || found[0].ID <= found[649].ID {
		t.Errorf("--limit 650 = %d memories, %v, want the newest first", len(found), err)
	}
}

// Whoever sits at a terminal sees what goes and is asked; what was typed before that is no answer.
func TestForgetAsks(t *testing.T) {
	home := t.TempDir()
	gatewayAt(t, home)
	path := filepath.Join(home, "two.jsonl")
	if err := os.WriteFile(path, []byte(`{"content":"likes green tea"}`+"\n"+`{"content":"owns a red bicycle"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	does(t, home, 0, "memories", "import", path)
	for name, tc := range map[string]struct{ early, answer string }{
		"a no":            {"", "n"},
		"nothing":         {"", ""},
		"a yes before it": {"y\n", ""},
	} {
		forget(t, home, tc.early, tc.answer, exitRefused)
		if out, _ := does(t, home, 0, "--json", "memories"); strings.Count(out, `"id"`) != 2 {
			t.Errorf("%s: there is left\n%s", name, out)
		}
	}
	forget(t, home, "", "yes", 0)
	if out, _ := does(t, home, 0, "--json", "memories"); strings.Count(out, `"id"`) != 1 || strings.Contains(out, "tea") {
		t.Errorf("after a yes there is left\n%s", out)
	}
}

func forget(t *testing.T, home, early, answer string, code int) {
	t.Helper()
	master, slave := openPTY(t)
	if early != "" {
		if _, err := master.WriteString(early); err != nil {
			t.Fatal(err)
		}
	}
	d := sitWith(t, master, slave, home, nil, "memories", "forget", "tea")
	d.sees("│ likes green tea")
	d.answers("Delete 1 memory for good?", answer)
	if got := d.ends(); got != code {
		t.Errorf("forget, %q, then %q = exit %d, want %d", early, answer, got, code)
	}
	d.never("bicycle")
}
