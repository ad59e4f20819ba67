package telegram_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func aTap(up wire.Up) *wire.Tap { return up.Tap }

// list is a menu in a version, with one button for each datum.
func list(version int64, text string, data ...string) wire.Send {
	m := &wire.Menu{Version: version}
	for _, d := range data {
		m.Rows = append(m.Rows, []wire.Button{{Label: "do " + d, Data: d}})
	}
	return wire.Send{Item: 9, Kind: wire.SendMenu, Text: text, Menu: m}
}

// listed is a bridge with a menu in the owner's chat.
func listed(t *testing.T) (*world, int64) {
	w := run(t)
	w.known(owner, guest)
	sent := w.d.show(list(1, "**Two** things", "f:12", "keep"))
	if sent.State != "1" || sent.Parts != 1 || sent.Ref == "" {
		t.Fatalf("sent = %+v, want version 1 in one part", sent)
	}
	var id int64
	if _, err := fmt.Sscan(sent.Ref, &id); err != nil {
		t.Fatal(err)
	}
	return w, id
}

func TestMenuIsShownTappedAndEdited(t *testing.T) {
	w, id := listed(t)
	got := w.tg.Chat(owner)[0]
	if got.Text != "Two things" || len(got.Buttons) != 2 || got.Buttons[0][0] != (fake.Button{Text: "do f:12", Data: "m:9:f:12"}) {
		t.Errorf("chat = %+v, want the text and two buttons", got)
	}
	w.tg.Press(owner, id, "m:9:f:12")
	tap := nth(w.d, 1, "tap", aTap)
	if diff := cmp.Diff(wire.Tap{Ref: tap.Ref, User: "42", Item: 9, Shown: fmt.Sprint(id), Data: "f:12"}, tap); diff != "" {
		t.Errorf("tap (-want +got):\n%s", diff)
	}
	if text := w.toast(1); text != "done" {
		t.Errorf("toast = %q, want the gateway's word", text)
	}
	next := list(2, "**One** thing")
	next.Shown = []string{fmt.Sprint(id)}
	if diff := cmp.Diff(wire.Sent{Item: 9, Parts: 1, State: "2"}, w.d.show(next)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if all := w.tg.Chat(owner); len(all) != 1 || all[0].Text != "One thing" || len(all[0].Buttons) != 0 || all[0].Edited != 1 {
		t.Errorf("chat = %+v, want one message, edited once, without buttons", all)
	}
	// Showing the same again is no trouble, and a message that its user deleted stays gone.
	next.Menu.Version = 3
	w.tg.Fault("editMessageText", fake.TelegramFault{Status: 400, Description: "Bad Request: message is not modified: specified new message content"})
	if sent := w.d.show(next); sent.State != "3" || sent.Ref != "" {
		t.Errorf("sent = %+v", sent)
	}
	w.tg.Delete(owner, id)
	again := list(4, "again", "keep")
	again.Shown = next.Shown
	if sent := w.d.show(again); sent.State != "4" || sent.Ref != "" || len(w.texts(owner)) != 0 {
		t.Errorf("sent = %+v, chat = %q, want nothing new", sent, w.texts(owner))
	}
}

// An answer of Telegram's was lost and the menu is there twice: both messages change.
func TestEveryMessageOfAMenuIsEdited(t *testing.T) {
	w, first := listed(t)
	second := list(1, "**Two** things", "f:12", "keep")
	second.ReplyTo = "1" // another part, as after a restart
	ref := w.d.show(second).Ref
	if n := len(w.tg.Chat(owner)); n != 1 {
		t.Fatalf("%d messages, want one: the same part is reported, not shown again", n)
	}
	other := w.d.show(list(1, "**Two** things.", "keep")).Ref
	if other == ref {
		t.Fatal("the second is the first")
	}
	edit := list(2, "none")
	edit.Shown = []string{other}
	w.d.show(edit)
	edit.Shown = []string{fmt.Sprint(first), other} // the first turned up: the same version is another edit now
	w.d.show(edit)
	for _, s := range w.tg.Chat(owner) {
		if s.Text != "none" || len(s.Buttons) != 0 {
			t.Errorf("chat = %+v, want both edited", s)
		}
	}
}

// None of these is passed on as a tap, nor as a decision.
func TestForgedTaps(t *testing.T) {
	w, id := listed(t)
	_, mine := w.tg.Say(owner, "my own message")
	count := 0
	const invalid = "This button is not valid any more."
	for name, tc := range map[string]struct {
		from  int64
		press fake.Press
		want  string
	}{
		"a stranger":             {stranger, fake.Press{Message: id, Data: "m:9:f:12"}, "Not yours to answer."},
		"a guest, there":         {guest, fake.Press{Message: id, Data: "m:9:f:12", Chat: fake.TelegramChat{ID: owner, Type: "private"}}, invalid},
		"the owner, in a group":  {owner, fake.Press{Message: id, Data: "m:9:f:12", Chat: fake.TelegramChat{ID: -100, Type: "group"}}, invalid},
		"a message that is his":  {owner, fake.Press{Message: mine, Data: "m:9:f:12"}, invalid},
		"no item":                {owner, fake.Press{Message: id, Data: "m::f:12"}, invalid},
		"no data":                {owner, fake.Press{Message: id, Data: "m:9:"}, invalid},
		"no colon":               {owner, fake.Press{Message: id, Data: "m:9"}, invalid},
		"another spelling":       {owner, fake.Press{Message: id, Data: "m:+9:f:12"}, invalid},
		"a zero before it":       {owner, fake.Press{Message: id, Data: "m:09:f:12"}, invalid},
		"item 0":                 {owner, fake.Press{Message: id, Data: "m:0:f:12"}, invalid},
		"a negative item":        {owner, fake.Press{Message: id, Data: "m:-9:f:12"}, invalid},
		"an item without end":    {owner, fake.Press{Message: id, Data: "m:99999999999999999999:f"}, invalid},
		"a space":                {owner, fake.Press{Message: id, Data: "m:9:f 12"}, invalid},
		"letters":                {owner, fake.Press{Message: id, Data: "m:9:fü"}, invalid},
		"control characters":     {owner, fake.Press{Message: id, Data: "m:9:f\n12"}, invalid},
		"too much":               {owner, fake.Press{Message: id, Data: "m:9:" + strings.Repeat("x", 41)}, invalid},
		"another mark":           {owner, fake.Press{Message: id, Data: "M:9:f:12"}, invalid},
		"a menu that is no card": {owner, fake.Press{Message: id, Data: "a:9:f:12"}, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			w.tg.PressAs(tc.from, tc.press)
			count++
			if got := w.toast(count); got != tc.want {
				t.Errorf("toast = %q, want %q", got, tc.want)
			}
		})
	}
	w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
	if taps, decisions := said(w.d, aTap), said(w.d, aDecide); len(taps)+len(decisions) != 0 {
		t.Errorf("the gateway was told %+v %+v", taps, decisions)
	}
}

