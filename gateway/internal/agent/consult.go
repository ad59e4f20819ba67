package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// Consult puts one question about a conversation to the model, without tools. Neither the question nor
// its answer becomes part of the conversation.
func (a *Agent) Consult(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, question string) (string, claw.Usage, error) {
	turns, err := a.o.History.Turns(ctx, session, maxTurns)
	if err != nil {
		return "", claw.Usage{}, fmt.Errorf("history: %w", err)
	}
	system, stable := a.o.Prompt.System(a.o.Now(), origin, nil)
	req := llm.Request{System: system, Stable: stable, MaxTokens: a.o.MaxTokens}
	shown, _ := pictured(noted(window(turns)), 0, pictureGone)
	if n := len(shown); n > 0 && shown[n-1].Role == claw.User && len(shown[n-1].Results) == 0 {
		shown[n-1].Text += "\n\n" + question // two messages of one author are not what every provider takes
	} else {
		shown = append(shown, claw.Turn{Role: claw.User, Text: question})
	}
	req.Turns = shown
	reply, err := a.o.Model.Ask(ctx, req, func(string) {})
	if reply.Usage != (claw.Usage{}) {
		if uerr := a.o.History.AddUsage(context.WithoutCancel(ctx), claw.ModelCall{
			Session: session, Run: run, Origin: origin, Model: reply.Model, Usage: reply.Usage, At: a.o.Now(),
		}); uerr != nil {
			a.o.Log.Warn("usage not recorded", "err", uerr)
		}
	}
	if err == nil && len(reply.Calls) > 0 {
		err = errors.New("the model answered a question without tools with a call")
	}
	return reply.Text, reply.Usage, err
}
