package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	keep "github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

const secretWords = "The safe opens with 17-23-42."

// forget keeps the secret as a memory and deletes it again, as /forget does.
func forget(t *testing.T, db *sqlite.DB) {
	t.Helper()
	id, err := db.AddMemory(t.Context(), keep.RowOf(claw.Memory{Owner: claw.Owner, Content: secretWords, Category: "note", Author: "model", Source: "terminal", Label: claw.UserLabel(), Created: noon()}), 10)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := db.ForgetMemories(t.Context(), claw.Owner, []int64{id}, func(claw.Origin) bool { return true }); err != nil || n != 1 {
		t.Fatalf("ForgetMemories = %d, %v, want 1", n, err)
	}
}

// What is forgotten in the middle of a conversation is not in its next question, although the agent had read it before.
func TestForgottenIsNotAskedAgain(t *testing.T) {
	db := kept(t, t.TempDir())
	model := &script{replies: []replyFunc{says("I will keep that in mind.")}}
	a := remembering(t, model, db, nil, func(o *agent.Options) { o.Recall = nil })
	answer(t, a, "remember: "+secretWords)
	answer(t, a, "thanks")
	if asked := fmt.Sprint(model.asked[1].Turns); !strings.Contains(asked, secretWords) {
		t.Fatalf("before it is forgotten the question is %.300s, want the words in it", asked)
	}
	forget(t, db)
	answer(t, a, "what did I say?")
	if asked := fmt.Sprint(model.asked[2].Turns); strings.Contains(asked, secretWords) || !strings.Contains(asked, "[forgotten]") {
		t.Errorf("after it was forgotten the question is %.400s, want [forgotten] in place of the words", asked)
	}
}

// A summary that was under way when its words were forgotten is not kept: they would live on in it.
func TestForgottenWhileItIsSummedUp(t *testing.T) {
	db := kept(t, t.TempDir())
	for i := range 9 {
		for _, turn := range exchange(i, 500) {
			if i == 0 && turn.Role == claw.User && turn.Text != "" {
				turn.Text = secretWords + " " + turn.Text
			}
			if err := db.AppendTurn(t.Context(), "s", turn); err != nil {
				t.Fatal(err)
			}
		}
	}
	model := &script{replies: []replyFunc{says("ok")}}
	model.sumUp = func(req llm.Request) (llm.Reply, error) {
		text := "nothing of note"
		if strings.Contains(req.Turns[0].Text, secretWords) {
			text = "The user says: " + secretWords
		}
		if len(model.summed) == 1 {
			forget(t, db)
		}
		return llm.Reply{Text: text, Stop: llm.StopEnd}, nil
	}
	answer(t, remembering(t, model, db, nil, func(o *agent.Options) { o.Context = 3000; o.Recall = nil }), "and now?")
	if !strings.Contains(model.summed[0].Turns[0].Text, secretWords) {
		t.Fatalf("the first summary is asked for with %.200q, want the words in it", model.summed[0].Turns[0].Text)
	}
	if asked := fmt.Sprint(model.asked); strings.Contains(asked, secretWords) {
		t.Errorf("the question has the words:\n%.600s", asked)
	}
	if slices.ContainsFunc(model.summed[1:], func(r llm.Request) bool { return strings.Contains(r.Turns[0].Text, secretWords) }) {
		t.Errorf("a later summary is made of the words")
	}
	summary, ok, err := db.Summary(t.Context(), "s")
	if err != nil || !ok || strings.Contains(summary.Text, secretWords) {
		t.Errorf("Summary = %+v, %v, %v, want one without the words", summary, ok, err)
	}
}