// A tap while the gateway is away is answered, kept by Telegram, and passed on later, over a restart of the bridge too.
func TestTapWaitsForTheGateway(t *testing.T) {
	w, id := listed(t)
	w.d.close()
	w.tg.Press(owner, id, "m:9:keep")
	if text := w.toast(1); !strings.Contains(text, "The message will change then") {
		t.Errorf("toast = %q, want a word of patience", text)
	}
	if w.tg.Pending() == 0 {
		t.Error("the tap is confirmed, and no gateway has it")
	}
	w.stop()
	w.d.open()
	w.start(w.options())
	if got := nth(w.d, 1, "tap", aTap); got.Data != "keep" || got.Item != 9 {
		t.Errorf("tap = %+v", got)
	}
	w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
	// What the gateway refuses is said.
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Tap != nil {
			return []wire.Down{{Fault: &wire.Fault{Ref: up.Tap.Ref, Code: "tap", What: "this message is too old; send the command again"}}}
		}
		return yes(up)
	})
	n := len(w.tg.Toasts())
	w.tg.Press(owner, id, "m:9:keep")
	if text := w.toast(n + 1); text != "This message is too old; send the command again" {
		t.Errorf("toast = %q", text)
	}
}

func TestMenuThroughTrouble(t *testing.T) {
	for name, fault := range map[string]fake.TelegramFault{
		"429":           {Status: 429, Description: "Too Many Requests: retry after 1", RetryAfter: 1},
		"500":           {Status: 500, Description: "Internal Server Error"},
		"a lost answer": {LoseAnswer: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, id := listed(t)
			w.tg.Fault("editMessageText", fault)
			edit := list(2, "One thing", "keep")
			edit.User, edit.Shown = "42", []string{fmt.Sprint(id)}
			w.d.send(wire.Down{Send: &edit})
			if got := nth(w.d, 1, "unsent", anUnsent); got.Never || got.AfterMS < 1 {
				t.Errorf("unsent = %+v, want a wait", got)
			}
			if sent := w.d.show(edit); sent.State != "2" || sent.Ref != "" {
				t.Errorf("sent = %+v", sent)
			}
			if all := w.tg.Chat(owner); len(all) != 1 || all[0].Text != "One thing" {
				t.Errorf("chat = %+v, want the one message", all)
			}
		})
	}
}

