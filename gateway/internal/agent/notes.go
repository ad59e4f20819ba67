package agent

import "github.com/secureclaw/secureclaw/gateway/internal/claw"

// note makes of a turn what a model reads: notes stand below their message. Only here do the two become
// one text; whoever asks what the user said reads the turns as they are stored.
func note(t *claw.Turn) {
	if t.Notes != "" {
		t.Text, t.Notes = t.Text+"\n\n"+t.Notes, ""
	}
}
