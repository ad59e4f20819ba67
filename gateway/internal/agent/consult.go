package agent

import (
	"context"
	"errors"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Consult puts one question about a conversation to the model, which may call nothing. Neither the question
// nor its answer becomes part of the conversation. A limit that does not allow it is a [*Pause]. The
// usage is what the question cost, and a summary that it needed.
func (a *Agent) Consult(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, question string) (string, claw.Usage, error) {
	t := &talk{session: session, origin: origin, run: run}
	req, _, err := a.question(ctx, t)
	if err != nil {
		return "", t.spent, err
	}
	req.NoCalls = true
	req.Turns, _ = pictured(req.Turns, 0, pictureGone)
	if n := len(req.Turns); n > 0 && isMessage(req.Turns[n-1]) {
		req.Turns[n-1].Text += "\n\n" + question // two messages of one author are not what every provider takes
	} else {
		req.Turns = append(req.Turns, claw.Turn{Role: claw.User, Text: question})
	}
	reply, err := a.put(ctx, t, req, func(string) {})
	if err == nil && len(reply.Calls) > 0 {
		err = errors.New("the model answered a question without tools with a call")
	}
	return reply.Text, t.spent.Add(reply.Usage), err
}