// What Telegram will never take makes way for what waits behind it.
func TestRefusedMenu(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{Status: 400, Description: "Bad Request: BUTTON_DATA_INVALID"})
	if sent := w.d.show(list(1, "Two things", "keep")); sent.State != "1" || len(w.texts(owner)) != 1 || !strings.Contains(w.texts(owner)[0], "cannot be shown here") {
		t.Errorf("sent = %+v, chat = %q", sent, w.texts(owner))
	}
}

// Any text and any buttons are shown, in one message, and the fake has no complaint.
func TestHostileMenus(t *testing.T) {
	w := run(t)
	w.known(owner)
	n := 0
	for name, text := range hostile() {
		n++
		text = strings.ToValidUTF8(text, "�") // or no frame carries it
		s := wire.Send{Item: int64(n), Kind: wire.SendMenu, Text: text, Menu: &wire.Menu{Version: 1, Rows: [][]wire.Button{
			{{Label: text, Data: "a"}, {Label: "b", Data: text}, {Label: "", Data: "c"}}, {}, nil, {{Label: "x", Data: ""}},
		}}}
		w.d.show(s)
		if got := w.tg.Chat(owner); len(got) != n || entity.Units(got[n-1].Text) > entity.MaxUnits {
			t.Errorf("%s: %d messages, want %d", name, len(got), n)
		}
	}
}

// Data that is shown comes back as it was, and no other data reads as a menu's.
func FuzzMenuData(f *testing.F) {
	for _, s := range []string{"m:9:f:12", "m:1:c:", "m:01:x", "m:9223372036854775807:" + strings.Repeat("~", 40), "a:9:x", "m:9:\x00", ""} {
		f.Add(s, int64(9))
	}
	f.Fuzz(func(t *testing.T, data string, item int64) {
		if i, arg, ok := telegram.ParseMenu(data); ok && telegram.MenuData(i, arg) != data {
			t.Errorf("ParseMenu(%q) = %d, %q, which is written %q", data, i, arg, telegram.MenuData(i, arg))
		}
		written := telegram.MenuData(item, data)
		if len(written) > 64 {
			t.Errorf("MenuData(%d, %q) has %d bytes, Telegram takes 64", item, data, len(written))
		}
		if i, arg, ok := telegram.ParseMenu(written); written != "" && (!ok || i != item || arg != data) {
			t.Errorf("ParseMenu(MenuData(%d, %q)) = %d, %q, %v", item, data, i, arg, ok)
		}
		for _, row := range telegram.Keyboard(item, [][]wire.Button{{{Label: data, Data: data}, {Label: "x", Data: "x"}}}) {
			for _, key := range row {
				if label, _, _ := strings.Cut(key, "=m:"); strings.TrimSpace(label) == "" || entity.Units(label) > 64 && !strings.Contains(data, "=m:") {
					t.Errorf("a button %q", key)
				}
			}
		}
	})
}

func progress(turn int, states ...string) wire.Down {
	p := &wire.Progress{Run: "r1", Iteration: turn, Most: 10}
	for i, s := range states {
		p.Steps = append(p.Steps, wire.PlanStep{Text: fmt.Sprintf("step *%c*", 'a'+i), State: s})
	}
	return wire.Down{Progress: p}
}

func TestPlanIsShownInTheBubble(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"), progress(0, "", "", ""))
	w.bubbleText("◻ step *a*\n◻ step *b*\n◻ step *c*\nplanning")
	w.d.send(progress(1, "now", "", ""), delta("r1", "Let me look."))
	w.bubbleText("▶ step *a*\n◻ step *b*\n◻ step *c*\nstep 1 of 3 · turn 1 of 10\n\nLet me look. ▌")
	w.d.send(wire.Down{Step: &wire.Step{Run: "r1", Call: "c", Tool: "read_file"}})
	w.bubbleText("turn 1 of 10\n\nLet me look.\n\n⏳ read_file · ")
	// The next turn begins with nothing of the last one.
	w.d.send(progress(2, "done", "now", ""))
	w.bubbleText("✅ step *a*\n▶ step *b*\n◻ step *c*\nstep 2 of 3 · turn 2 of 10\n\n⏳ thinking · ")
	// The gateway comes back, and its next word is painted.
	w.d.close()
	w.d.open()
	nth(w.d, 2, "health ok", okHealth)
	w.d.send(working("r1"), progress(3, "done", "done", "now"), delta("r1", "Nearly."))
	w.bubbleText("✅ step *b*\n▶ step *c*\nstep 3 of 3 · turn 3 of 10\n\nNearly. ▌")
	if all := w.tg.Chat(owner); len(all) != 1 {
		t.Errorf("chat = %q, want one bubble", w.texts(owner))
	}
	w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Text: "All done."})
	w.d.send(progress(4, "done", "done", "done"))
	time.Sleep(200 * time.Millisecond) // several edits
	if got := w.texts(owner); len(got) != 1 || got[0] != "All done." {
		t.Errorf("chat = %q, want the reply in the bubble's place", got)
	}
}

