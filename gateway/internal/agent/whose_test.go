package agent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	keep "github.com/secureclaw/secureclaw/gateway/internal/memory"
)

// A conversation that was the owner's and is somebody else's now shows none of the owner's memories any more.
func TestRecalledOnlyByItsPerson(t *testing.T) {
	db := kept(t, t.TempDir())
	person := claw.Owner
	known, err := keep.New(keep.Options{Store: db, Owner: func(claw.Origin) string { return person }, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	if _, err := known.Save(t.Context(), claw.Memory{Owner: claw.Owner, Content: "The safe is behind the picture.", Author: "model", Source: "terminal", Label: claw.UserLabel()}); err != nil {
		t.Fatal(err)
	}
	model := &script{replies: []replyFunc{says("ok")}}
	a := remembering(t, model, db, known, func(*agent.Options) {})
	answer(t, a, "where is the safe?")
	if asked := fmt.Sprint(model.asked[0].Turns); !strings.Contains(asked, "> The safe is behind the picture.") {
		t.Fatalf("the owner's question is %.400s, want the memory in it", asked)
	}
	person = "telegram:42"
	answer(t, a, "and now?")
	if asked := fmt.Sprint(model.asked[1].Turns); strings.Contains(asked, "behind the picture") {
		t.Errorf("another's question is %.400s, want nothing of the owner's", asked)
	}
}