// A bridge that was restarted paints the bubble of before again.
func TestPlanAfterARestartOfTheBridge(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"), progress(1, "now", ""))
	bubble := nth(w.d, 1, "bubble", aBubble)
	w.stop()
	w.start(w.options())
	nth(w.d, 2, "health ok", okHealth)
	again := working("r1")
	again.Working.Bubble = bubble.Ref
	w.d.send(again, progress(2, "done", "now"))
	w.bubbleText("✅ step *a*\n▶ step *b*\nstep 2 of 2 · turn 2 of 10")
	if all := w.tg.Chat(owner); len(all) != 1 {
		t.Errorf("chat = %q, want one bubble", w.texts(owner))
	}
}

// Frames of a plan come as fast as they like; edits keep their pace.
func TestPlanKeepsThePaceOfEdits(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"))
	for i := range 100 {
		w.d.send(progress(1, "now", strings.Repeat("x", i)))
		time.Sleep(5 * time.Millisecond)
	}
	var last time.Time
	for _, c := range w.tg.Calls("editMessageText") {
		if gap := c.At.Sub(last); gap < 40*time.Millisecond { // 50 in this test, 1.2 s for users
			t.Errorf("an edit %v after the one before", gap)
		}
		last = c.At
	}
}

// Whatever a model plans, what is shown has room for the text below it.
func FuzzPlanText(f *testing.F) {
	f.Add("look", 3, 1, 1)
	f.Add("\u202e\x00"+strings.Repeat("🦀", 300), 40, 39, 2)
	f.Add("", 0, -1, 0)
	f.Fuzz(func(t *testing.T, text string, steps, now, turn int) {
		p := wire.Progress{Run: "r", Iteration: turn, Most: 10}
		for i := range min(max(steps, 0), 200) {
			p.Steps = append(p.Steps, wire.PlanStep{Text: text, State: map[bool]string{true: "now", false: "done"}[i == now]})
		}
		got := telegram.PlanText(p)
		if n := entity.Units(got); n > 1700 || strings.TrimSpace(got) == "" || !isUTF8(got) {
			t.Errorf("PlanText(%d steps of %q) has %d units: %q", steps, text, n, got)
		}
		if strings.Count(got, "\n") > 20 {
			t.Errorf("PlanText(%d steps of %q) has too many lines: %q", steps, text, got)
		}
	})
}

// Words that the gateway escaped are shown as they are, whatever they would be as Markdown.
func TestEscapedWordsShowThemselves(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.show(list(1, "**2 memories**\n\n"+
		"- **#2** 2026-11-22 · ⚠ from web \\*news\\*.example: \\`now\\` \\| a \\| \\~\\~x\\~\\~ \\&lt; 1. one - two\n"+
		"- **#1** 2026-11-22: \\*\\*Bold\\*\\* \\[x\\](https://evil.example) - \\*\\*\\#9\\*\\* faked \\<b\\> \\!\\[y\\](z)", "keep"))
	want := "2 memories\n\n• #2 2026-11-22 · ⚠ from web *news*.example: `now` | a | ~~x~~ &lt; 1. one - two\n" +
		"• #1 2026-11-22: **Bold** [x](https://evil.example) - **#9** faked <b> ![y](z)"
	if got := w.texts(owner); len(got) != 1 || got[0] != want {
		t.Errorf("chat = %q, want %q", got, want)
	}
}

// A long plan and a long text share the one message.
func TestLongPlanLeavesRoomForTheText(t *testing.T) {
	w := run(t)
	w.known(owner)
	p := &wire.Progress{Run: "r1", Iteration: 2, Most: 10}
	for range 40 {
		p.Steps = append(p.Steps, wire.PlanStep{Text: strings.Repeat("long ", 60)})
	}
	w.d.send(working("r1"), wire.Down{Progress: p}, delta("r1", strings.Repeat("🦀", 4000)+" the end"))
	w.bubbleText("step 1 of 40 · turn 2 of 10\n\n…")
	w.bubbleText("the end ▌")
	if all := w.tg.Chat(owner); len(all) != 1 || entity.Units(all[0].Text) > entity.MaxUnits {
		t.Errorf("%d messages, the first of %d units", len(all), entity.Units(all[0].Text))
	}
}
